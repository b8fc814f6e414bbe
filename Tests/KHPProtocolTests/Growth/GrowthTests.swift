// Work grows no faster than a peer's input. `Benchmarks` counts instructions; here it is processor time.

import Foundation
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

    /// The rows of the table that `Benchmarks/run.sh growth` has written.
    private static func table() throws -> [(name: String, ratio: Double)] {
        let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../..")
        let text = try String(contentsOf: root.appending(path: "Benchmarks/growth.md"), encoding: .utf8)
        return text.split(separator: "\n").compactMap { line in
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            guard cells.count >= 6, let ratio = Double(cells[4]) else { return nil }
            return (cells[0], ratio)
        }
    }

    @Test("the table of instructions has these rows, and each grows with its input, unless it names its bound")
    func table() throws {
        let table = try Self.table()
        #expect(table.map(\.name) == GrowthRow.all.map(\.name), "run Benchmarks/run.sh growth")
        for (name, ratio) in table {
            guard let row = GrowthRow.all.first(where: { $0.name == name }) else { continue }
            #expect(ratio >= 2 || row.bound != nil, "\(name): \(ratio)")
        }
    }
}
