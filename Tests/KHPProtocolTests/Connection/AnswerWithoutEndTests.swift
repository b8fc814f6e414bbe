// D28: an answer that refuses counts two seconds after its head, with what has come of its content; no time limit makes
// its status unknown. One table for both handshakes.

import HTTPTypes
import KHPProtocol
import NIOCore
import Testing

@Suite("Answers whose content does not end")
struct AnswerWithoutEndTests {
    private static let statuses = [200, 300, 400, 401, 403, 404, 407, 426, 500, 503]
    /// How content can be announced and not end, and what of it stands behind the head.
    private static let framings = [
        "\r\npart", "Content-Length: 100\r\n\r\npart", "Transfer-Encoding: chunked\r\n\r\n4\r\npart",
    ]

    private static func expectOutcome(_ run: ClientRun, _ status: Int, _ layer: HandshakeLayer, entity: String = "part")
    {
        let kinds: [Int: HopOutcome.Kind] = [300: .choose, 401: .challenge, 426: .upgrade]
        let response = run.hop?.response ?? run.failure?.response
        #expect(response?.status == status)
        #expect(response?.body.text == entity)
        #expect(run.hop?.kind == kinds[status])
        #expect(run.hop?.layer == (kinds[status] == nil ? nil : layer))
        #expect(run.challenge == nil, "the connection is of no use for an answer")
        guard kinds[status] == nil else { return }
        let refused = layer == .opening ? WebSocketError.Code.openingRefused : .extendedRefused
        #expect(run.failure?.code == (status == 407 ? .proxyAuthenticationRequired : refused))
        #expect(run.failure?.phase == WebSocketError.Phase(layer))
    }

    @Test("the opening", arguments: statuses, framings)
    func opening(_ status: Int, _ framing: String) throws {
        var run = try ClientRun()
        run.advance(to: 3)
        run.feed("HTTP/1.1 \(status) X\r\n\(framing)")
        run.advance(to: 4.99)
        #expect(run.isWaiting)
        run.advance(to: 5)
        Self.expectOutcome(run, status, .opening)
        #expect(run.closed != nil, "the client ends the connection")
    }

    @Test("the extended handshake", arguments: statuses, framings.dropFirst())
    func extended(_ status: Int, _ framing: String) throws {
        var run = try ClientRun.inExtended()
        run.advance(to: 3)
        run.say("HTTP/1.1 \(status) X\r\n\(framing)")
        run.advance(to: 4.99)
        #expect(run.isWaiting)
        run.advance(to: 5)
        Self.expectOutcome(run, status, .extended)
        #expect(run.closeCode == (status == 200 ? 1011 : 1000))
    }

    @Test("no byte of the content extends the wait, and an end in time is taken")
    func drips() throws {
        var run = try ClientRun()
        run.feed("HTTP/1.1 403 No\r\n\r\n")
        for second in stride(from: 0.25, to: 2, by: 0.25) {
            run.advance(to: second)
            run.feed("x")
        }
        #expect(run.isWaiting)
        run.advance(to: 2)
        Self.expectOutcome(run, 403, .opening, entity: "xxxxxxx")

        var inside = try ClientRun.inExtended()
        inside.say("HTTP/1.1 403 No\r\nContent-Length: 100\r\n\r\n")
        for second in stride(from: 0.25, to: 2, by: 0.25) {
            inside.advance(to: second)
            inside.say("x")
        }
        inside.advance(to: 2)
        Self.expectOutcome(inside, 403, .extended, entity: "xxxxxxx")

        var whole = try ClientRun.inExtended()
        whole.say("HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\na")
        whole.advance(to: 1.9)
        whole.say("b")
        #expect(whole.challenge?.layer == .extended, "the same WebSocket takes the answer")
        whole.advance(to: 2.5)
        #expect(whole.isWaiting)
    }

    @Test("a redirect is acted on with its head", arguments: [301, 302, 303, 307])
    func redirects(_ status: Int) throws {
        for framing in Self.framings {
            var run = try ClientRun()
            run.feed("HTTP/1.1 \(status) X\r\nLocation: /b\r\n\(framing)")
            #expect(run.hop?.kind == .redirect)
            var inside = try ClientRun.inExtended()
            inside.say("HTTP/1.1 \(status) X\r\nLocation: /b\r\n\(framing)")
            #expect(inside.hop?.kind == .redirect)
            #expect(inside.closeCode == 1000)
        }
        // However large, and whatever is wrong with what frames it.
        for field in ["Content-Length: 99999999", "Content-Length: x", "Transfer-Encoding: gzip"] {
            var inside = try ClientRun.inExtended()
            inside.say("HTTP/1.1 \(status) X\r\nLocation: /b\r\n\(field)\r\n\r\n")
            #expect(inside.hop?.response.headers[.location] == "/b")
        }
    }

    @Test("the time of a handshake, or of all, is over before the two seconds: the status counts")
    func otherLimits() throws {
        var run = try ClientRun()
        run.advance(to: 9)
        run.feed("HTTP/1.1 503 Busy\r\n\r\npart")
        run.advance(to: 10)
        Self.expectOutcome(run, 503, .opening)
        var all = try ClientRun(total: 1)
        all.feed("HTTP/1.1 503 Busy\r\n\r\npart")
        all.advance(to: 1)
        Self.expectOutcome(all, 503, .opening)
        var inside = try ClientRun.inExtended()
        inside.advance(to: 9)
        inside.say("HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\npart")
        inside.advance(to: 10)
        Self.expectOutcome(inside, 503, .extended)
        var allInside = try ClientRun.inExtended(total: 1)
        allInside.say("HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\npart")
        allInside.advance(to: 1)
        Self.expectOutcome(allInside, 503, .extended)
    }

    @Test("the stream ends first: the status counts as well", arguments: [401, 403, 503])
    func ends(_ status: Int) throws {
        let text = "HTTP/1.1 \(status) X\r\nContent-Length: 100\r\n\r\npart"
        let ends: [(inout ClientRun) -> Void] = [{ $0.reset() }, { $0.endInput() }, { $0.endTransport() }]
        for end in ends {
            var run = try ClientRun()
            run.feed(text)
            end(&run)
            Self.expectOutcome(run, status, .opening)
            var inside = try ClientRun.inExtended()
            inside.say(text)
            end(&inside)
            Self.expectOutcome(inside, status, .extended)
        }
        var closing = try ClientRun.inExtended()
        closing.say(text)
        closing.feed(ByteBuffer(bytes: [0x88, 0x02, 0x03, 0xE8]))
        Self.expectOutcome(closing, status, .extended)
    }

    @Test("content that is needed is waited for as long as the handshake may take; the status is told")
    func created() throws {
        var run = try ClientRun.inExtended()
        run.say("HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\npart")
        run.advance(to: 9.9)
        #expect(run.isWaiting)
        run.advance(to: 10)
        #expect(run.failure?.code == .timeout)
        #expect(run.failure?.response?.status == 201)
    }

    @Test("a 400 that an offer of the extended handshake may have caused says so, and no other")
    func doubt() throws {
        for (status, policy, isTold) in [
            (400, ExtendedHandshakePolicy.preferred, true), (400, .required, true), (400, .off, false),
            (403, .preferred, false),
        ] {
            var run = try ClientRun { $0.extended.policy = policy }
            run.feed("HTTP/1.1 \(status) X\r\nContent-Length: 0\r\n\r\n")
            #expect(run.failure?.message.contains("x-kaazing-handshake") == isTold)
        }
    }

    @Test("cookies of a 401 go out with its answer on the same connection (D44)")
    func cookies() throws {
        var run = try ClientRun()
        run.feed("HTTP/1.1 401 X\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n\r\n")
        #expect(run.challenge?.response.openingCookies.map(\.value) == ["1"])
        let isSent = run.answerOpening("Basic eA==", cookies: "a=1")
        #expect(isSent)
        #expect(run.written.text.hasSuffix("\r\nCookie: a=1\r\nAuthorization: Basic eA==\r\n\r\n"))
        for (status, sets) in [(302, true), (401, true), (200, false), (403, false), (407, false), (503, false)] {
            let response = HandshakeResponse(status: status, reason: "", headers: [.setCookie: "a=1"])
            #expect(response.openingCookies.isEmpty == !sets)
        }
        #expect(
            [Dialect.rfc6455, .hixie75, .hixie76, .whatwg2010].map(\.setsCookiesEarly) == [true, true, false, false]
        )
    }
}
