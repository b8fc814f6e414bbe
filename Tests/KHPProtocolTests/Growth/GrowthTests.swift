// Work grows no faster than a peer's input. `Benchmarks` counts instructions; here it is processor time, and the table
// of what was counted is held to its bounds.

import TestSupport
import Testing

@Suite("work grows in proportion to what a peer sends", .serialized)
struct GrowthTests {
    @Test("four times the input costs nowhere near sixteen times the work", arguments: GrowthRow.all.map(\.name))
    func growth(_ name: String) throws {
        let row = try #require(GrowthRow.all.first { $0.name == name })
        #expect(Growth.fault(limit: row.limit, row.work) == nil)
    }

    @Test("an input at the limit is not refused, unless its row says why", arguments: GrowthRow.all.map(\.name))
    func accepted(_ name: String) throws {
        let row = try #require(GrowthRow.all.first { $0.name == name })
        let outcome = try row.outcome()
        #expect((outcome == nil) == (row.refusal == nil), "\(outcome ?? "accepted")")
    }

    @Test("the table of instructions has these rows, and holds them to their bounds")
    func table() throws {
        #expect(try GrowthRow.faults(of: GrowthRow.all, module: "KHPProtocol") == [])
    }

    @Test("work between a line and a square is seen, and a line is none", arguments: [true, false])
    func judges(_ isLine: Bool) {
        let fault = Growth.fault(limit: 512) { bytes in
            let turns = bytes * 20 * (isLine ? 1 : Int(Double(bytes).squareRoot()))
            return { _ = (0..<turns).reduce(0, &+) }
        }
        #expect((fault == nil) == isLine, "\(fault ?? "none")")
    }

    @Test("a row of the table that grows, takes its time, does nothing or is another's is a fault")
    func judgesTable() {
        let rows = ["a", "b"].map { GrowthRow($0, limit: 4) { _ in {} } }
        func faults(_ lines: String...) -> [String] {
            GrowthRow.faults(of: rows, in: "## What M reads\n\n" + lines.joined(separator: "\n"), module: "M")
        }
        let good = "| a | 4 | 9000 | 36000 | 4.00 | 1.000 |  |"
        #expect(faults(good, "| b | 4 | 9000 | 41400 | 4.60 | 4.999 |  |") == [])
        #expect(faults(good, "| b | 4 | 9000 | 41490 | 4.61 | 4.999 |  |") == ["b: 4.61 times the work"])
        #expect(faults(good, "| b | 4 | 90 | 900 | 10.00 | 4.999 |  |") == [])
        #expect(faults(good, "| b | 4 | 9000 | 36000 | 4.00 | 5.001 |  |") == ["b: 5.001 ms"])
        #expect(faults(good, "| b | 4 | 9000 | 9000 | 1.00 | 1.000 |  |") == ["b: 1.0 times the work, and no bound"])
        #expect(faults(good).count == 1 && faults(good, "| c | 4 | 9 | 36 | 4.00 | 1 |  |").count == 1)
        #expect(faults(good, "", "## What N reads", "| b | 4 | 9 | 36 | 4.00 | 1 |  |").count == 1)
    }
}
