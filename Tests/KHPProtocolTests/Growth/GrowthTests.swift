// Work grows no faster than a peer's input. `Benchmarks` counts instructions; here it is the processor
// time of this thread, whose ratio tells a square from a line on any machine.

import Foundation
import Testing

@testable import KHPProtocol

@Suite("work grows in proportion to what a peer sends", .serialized)
struct GrowthTests {
    /// Seconds of this thread's processor time; the least of several runs, since whatever disturbs only adds.
    private static func seconds(_ work: () -> Void) -> Double {
        func now() -> Double {
            var time = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
        }
        var least = Double.infinity
        var spent = 0.0
        var runs = 0
        // Short ones vary most, and cost least to do again.
        while runs < 3 || runs < 12 && spent < 0.02 {
            let start = now()
            work()
            let time = now() - start
            least = min(least, time)
            spent += time
            runs += 1
            if time > 1 { break }
        }
        return least
    }

    @Test("four times the input costs nowhere near sixteen times the work", arguments: GrowthRow.all.map(\.name))
    func growth(_ name: String) throws {
        let row = try #require(GrowthRow.all.first { $0.name == name })
        // Unoptimised code is some fifty times slower: a part of the limit shows the same curve.
        let size = max(row.limit / 32, min(row.limit / 4, 256))
        let small = Self.seconds(row.prepare(size))
        #expect(small < 0.5, "\(size) bytes took \(small) s")
        guard small < 0.5 else { return }
        let large = Self.seconds(row.prepare(size * 4))
        // Work that does not depend on the input is on both sides; a square would show as 16 and more.
        #expect(large < small * 9 + 0.000_05, "\(size) bytes took \(small) s, four times as many \(large) s")
    }
}
