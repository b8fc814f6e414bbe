import Foundation
import KHPProtocol
import Logging
import NIOCore
import Synchronization
import Testing

@testable import KHPCommand

/// The one way out, over pipes: the order of lines, what is dropped, the prompt, a reader that leaves.
@Suite(.timeLimit(.minutes(1)))
struct ConsoleTests {
    @Test("each renderer has its lines, on its stream")
    func renderers() throws {
        let piped = PipedConsole()
        piped.console.use(ReportingOptions.renderers(json: true, piped.console, [:]), whenFull: .wait)
        piped.console.report(.listening(host: "::1", port: 80, isSecure: true))
        piped.console.report(.message(.text("hi")))
        piped.console.report(.warning("careful"))
        piped.console.report(.failure(.usage("wrong")))
        #expect(
            try piped.text()
                == #"{"event":"listening","t":1.5,"host":"::1","port":80,"tls":true}"# + "\n"
                + #"{"event":"message","t":1.5,"kind":"text","text":"hi","bytes":2}"# + "\n"
                + #"{"event":"error","t":1.5,"code":"invalid-argument","message":"wrong","exit":2}"# + "\n"
        )
        #expect(
            try piped.text(.standardError) == "listening on wss://[::1]:80\nkhp: warning: careful\nkhp: wrong\n"
        )
    }

    @Test("without --json standard output has the payload alone")
    func payload() async throws {
        let piped = PipedConsole()
        await piped.console.write(.message(.text("a\u{1B}b")))
        await piped.console.write(.message(.binary(ByteBuffer(bytes: [0, 255]))))
        piped.console.report(.closed(CloseInfo(code: .normalClosure, reason: "", clean: true, initiator: .peer)))
        piped.console.report(.result("done"))
        piped.console.flush()
        #expect(
            piped.read()
                == String(decoding: Array("a\u{1B}b\n".utf8) + [0, 255, 10] + Array("done\n".utf8), as: UTF8.self)
        )
    }

    @Test("lines that nobody reads are dropped, counted, and told of")
    func drops() throws {
        let piped = PipedConsole(highWaterMark: 100_000)
        piped.console.use(ReportingOptions.renderers(json: true, piped.console, [:]), whenFull: .drop)
        // Far more than the pipe and the queue hold; none of these waits.
        for _ in 0..<20 { piped.console.report(.message(.text(String(repeating: "x", count: 50_000)))) }
        var seen = ""
        while seen.count(where: { $0 == "\n" }) < 2 { seen += piped.read() }
        while true {
            piped.console.report(.message(.text("behind")))
            seen += piped.read()
            if seen.contains("behind") { break }
        }
        #expect(seen.contains(#"{"event":"dropped","t":1.5,"count":"#))
        #expect(
            try #require(seen.firstRange(of: "dropped")).lowerBound < #require(seen.firstRange(of: "behind")).lowerBound
        )
    }

    @Test("behind a line that is longer than the bound there is room for the next")
    func longLine() throws {
        let piped = PipedConsole(highWaterMark: 100_000)
        piped.console.use(ReportingOptions.renderers(json: true, piped.console, [:]), whenFull: .drop)
        piped.console.report(.message(.text(String(repeating: "x", count: 300_000))))
        // It is being written, and the pipe does not hold all of it.
        var seen = piped.read()
        piped.console.report(.message(.text("behind")))
        while !seen.contains("\n") { seen += piped.read() }
        seen += try piped.text()
        #expect(seen.contains("behind") && !seen.contains("dropped"))
    }

    @Test("a prompt is taken away before a line and drawn again behind it")
    func prompt() throws {
        let piped = PipedConsole(terminals: .init(output: true, errors: true))
        piped.console.setPrompt("> half")
        piped.console.report(.message(.text("hi\u{7}")))
        piped.console.keepTyped("> typed")
        let erase = "\r\u{1B}[K"
        #expect(try piped.text() == "\(erase)> half\(erase)< hi\\x07\n> half\(erase)> typed\n")
    }

    @Test("a reader that leaves is told of once, and is no failure")
    func readerLeaves() async throws {
        signal(SIGPIPE, SIG_IGN)
        let piped = PipedConsole()
        try piped.closeReader()
        let losses = Mutex<[OutputLoss]>([])
        piped.console.onLoss { loss in losses.withLock { $0.append(loss) } }
        for _ in 0..<3 { await piped.console.write(.result("x")) }
        #expect(losses.withLock { $0 } == [.readerLeft])
        #expect(piped.console.failure == nil)
    }
}

/// Which report becomes what on the ladder and as JSON.
struct RendererTests {
    private let client = ConnectionInfo(id: 1, role: .client, peer: "p")
    private let server = ConnectionInfo(id: 7, role: .server, peer: "p")

    @Test("JSON: a server's objects name their connection and hold its messages; a client's come from elsewhere")
    func roles() {
        let renderer = JSONRenderer()
        let frame = ConnectionEvent.frameReceived(FrameInfo(kind: .text, payload: ByteBuffer(string: "hi")))
        let closed = ConnectionEvent.closed(CloseInfo(code: .normalClosure, reason: "", clean: true, initiator: .peer))
        #expect(renderer.lines(for: .connection(frame, self.client), at: .zero).isEmpty)
        #expect(renderer.lines(for: .connection(closed, self.client), at: .zero).isEmpty)
        let line = Line(
            #"{"event":"message","t":0.0,"connection":7,"kind":"text","text":"hi","bytes":2}"#,
            to: .standardOutput
        )
        #expect(renderer.lines(for: .connection(frame, self.server), at: .zero) == [line])
        #expect(renderer.lines(for: .connection(closed, self.server), at: .zero).count == 1)
    }

    @Test("ladder: heads with --trace alone, remarks, nothing of notes")
    func ladder() {
        let event = ConnectionEvent.openingRequest(head: "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for (trace, count) in [(false, 1), (true, 3)] {
            var renderer = LadderRenderer(trace: trace, style: Style(isEnabled: false))
            #expect(renderer.lines(for: .connection(event, self.client), at: .zero).count == count)
            #expect(renderer.lines(for: .remark("asked"), at: .zero).first?.stream == .standardError)
            #expect(renderer.lines(for: .note("x"), at: .zero).isEmpty)
        }
    }

    @Test("a log record is one line, with its details")
    func warnings() {
        #expect(WarningLog.sentence("no TLS", ["origin": "ws://h", "a": "b\n"]) == "no TLS (a: b\\n, origin: ws://h)")
        #expect(WarningLog.sentence("plain", [:]) == "plain")
    }

    @Test("records from notice upwards reach standard error")
    func levels() throws {
        let piped = PipedConsole()
        let logger = WarningLog.logger(piped.console)
        logger.info("not this")
        logger.notice("this")
        logger.warning("and this", metadata: ["peer": "p"])
        #expect(try piped.text(.standardError) == "khp: warning: this\nkhp: warning: and this (peer: p)\n")
    }
}
