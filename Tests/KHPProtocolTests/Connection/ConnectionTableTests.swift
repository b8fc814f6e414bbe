// The table of the connection: each stage, with the states of its handshake, against each event, in both roles.

import NIOCore
import Testing

@testable import KHPProtocol

@Suite("The table of the connection")
struct ConnectionTableTests {
    /// The events that may come in every stage.
    enum Event: String, CaseIterable {
        /// Bytes that the stage expects.
        case bytes
        /// Bytes that make no sense in it.
        case garbage
        /// The peer ends its stream, in order or not; the transport goes.
        case end, reset, gone
        case deadline
        /// The application's, which may come too early or too late.
        case close, send, ping
        /// The shell's answers to an opening request, an extended request, a 401 of the opening and one inside, which may
        /// come too late.
        case accept, refuse, answer, replay, credentials

        /// The cell of an event that changes nothing.
        func leavesAlone(_ stage: String) -> String {
            switch self {
            case .send, .ping: "\(stage) throws closed"
            case .replay: "\(stage) not sent"
            case .deadline: "none"
            default: stage
            }
        }
    }

    /// The stage that follows, then the actions that the shell gets, then the first of the bytes that go out. Whatever is
    /// not here leaves the connection alone.
    static let client: [String: [Event: String]] = [
        "connecting": [
            .bytes: "bug", .garbage: "bug", .end: "ended: closed 1006",
            .reset: "ended: failed connect-failed, closed 1006", .gone: "ended: closed 1006",
            .deadline: "ended: failed timeout, closed 1006", .close: "ended: closed 1006",
        ],
        "opening": [
            .bytes: "open: opened", .garbage: "ended: failed opening-invalid, closed 1006",
            .end: "ended: failed closed-during-handshake, closed 1006",
            .reset: "ended: failed connect-failed, closed 1006",
            .gone: "ended: failed closed-during-handshake, closed 1006",
            .deadline: "ended: failed timeout, closed 1006", .close: "ended: closed 1006",
        ],
        "challenged": [
            .end: "ended: closed 1006", .reset: "ended: closed 1006", .gone: "ended: closed 1006",
            .close: "ended: closed 1006", .replay: "opening sent: → request",
        ],
        "extended": [
            .bytes: "open: opened", .garbage: "ended: failed protocol-violation, closed 1002, → close 1002",
            .end: "ended: failed closed-during-handshake, closed 1006",
            .reset: "ended: failed closed-during-handshake, closed 1006",
            .gone: "ended: failed closed-during-handshake, closed 1006",
            .deadline: "leaving: failed timeout, → close 1008", .close: "leaving: failed closed, → close 1001",
        ],
        "challenged inside": [
            .bytes: "leaving: failed extended-invalid, → close 1011",
            .garbage: "ended: failed protocol-violation, closed 1002, → close 1002",
            .end: "ended: failed closed-during-handshake, closed 1006",
            .reset: "ended: failed closed-during-handshake, closed 1006",
            .gone: "ended: failed closed-during-handshake, closed 1006",
            .close: "leaving: failed closed, → close 1001", .credentials: "extended: → binary",
        ],
        "open": [
            .bytes: "open: message", .garbage: "ended: closed 1002, → close 1002", .end: "ended: closed 1006",
            .reset: "ended: closed 1006", .gone: "ended: closed 1006", .deadline: "open: → ping",
            .close: "open: → close 1001", .send: "open: → text", .ping: "open: → ping",
        ],
        "close held": [
            .reset: "ended: closed 1000, → close 1000", .gone: "ended: closed 1000, → close 1000",
            .deadline: "open: → close 1000", .close: "open: → close 1000",
            .send: "open: → text", .ping: "open: → ping",
        ],
        "closing": [
            .bytes: "open: message", .garbage: "ended: closed 1006", .end: "ended: closed 1006",
            .reset: "ended: closed 1006", .gone: "ended: closed 1006", .deadline: "ended: closed 1006",
        ],
        "leaving": [
            .garbage: "ended: closed 1006", .end: "ended: closed 1006",
            .reset: "ended: closed 1006", .gone: "ended: closed 1006", .deadline: "ended: closed 1006",
        ],
        "unread": [:],
        "ended": [:],
    ]

    static let server: [String: [Event: String]] = [
        "connecting": [
            .bytes: "bug", .garbage: "bug", .end: "ended: closed 1006", .reset: "ended: closed 1006",
            .gone: "ended: closed 1006", .deadline: "ended: closed 1006", .close: "ended: closed 1006",
        ],
        "reading": [
            .bytes: "deciding: plainRequest", .garbage: "ended: closed 1006, → 400", .end: "ended: closed 1006",
            .reset: "ended: closed 1006", .gone: "ended: closed 1006", .deadline: "ended: closed 1006, → 408",
            .close: "ended: closed 1006", .refuse: "ended: closed 1006, → 404",
        ],
        "deciding": [
            .reset: "ended: closed 1006", .deadline: "ended: closed 1006, → 503", .close: "ended: closed 1006",
            .accept: "open: opened, → 101", .refuse: "ended: closed 1006, → 404",
        ],
        "deciding plain": [
            .reset: "ended: closed 1006", .deadline: "ended: closed 1006, → 503", .close: "ended: closed 1006",
            .refuse: "ended: closed 1006, → 404",
        ],
        "awaiting key": [
            .bytes: "open: opened, → 101", .end: "ended: closed", .reset: "ended: closed", .gone: "ended: closed",
            .deadline: "ended: closed, → 408", .close: "ended: closed",
        ],
        "extended": [
            .bytes: "extended: decideExtended",
            .garbage: "ended: failed protocol-violation, closed 1002, → close 1002", .end: "ended: closed 1006",
            .reset: "ended: closed 1006", .gone: "ended: closed 1006",
            .deadline: "leaving: failed timeout, → close 1008", .close: "leaving: failed closed, → close 1001",
        ],
        "deciding inside": [
            .bytes: "leaving: failed extended-invalid, → binary",
            .garbage: "ended: failed protocol-violation, closed 1002, → close 1002", .end: "ended: closed 1006",
            .reset: "ended: closed 1006", .gone: "ended: closed 1006",
            .deadline: "leaving: failed timeout, → binary", .close: "leaving: failed closed, → close 1001",
            .answer: "open: opened, → binary",
        ],
        "open": [
            .bytes: "open: message", .garbage: "ended: closed 1002, → close 1002", .end: "ended: closed 1006",
            .reset: "ended: closed 1006", .gone: "ended: closed 1006", .deadline: "open: → ping",
            .close: "open: → close 1001", .send: "open: → text", .ping: "open: → ping",
        ],
        "close held": [
            .reset: "ended: closed 1000, → close 1000", .gone: "ended: closed 1000, → close 1000",
            .deadline: "ended: closed 1000, → close 1000", .close: "ended: closed 1000, → close 1000",
            .send: "open: → text", .ping: "open: → ping",
        ],
        "closing": [
            .bytes: "open: message", .garbage: "ended: closed 1006", .end: "ended: closed 1006",
            .reset: "ended: closed 1006", .gone: "ended: closed 1006", .deadline: "ended: closed 1006",
        ],
        "leaving": [
            .bytes: "ended: closed 1000", .garbage: "ended: closed 1006", .end: "ended: closed 1006",
            .reset: "ended: closed 1006", .gone: "ended: closed 1006", .deadline: "ended: closed 1006",
        ],
        "unread": [:],
        "ended": [:],
    ]

    @Test(arguments: TableRun.stages(.client))
    func client(_ stage: String) throws { try self.check(stage, .client, Self.client) }

    @Test(arguments: TableRun.stages(.server))
    func server(_ stage: String) throws { try self.check(stage, .server, Self.server) }

    private func check(_ stage: String, _ role: Role, _ table: [String: [Event: String]]) throws {
        let row = try #require(table[stage], "the table has no row for \(stage)")
        for event in Event.allCases where row[event] != "bug" {
            var run = try TableRun(role, stage)
            let before = run.name
            #expect(run.outcome(of: event) == row[event] ?? event.leavesAlone(before), "\(stage), \(event)")
        }
    }

    @Test("bytes before the transport is ready are our own bug")
    func bytesAhead() async {
        #expect(Self.client["connecting"]?[.bytes] == "bug" && Self.server["connecting"]?[.bytes] == "bug")
        await #expect(processExitsWith: .failure) {
            var run = try TableRun(.client, "connecting")
            _ = run.outcome(of: .bytes)
        }
        await #expect(processExitsWith: .failure) {
            var run = try TableRun(.server, "connecting")
            _ = run.outcome(of: .bytes)
        }
    }
}
