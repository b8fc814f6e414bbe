import Foundation
import KHPClient
import NIOCore
import Testing

@testable import KHPCommand

/// Which exit status an error ends with (the contract and D16), and what is said.
struct FailureTests {
    private static func refused(_ status: Int, _ entity: String = "") -> HandshakeResponse {
        HandshakeResponse(status: status, reason: "Reason", body: ByteBuffer(string: entity))
    }

    @Test(
        "D16: errors before the socket is open",
        arguments: [
            (WebSocketError(.invalidURL, "x"), Ending.usage), (WebSocketError(.invalidArgument, "x"), .usage),
            (WebSocketError(.connectFailed, "x", phase: .connect), .connectFailed),
            (WebSocketError(.tlsFailed, "x", phase: .tls), .connectFailed),
            (WebSocketError(.connectFailed, "reset", phase: .opening), .connectFailed),
            (WebSocketError(.connectFailed, "reset", phase: .tls), .connectFailed),
            (WebSocketError(.tlsFailed, "alert", phase: .extended), .extendedFailed),
            (WebSocketError(.connectFailed, "reset", phase: .extended), .extendedFailed),
            (WebSocketError(.openingRefused, "x", response: refused(404), phase: .opening), .openingFailed),
            (WebSocketError(.openingInvalid, "x", phase: .opening), .openingFailed),
            (WebSocketError(.closedDuringHandshake, "x", phase: .opening), .openingFailed),
            (WebSocketError(.protocolViolation, "x", phase: .opening), .openingFailed),
            (WebSocketError(.extendedRequired, "x"), .extendedFailed),
            (WebSocketError(.extensionRequired, "x", phase: .opening), .openingFailed),
            (WebSocketError(.extensionRequired, "x", phase: .extended), .extendedFailed),
            (WebSocketError(.extendedRefused, "x", response: refused(500)), .extendedFailed),
            (WebSocketError(.extendedInvalid, "x"), .extendedFailed),
            (WebSocketError(.redirectMethod, "x"), .extendedFailed),
            (WebSocketError(.closedDuringHandshake, "x", phase: .extended), .extendedFailed),
            (WebSocketError(.protocolViolation, "x", phase: .extended), .extendedFailed),
            (WebSocketError(.limitExceeded, "x", phase: .extended), .extendedFailed),
            (WebSocketError(.redirectRefused, "x"), .redirectRefused),
            (WebSocketError(.redirectLoop, "x"), .redirectRefused),
            (WebSocketError(.tooManyRedirects, "x"), .redirectRefused), (WebSocketError(.timeout, "x"), .timeout),
            (WebSocketError(.authenticationFailed, "x"), .authenticationFailed),
            (WebSocketError(.openingRefused, "x", response: refused(401)), .authenticationFailed),
            (WebSocketError(.proxyAuthenticationRequired, "x", phase: .extended), .extendedFailed),
            (WebSocketError(.proxyAuthenticationRequired, "x", phase: .connect), .authenticationFailed),
            (WebSocketError(.proxyRefused, "x", phase: .connect), .connectFailed),
            (WebSocketError(.proxyInvalid, "x", phase: .connect), .connectFailed),
            (WebSocketError(.cancelled, "x"), .interrupted),
        ]
    )
    func statusBeforeOpen(error: WebSocketError, status: Ending) {
        #expect(CommandFailure(error).status == status)
    }

    @Test("every code of the library has a status other than success", arguments: WebSocketError.Code.all)
    func everyCode(code: WebSocketError.Code) {
        #expect(CommandFailure(WebSocketError(code, "x")).status != .success)
    }

    @Test(
        "how an open connection ends",
        arguments: [
            (CloseInfo(code: .normalClosure, reason: "", clean: true, initiator: .peer), Ending?.none),
            (CloseInfo(code: .goingAway, reason: "", clean: true, initiator: .local), nil),
            (CloseInfo(code: nil, reason: "", clean: true, initiator: .peer), nil),
            (CloseInfo(code: .internalError, reason: "", clean: true, initiator: .peer), .closedOtherwise),
            (CloseInfo(code: .init(rawValue: 4000), reason: "", clean: true, initiator: .local), .closedOtherwise),
            (CloseInfo(code: .normalClosure, reason: "", clean: false, initiator: .local), .closedOtherwise),
            (
                CloseInfo(
                    code: nil,
                    reason: "",
                    clean: false,
                    initiator: .peer,
                    error: WebSocketError(.connectFailed, "Reset.", phase: .open)
                ), .closedOtherwise
            ),
            (
                CloseInfo(
                    code: .protocolError,
                    reason: "",
                    clean: true,
                    initiator: .local,
                    error: WebSocketError(.protocolViolation, "Masked.", phase: .open)
                ), .protocolViolation
            ),
            (
                CloseInfo(
                    code: .messageTooBig,
                    reason: "",
                    clean: false,
                    initiator: .local,
                    error: WebSocketError(.messageTooBig, "Big.", phase: .open)
                ), .protocolViolation
            ),
            (
                CloseInfo(
                    code: .policyViolation,
                    reason: "",
                    clean: false,
                    initiator: .local,
                    error: WebSocketError(.timeout, "No pong.", phase: .open)
                ), .timeout
            ),
            (
                // Both close frames were seen; that the stream was reset afterwards does not count.
                CloseInfo(
                    code: .normalClosure,
                    reason: "",
                    clean: true,
                    initiator: .peer,
                    error: WebSocketError(.connectFailed, "Reset.")
                ), nil
            ),
        ]
    )
    func ending(info: CloseInfo, status: Ending?) {
        #expect(CommandFailure(info)?.status == status)
    }

    @Test("what is none of the library's errors is a fault of ours")
    func faults() {
        #expect(CommandFailure(any: CocoaError(.fileNoSuchFile)).status.rawValue == 70)
        #expect(CommandFailure(any: CancellationError()).status.rawValue == 130)
        #expect(CommandFailure.interrupted(by: SIGTERM).status.rawValue == 143)
        #expect(CommandFailure.interrupted(by: SIGTERM).sentence == "interrupted by a signal")
        #expect(OutputLoss.readerLeft.failure == nil)
        #expect(OutputLoss.failed("No space").failure?.status.rawValue == 74)
    }

    @Test("a 400 to an offer hints at doing without it; nothing else does")
    func offers() {
        func sentence(_ status: Int, offered: Bool) -> String {
            let response = Self.refused(status)
            let error = WebSocketError(.openingRefused, "No.", response: response, phase: .opening)
            return CommandFailure(any: error, offered: offered).sentence
        }
        #expect(sentence(400, offered: true).contains("; --extended off"))
        #expect(!sentence(400, offered: false).contains("--extended"))
        #expect(!sentence(404, offered: true).contains("--extended"))
    }

    @Test(
        "KHP-E20: the entity of a refusal is shown where the sentence does not say all of it",
        arguments: [
            ("no such thing.\nsecond\u{1B} line\n", 404, ["no such thing.", "second\u{1B} line"]),
            ("\nonly this.\n", 404, nil), ("404 Reason\n", 404, nil), ("", 404, nil),
            ("404 Reason\nThere is no desk.\n", 404, nil), ("a\n\nb", 302, nil),
            (String(repeating: "x", count: 300), 503, [String(repeating: "x", count: 300)]),
            ("a http://h/?token=canary\nb", 403, ["a http://h/?token=•••", "b"]),
        ] as [(String, Int, [String]?)]
    )
    func entities(entity: String, status: Int, lines: [String]?) {
        let response = Self.refused(status, entity)
        let failure = CommandFailure(WebSocketError(.openingRefused, "No.", response: response, phase: .opening))
        #expect(failure.entity?.lines(forTerminal: false) == lines)
        #expect(failure.entity?.lines(forTerminal: true) == lines?.map { TerminalText.escaped($0) })
    }

    @Test("an entity that is no text is shown as bytes")
    func binaryEntity() {
        #expect(ShownText(ByteBuffer(bytes: [0, 255])).lines(forTerminal: true) == ["(binary, 2 bytes) 00ff"])
    }

    @Test("one sentence: what happened, what the server said, what to do")
    func sentences() {
        let refused = WebSocketError(
            .openingRefused,
            "The server refused the opening handshake with 404.",
            response: Self.refused(404, "no\u{1B} such thing.\nsecond line"),
            phase: .opening
        )
        #expect(
            CommandFailure(refused).sentence
                == "the server refused the opening handshake with 404: \"no\\x1b such thing\""
        )
        let offered = WebSocketError(
            .openingRefused,
            "The server refused the opening handshake with 400; it may not take the offer of x-kaazing-handshake.",
            response: HandshakeResponse(status: 400, reason: ""),
            phase: .opening
        )
        #expect(CommandFailure(offered, offered: true).sentence.contains("; --extended off asks without"))
        // Whoever requires it has no use for that.
        #expect(!CommandFailure(offered).sentence.contains("--extended off"))
        let lost = WebSocketError(.connectFailed, "The connection failed: connection reset by the peer.", phase: .tls)
        #expect(!CommandFailure(lost).sentence.contains("listening"))
        let tls = CommandFailure(
            WebSocketError(
                .tlsFailed,
                "TLS failed: the server's certificate could not be verified.",
                detail: .untrustedCertificate
            )
        )
        #expect(tls.sentence.hasPrefix("TLS failed: the server's certificate could not be verified; --cacert"))
    }
}
