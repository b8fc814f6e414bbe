// A bounded number of seeds against the invariants, in a debug build with all of its assertions. `make simulate` runs a
// million in a release build; a failing seed prints the command that plays it again.

import Foundation
import KHPProtocol
import Testing

@Suite("Simulation")
struct SimulationTests {
    private static let seeds: UInt64 =
        ProcessInfo.processInfo.environment["KHP_SIMULATION_SEEDS"].flatMap(UInt64.init) ?? 1_500

    @Test("invariants hold after every step of every seed")
    func seeds() {
        var coverage = Coverage()
        var failures = 0
        for seed in 1...Self.seeds where failures < 3 {
            guard let failure = Runs.run(seed, inWords: seed % 16 == 0, into: &coverage) else { continue }
            failures += 1
            Issue.record("\(Runs.story(of: failure))")
        }
        // A simulation whose sockets never open shows nothing.
        if failures == 0 {
            #expect(coverage.opened > coverage.runs / 6, "\(coverage.summary)")
            #expect(coverage.clean > coverage.runs / 10, "\(coverage.summary)")
            #expect(coverage.surprises == [])
        }
    }

    /// The second was a fault of the simulation's own, the others of the library's.
    @Test("seeds that once failed", arguments: [3_198_320, 4_140_096, 539, 1_448, 84_296] as [UInt64])
    func kept(_ seed: UInt64) {
        var coverage = Coverage()
        if let failure = Runs.run(seed, inWords: true, into: &coverage) { Issue.record("\(Runs.story(of: failure))") }
    }

    @Test("each reason for a cell that no run visits names a cell")
    func reasons() {
        let names = Set(Coverage().cells.map(\.name))
        for entry in Unreachable.entries { #expect(names.contains { entry.covers($0) }, "\(entry)") }
    }

    static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private struct StatusTable: Decodable {
        struct Row: Decodable { let code: Int }
        let codes: [Row]
    }

    @Test("each code of the specification's table is a row, and no other is taken for one")
    func codes() throws {
        let file = Self.root.appendingPathComponent("Specs/status-codes.json")
        let table = try JSONDecoder().decode(StatusTable.self, from: Data(contentsOf: file))
        #expect(StatusCodes.known == table.codes.map(\.code))
        for number in 0..<StatusCodes.rows.count * 40 {
            #expect(StatusCodes.row(of: StatusCodes.code(number)) == number % StatusCodes.rows.count, "\(number)")
        }
    }
}
