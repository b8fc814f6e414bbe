// Work grows no faster than a peer's input. `Benchmarks` counts instructions; here it is processor time.

import TestSupport
import Testing

@testable import KHPProtocol

@Suite("work grows in proportion to what a peer sends", .serialized)
struct GrowthTests {
    @Test("four times the input costs nowhere near sixteen times the work", arguments: GrowthRow.all.map(\.name))
    func growth(_ name: String) throws {
        let row = try #require(GrowthRow.all.first { $0.name == name })
        #expect(Growth.fault(limit: row.limit, row.prepare) == nil)
    }
}
