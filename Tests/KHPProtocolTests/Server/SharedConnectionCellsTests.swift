// Each cell of the table in SharedConnection's header: what the peer sends, and what the host answers, in each state.

import KHPProtocol
import NIOCore
import Testing

@Suite("Each cell of the table of a shared connection")
struct SharedConnectionCellsTests {
    private enum State: CaseIterable { case head, insideHead, content, waiting, held, theirs, ours }

    private static let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    private static let ours = "GET /ours HTTP/1.1\r\nHost: h\r\n\r\n"
    private static let upgrade = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: other\r\n\r\n"
    private static let post = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n"
    private static let connect = "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n"
    private static let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    private static let switched = "HTTP/1.1 101 Go\r\nUpgrade: other\r\n\r\n"
    private static let endless = "HTTP/1.1 200 OK\r\n\r\n"

    private struct Run {
        var connection = SharedConnection(limits: HeadLimits()) { $0.target == "/ours" }
        var theirs = ""
        var ours: String?

        init(_ state: State) {
            switch state {
            case .head: break
            case .insideHead: self.receive("GET /")
            case .content: self.receive(SharedConnectionCellsTests.post + "a")
            case .waiting: self.receive(SharedConnectionCellsTests.upgrade)
            case .held: self.receive(SharedConnectionCellsTests.get + SharedConnectionCellsTests.ours)
            case .theirs: self.receive(SharedConnectionCellsTests.connect)
            case .ours: self.receive(SharedConnectionCellsTests.ours)
            }
            self.theirs = ""
            if state != .ours { self.ours = nil }
        }

        mutating func receive(_ text: String) {
            self.connection.receive(ByteBuffer(string: text))
            self.take()
        }

        mutating func answer(_ text: String) {
            self.connection.send(ByteBuffer(string: text))
            self.take()
        }

        mutating func take() {
            while let step = self.connection.next() {
                switch step {
                case .theirs(let bytes): self.theirs += String(buffer: bytes)
                case .ours(let bytes): self.ours = String(buffer: bytes)
                }
            }
        }

        /// The state, as far as one can tell from outside.
        var name: String {
            if self.ours != nil { return "ours" }
            if self.connection.isTheirs { return "theirs" }
            if self.connection.isHolding { return "holding" }
            return self.connection.isInsideHead ? "inside a head" : "watching"
        }
    }

    @Test("what the peer sends")
    func bytes() {
        let unreadable = "\u{0}\r\n\r\n"
        // The state, the bytes, the state behind them, and what of them goes to the others.
        let rows: [(State, String, String, String)] = [
            (.head, Self.get, "watching", Self.get),
            (.head, "\r\n", "watching", "\r\n"),
            (.head, Self.ours, "ours", ""),
            (.head, Self.post + "abc", "watching", Self.post + "abc"),
            (.head, Self.upgrade, "watching", Self.upgrade),
            (.head, Self.connect, "theirs", Self.connect),
            (.head, unreadable, "theirs", unreadable),
            (.head, Self.get + Self.ours, "holding", Self.get),
            (.insideHead, " HTTP/1.1\r\n\r\n", "watching", "GET / HTTP/1.1\r\n\r\n"),
            (.insideHead, "ours HTTP/1.1\r\n\r\n", "ours", ""),
            (.insideHead, " nonsense\r\n\r\n", "theirs", "GET / nonsense\r\n\r\n"),
            (.content, "b", "watching", "b"),
            (.content, "bc" + Self.get, "watching", "bc" + Self.get),
            (.content, "bc" + Self.ours, "holding", "bc"),
            (.waiting, Self.ours, "holding", ""),
            (.held, "more", "holding", ""),
            (.theirs, Self.ours, "theirs", Self.ours),
            (.ours, "more", "ours", ""),
        ]
        for (state, bytes, name, passed) in rows {
            var run = Run(state)
            run.receive(bytes)
            #expect(run.name == name, "\(state) × \(bytes)")
            #expect(run.theirs == passed, "\(state) × \(bytes)")
        }
    }

    @Test("what the host answers")
    func answers() {
        let rows: [(State, String, String, String)] = [
            // Nothing is owed: it is not known what this answers.
            (.head, Self.ok, "theirs", ""),
            (.insideHead, Self.ok, "theirs", "GET /"),
            (.content, Self.ok, "watching", ""),
            (.content, Self.endless, "theirs", ""),
            (.content, "HTTP/1.1 103 Early\r\n\r\n", "watching", ""),
            (.waiting, Self.ok, "watching", ""),
            (.waiting, Self.switched, "theirs", ""),
            (.held, Self.ok, "ours", ""),
            (.held, Self.switched, "theirs", Self.ours),
            (.held, Self.endless, "theirs", Self.ours),
            (.held, "HTTP/1.1 2", "holding", ""),
            (.theirs, Self.ok, "theirs", ""),
            (.ours, Self.ok, "ours", ""),
        ]
        for (state, bytes, name, passed) in rows {
            var run = Run(state)
            run.answer(bytes)
            #expect(run.name == name, "\(state) × \(bytes)")
            #expect(run.theirs == passed, "\(state) × \(bytes)")
            if name == "ours", state == .held { #expect(run.ours == Self.ours) }
        }
    }

    @Test("giving up, and leaving a request of ours to the others")
    func givingUp() {
        for state in State.allCases {
            var run = Run(state)
            let given = run.connection.giveUp().map { String(buffer: $0) }
            let expected: String? =
                switch state {
                case .head, .content, .waiting, .theirs, .ours: nil
                case .insideHead: "GET /"
                case .held: Self.ours
                }
            #expect(given == expected, "\(state)")
            #expect(run.connection.isTheirs == (state != .ours), "\(state)")
            run.connection.leave()
            run.ours = nil
            run.receive(Self.ours)
            #expect(run.name == "theirs" && run.theirs == Self.ours, "\(state)")
        }
    }
}
