import KHPGateway
import KHPProtocol
import Testing

@testable import KHPCommand

/// The output on standard output and on the terminal: JSON lines, escaping, redaction, the ladder.
struct OutputTests {
    @Test("keys keep their order, nil is absent, strings are escaped")
    func json() {
        var object = JSONObject()
        object.set("event", "message")
        object.set("status", Int?.none)
        object.set("text", "a\"\\\n\u{1}\u{7F}é😀")
        object.set("bytes", 3)
        object.set("t", .number(0.25))
        var inner = JSONObject()
        inner.set("ok", .bool(true))
        object.set("list", .array([inner.tree, .integer(1)]))
        #expect(
            object.line
                == #"{"event":"message","text":"a\"\\\n\u0001\u007fé😀","bytes":3,"t":0.25,"list":[{"ok":true},1]}"#
        )
    }

    @Test("a message has the text that was sent, and a close its reason, whatever characters of theirs look like")
    func exactText() {
        let text = "a\u{10FFE4}b\u{10FF9B}c"
        #expect(Events.message(.text(text)).line.contains("\"text\":\"\(text)\",\"bytes\":11"))
        let close = CloseInfo(code: .normalClosure, reason: text, clean: true, initiator: .peer)
        #expect(Events.close(close).line.contains("\"reason\":\"\(text)\""))
    }

    @Test("an error event has the contract's keys")
    func errorEvent() {
        let failure = CommandFailure(.timeout, code: "timeout", "it took too long", url: "ws://a/", httpStatus: nil)
        let line = Events.error(failure).line
        #expect(line.hasPrefix(#"{"event":"error","t":"#))
        #expect(line.hasSuffix(#","code":"timeout","message":"it took too long","url":"ws://a/","exit":7}"#))
    }

    @Test("a close event has a reason where there is a code, and neither where there is none")
    func closeEvent() {
        let coded = CloseInfo(code: .normalClosure, reason: "", clean: true, initiator: .local)
        #expect(Events.close(coded).line.hasSuffix(#","code":1000,"reason":"","clean":true,"by":"local"}"#))
        let bare = CloseInfo(code: nil, reason: "", clean: true, initiator: .peer)
        let line = Events.close(bare).line
        #expect(line.hasSuffix(#","clean":true,"by":"peer"}"#) && !line.contains("reason"))
    }

    @Test("a close of ours that nobody answers has not the code that we sent; a violation keeps its own")
    func unansweredClose() {
        let lost = WebSocketError(.closed, "x", phase: .closing)
        let bye = CloseInfo(code: .goingAway, reason: "bye", clean: false, initiator: .local, error: lost)
        #expect(Events.close(bye).line.hasSuffix(#","code":1006,"reason":"","clean":false,"by":"local"}"#))
        let fault = WebSocketError(.protocolViolation, "x", phase: .open)
        let failed = CloseInfo(code: .protocolError, reason: "x", clean: false, initiator: .local, error: fault)
        #expect(Events.close(failed).line.hasSuffix(#","code":1002,"reason":"x","clean":false,"by":"local"}"#))
    }

    @Test(
        "control characters cannot reach a terminal",
        arguments: [
            ("plain é 😀", "plain é 😀"), ("\u{1B}[31mred", "\\x1b[31mred"), ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{9B}1m", "\\u{9b}1m"), ("x\u{202E}y", "x\\u{202e}y"), ("\u{7F}\u{0}", "\\x7f\\x00"),
        ]
    )
    func escaping(text: String, expected: String) {
        #expect(TerminalText.escaped(text) == expected)
    }

    @Test("previews: text in quotes, other bytes in hexadecimal, never half a character")
    func preview() {
        #expect(TerminalText.preview(Array("hé".utf8)) == "\"hé\"")
        #expect(TerminalText.preview([0, 255]) == "00ff")
        #expect(TerminalText.preview(Array("aé".utf8), limit: 2) == "\"a\"…")
    }

    @Test("a step has its layer, its direction and the time since the step before")
    func ladder() {
        var ladder = Ladder(style: Style(isEnabled: false))
        let first = ladder.step(.tcp, .sent, "connecting", at: 0.0004)
        let second = ladder.step(.khp, .received, "101", at: 0.0129)
        #expect(first == "   0.000         —  tcp  → connecting")
        #expect(second == "   0.013  +12.5 ms  khp  ← 101")
        #expect(
            ladder.detail("GET / HTTP/1.1\r\nHost: a\u{1B}\r\n\r\n").map { $0.trimmed } == [
                "│ GET / HTTP/1.1", "│ Host: a\\x1b",
            ]
        )
    }

    @Test("colours only on a terminal and unless NO_COLOR is set")
    func colours() {
        #expect(Style(isEnabled: true)("x", .red) == "\u{1B}[31mx\u{1B}[0m")
        #expect(!Style(isTerminal: false, environment: [:]).isEnabled)
        #expect(Style(isTerminal: true, environment: [:]).isEnabled)
        #expect(!Style(isTerminal: true, environment: ["NO_COLOR": "1"]).isEnabled)
        #expect(!Style(isTerminal: true, environment: ["TERM": "dumb"]).isEnabled)
    }
}

extension String {
    fileprivate var trimmed: String { String(drop { $0 == " " }) }
}
