// Work grows no faster than a peer's input: the processor time of this thread, whose ratio tells a square from a line on
// any machine.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

package enum Growth {
    /// Seconds of this thread's processor time; the least of several runs, since whatever disturbs only adds.
    /// - Parameter bound: a time below it ends the runs.
    package static func seconds(_ work: () -> Void, below bound: Double = 0) -> Double {
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
            if time > 1 || least < bound { break }
        }
        return least
    }

    /// Does the work of an input, and of one four times as large.
    /// - Parameters:
    ///   - limit: the largest input that is allowed, in bytes.
    ///   - prepare: makes an input of so many bytes, and returns the work that it causes.
    /// - Returns: how the work grows too fast; `nil` where it is in proportion.
    package static func fault(limit: Int, _ prepare: (_ bytes: Int) -> () -> Void) -> String? {
        // Unoptimised code is some fifty times slower: a part of the limit shows the same curve.
        let size = max(limit / 32, min(limit / 4, 256))
        let (small, large) = (prepare(size), prepare(size * 4))
        var fault: String?
        // Another process beside this one disturbs once, and not three times at the same place.
        for _ in 0..<3 {
            let less = self.seconds(small)
            guard less < 0.5 * Double(Sanitizer.patience) else { return "\(size) bytes took \(less) s" }
            // Work that does not depend on the input is on both sides. A square shows as 16, and what lies half way
            // between a line and a square as 8. A sanitizer's allocations grow by themselves.
            let bound = less * (Sanitizer.patience > 1 ? 12 : 6) + 0.000_02
            let more = self.seconds(large, below: bound)
            if more < bound { return nil }
            fault = "\(size) bytes took \(less) s, four times as many \(more) s"
        }
        return fault
    }
}
