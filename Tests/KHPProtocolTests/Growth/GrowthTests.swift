// Work grows no faster than a peer's input. `Benchmarks` counts instructions; here it is processor time.

import TestSupport
import Testing

@Suite("work grows in proportion to what a peer sends", .serialized)
struct GrowthTests {
    @Test("four times the input costs nowhere near sixteen times the work", arguments: GrowthRow.all.map(\.name))
    func growth(_ name: String) throws {
        let row = try #require(GrowthRow.all.first { $0.name == name })
        let fault = Growth.fault(limit: row.limit) { bytes in
            let work = try? row.prepare(bytes)
            return { try? work?() }
        }
        #expect(fault == nil)
    }

    @Test("an input at the limit is not refused, unless its row says why", arguments: GrowthRow.all.map(\.name))
    func accepted(_ name: String) throws {
        let row = try #require(GrowthRow.all.first { $0.name == name })
        let work = try row.prepare(row.limit)
        var refusal: (any Error)?
        do { try work() } catch { refusal = error }
        let outcome = refusal.map { "\($0)" } ?? "accepted"
        #expect((refusal != nil) == (row.refusal != nil), "\(outcome)")
    }
}
