// Threat D9: a client goes on to the next of its dialects where its server may not speak the last one, and only there.

import Testing

@testable import KHPProtocol

@Suite("The dialect that is tried next")
struct DialectChoiceTests {
    private static func refused(_ status: Int, _ phase: WebSocketError.Phase = .opening) -> WebSocketError {
        WebSocketError(.openingRefused, "", response: HandshakeResponse(status: status), phase: phase)
    }

    @Test(
        "only an answer that can come of another dialect leads to the next",
        arguments: [
            (WebSocketError(.openingInvalid, "", phase: .opening), true),
            (WebSocketError(.closedDuringHandshake, "", phase: .opening), true),
            (WebSocketError(.openingInvalid, "", phase: .extended), false),
            (WebSocketError(.closedDuringHandshake, "", phase: .tls), false),
            (WebSocketError(.closedDuringHandshake, ""), false),
            (WebSocketError(.timeout, "", phase: .opening), false),
            (WebSocketError(.limitExceeded, "", phase: .opening), false),
            (WebSocketError(.connectFailed, "", phase: .connect), false),
            (WebSocketError(.openingRefused, "", phase: .opening), false),
            (refused(400), true), (refused(405), true), (refused(426), true), (refused(501), true),
            (refused(505), true),
            (refused(401), false), (refused(403), false), (refused(404), false), (refused(429), false),
            (refused(500), false), (refused(503), false), (refused(400, .extended), false),
        ]
    )
    func next(_ error: WebSocketError, _ isTried: Bool) {
        var choice = DialectChoice(.rfc6455, fallbacks: [.hixie76])
        let isNext = choice.fallBack(after: error)
        #expect(isNext == isTried)
        #expect(choice.current == (isTried ? .hixie76 : .rfc6455))
    }

    @Test("each dialect is tried once, in the order of the list, and no other")
    func order() {
        let error = WebSocketError(.openingInvalid, "", phase: .opening)
        var choice = DialectChoice(.hixie76, fallbacks: [.rfc6455, .hixie76, .hixie75])
        var tried: [Dialect] = []
        while choice.fallBack(after: error) { tried.append(choice.current) }
        #expect(tried == [.rfc6455, .hixie75])
        var alone = DialectChoice(.rfc6455, fallbacks: [])
        let isTried = alone.fallBack(after: error)
        #expect(!isTried)
    }
}
