// Seeds against the invariants. A failing seed prints its trace; `KHP_SIMULATION_SEED=n` replays it alone,
// `KHP_SIMULATION_SEEDS=n` tries more.

import Foundation
import KHPProtocol
import Testing

@Suite struct SimulationTests {
    private static let environment = ProcessInfo.processInfo.environment

    @Test("invariants hold after every step of every seed")
    func seeds() throws {
        let first: UInt64
        let count: UInt64
        if let seed = Self.environment["KHP_SIMULATION_SEED"].flatMap(UInt64.init) {
            (first, count) = (seed, 1)
        } else {
            (first, count) = (1, Self.environment["KHP_SIMULATION_SEEDS"].flatMap(UInt64.init) ?? 400)
        }
        var failures = 0
        var opened = 0
        var clean = 0
        for seed in first..<first + count {
            var world = try SimulatedWorld(seed: seed)
            do {
                try world.run()
            } catch {
                failures += 1
                Issue.record("seed \(seed): \(error)")
                if failures >= 5 { break }
            }
            if world.client.opened != nil { opened += 1 }
            if world.client.closed?.clean == true { clean += 1 }
        }
        // A simulation whose sockets never open shows nothing.
        if count > 100 {
            #expect(opened > count / 4)
            #expect(clean > count / 8)
        }
    }

    @Test("the same seed makes the same run")
    func deterministic() throws {
        for seed in UInt64(1)...40 {
            var traces: [[String]] = []
            for _ in 0..<2 {
                var world = try SimulatedWorld(seed: seed)
                try? world.run()
                traces.append(world.trace)
            }
            #expect(traces[0] == traces[1], "seed \(seed)")
        }
    }
}
