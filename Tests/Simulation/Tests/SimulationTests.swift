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
            guard let failure = Runs.run(seed, twice: seed % 16 == 0, into: &coverage) else { continue }
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

    /// The first is a fault of the library's, the second one of the simulation's own.
    @Test("seeds of long runs that once failed", arguments: [3_198_320, 4_140_096] as [UInt64])
    func kept(_ seed: UInt64) {
        var coverage = Coverage()
        if let failure = Runs.run(seed, twice: true, into: &coverage) { Issue.record("\(Runs.story(of: failure))") }
    }

    @Test("each reason for a cell that no run visits names a cell")
    func reasons() {
        let names = Set(Coverage().cells.map(\.name))
        for entry in Unreachable.entries + Unreachable.rare { #expect(names.contains { entry.covers($0) }, "\(entry)") }
    }
}
