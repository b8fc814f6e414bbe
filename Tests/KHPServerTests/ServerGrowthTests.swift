// Work of the server's own readers is in proportion to their bytes: users files, queries, cookies, addresses.

import TestSupport
import Testing

@Suite("work grows in proportion to what the server reads", .serialized)
struct ServerGrowthTests {
    @Test("four times the input costs nowhere near sixteen times the work", arguments: GrowthRow.server.map(\.name))
    func growth(_ name: String) throws {
        let row = try #require(GrowthRow.server.first { $0.name == name })
        #expect(Growth.fault(limit: row.limit, row.work) == nil)
    }

    @Test("an input at the limit is not refused, unless its row says why", arguments: GrowthRow.server.map(\.name))
    func accepted(_ name: String) throws {
        let row = try #require(GrowthRow.server.first { $0.name == name })
        let outcome = try row.outcome()
        #expect((outcome == nil) == (row.refusal == nil), "\(outcome ?? "accepted")")
    }

    @Test("the table of instructions has these rows, and holds them to their bounds")
    func table() throws {
        #expect(try GrowthRow.faults(of: GrowthRow.server, module: "KHPServer") == [])
    }
}
