// The table of the connection: each stage, with the states of its handshake, against each event, in both roles. A cell is
// the stage that follows, then the actions that the shell gets, then the bytes that go out.

import KHPTesting
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
        case end, reset, gone, deadline, close, send, ping
        /// Answers of the shell.
        case accept, refuse, answer, replay, credentials
    }

    static let client = """
        stage       | bytes | garbage | end | reset | gone | deadline | close | send | ping | accept | refuse | answer | replay | credentials
        """

    static let server = """
        stage       | bytes
        """

    @Test(arguments: TableRun.stages(.client))
    func client(_ stage: String) throws { try self.check(stage, .client, Self.client) }

    @Test(arguments: TableRun.stages(.server))
    func server(_ stage: String) throws { try self.check(stage, .server, Self.server) }

    private func check(_ stage: String, _ role: Role, _ table: String) throws {
        let rows = table.split(separator: "\n").map { row in
            row.split(separator: "|", omittingEmptySubsequences: false)
                .map { $0.split(separator: " ").joined(separator: " ") }
        }
        var cells = [stage]
        for event in Event.allCases {
            var run = try TableRun(role, stage)
            cells.append(run.outcome(of: event))
        }
        print("ROW", role, cells.joined(separator: " | "))
        let expected = try #require(rows.first { $0.first == stage }, "the table has no row for \(stage)")
        for (name, (cell, known)) in zip(Event.allCases, zip(cells.dropFirst(), expected.dropFirst())) {
            #expect(cell == known, "\(stage), \(name)")
        }
        #expect(expected.count == cells.count)
    }
}
