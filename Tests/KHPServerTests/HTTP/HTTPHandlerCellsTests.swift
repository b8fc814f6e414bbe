// Each cell of the table in HTTPHandler's header: the phase behind the event, and the status that was written.

import KHPProtocol
import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import KHPServer

@Suite("Each cell of the table of ordinary HTTP") struct HTTPHandlerCellsTests {
    private enum Event: CaseIterable { case bytes, end, drain, deadline }

    private static let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    private static let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n"

    /// A connection in that phase.
    private static func connection(in phase: String) throws -> MemoryHTTP {
        let isServed = ["waiting", "skipping"].contains(phase)
        let http = try MemoryHTTP { exchange in
            // The server's own answer is written while nobody waits for room.
            if phase == "leaving" { return }
            if isServed { try await exchange.respond(.text("fine")) } else { await MemoryHTTP.parked() }
        }
        switch phase {
        case "waiting", "exchanging": try http.receive(Self.get)
        case "inside a head":
            try http.receive("GET / HT")
        case "with content":
            try http.receive(Self.post)
            // The application waits for it.
            _ = http.handler.nextContent(of: try http.exchange())
        case "half-closed":
            try http.receive(Self.get)
            http.channel.endInput()
        case "skipping": try http.receive(Self.post)
        case "leaving":
            http.channel.isWritable = false
            try http.receive(Self.get)
        case "ending":
            try http.receive(Self.get)
            http.wire.isStuck = true
            http.handler.endConnection()
        default:
            try http.receive(Self.get)
            http.handler.cut()
        }
        _ = try? http.written()
        return http
    }

    private static func apply(_ event: Event, to http: MemoryHTTP) throws {
        switch event {
        // The rest of a content, and more than that.
        case .bytes: try? http.receive(http.phase == "waiting" ? Self.get : "abcdef")
        case .end: http.channel.endInput()
        case .drain: http.handler.goAway()
        // The times are of the clock, so they end now instead.
        case .deadline:
            for kind in HTTPDeadlines.Kind.allCases where http.handler.deadlines.has(kind) {
                http.handler.deadlines.begin(kind, .now())
            }
            http.handler.settle()
            http.loop.advanceTime(to: .now())
        }
    }

    private struct Outcome: Equatable {
        var phase: String
        var written = ""

        init(_ phase: String, _ written: String = "") {
            self.phase = phase
            self.written = written
        }
    }

    /// The outcomes of bytes, the end of the client's, a drain, and the deadline, where one is set.
    private static let rows: [(phase: String, outcomes: [Outcome])] = [
        ("waiting", [Outcome("waiting", "200"), Outcome("over"), Outcome("ending"), Outcome("ending")]),
        ("inside a head", [Outcome("over", "400"), Outcome("over"), Outcome("ending"), Outcome("ending", "408")]),
        ("exchanging", [Outcome("exchanging"), Outcome("exchanging"), Outcome("exchanging"), Outcome("exchanging")]),
        ("with content", [Outcome("exchanging"), Outcome("exchanging"), Outcome("exchanging"), Outcome("exchanging")]),
        ("half-closed", [Outcome("exchanging"), Outcome("exchanging"), Outcome("exchanging"), Outcome("over")]),
        ("skipping", [Outcome("waiting"), Outcome("over"), Outcome("ending"), Outcome("ending")]),
        ("leaving", [Outcome("leaving"), Outcome("leaving"), Outcome("ending"), Outcome("over")]),
        ("ending", [Outcome("ending"), Outcome("ending"), Outcome("ending"), Outcome("over")]),
        ("over", [Outcome("over"), Outcome("over"), Outcome("over"), Outcome("over")]),
    ]

    @Test("each event in each phase")
    func everyCell() throws {
        for row in Self.rows {
            for (event, expected) in zip(Event.allCases, row.outcomes) {
                let http = try Self.connection(in: row.phase)
                let before = String(row.phase.split(separator: " ")[0])
                if ["waiting", "exchanging", "skipping", "leaving", "ending", "over"].contains(before) {
                    #expect(http.phase == before, "the way to \(row.phase)")
                }
                if event == .deadline {
                    let isBound = !["exchanging", "over"].contains(row.phase)
                    #expect((http.handler.deadlines.next != nil) == isBound, "\(row.phase)")
                }
                try Self.apply(event, to: http)
                let written = (try? http.written()) ?? ""
                let outcome = Outcome(http.phase, String(written.split(separator: " ").dropFirst().first ?? ""))
                #expect(outcome == expected, "\(row.phase) × \(event)")
            }
        }
    }
}
