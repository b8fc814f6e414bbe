// Does the work of one input that a peer controls, so that callgrind can count it, or takes its time. The rows are those
// of the tests.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

@main
struct BenchGrowth {
    static func main() throws {
        let arguments = CommandLine.arguments.dropFirst()
        let modules = [("KHPProtocol", GrowthRow.all), ("KHPServer", GrowthRow.server)]
        guard let name = arguments.first, let row = modules.flatMap(\.1).first(where: { $0.name == name }) else {
            for (module, rows) in modules {
                for row in rows {
                    print("\(row.limit)|\(GrowthRow.milliseconds)|\(module)|\(row.bound ?? "")|\(row.name)")
                }
            }
            return
        }
        guard let bytes = arguments.dropFirst().first.flatMap({ Int($0) }) else { return }
        let prepared = try row.prepare(bytes)
        // A refused input is work too; the tests know which ones are.
        let work = { _ = try? prepared() }
        guard arguments.dropFirst(2).first != "time" else { return print(Self.milliseconds(work)) }
        // The difference of two runs is the work: making its input cancels out, and so does what is done once only.
        let times = arguments.dropFirst(2).first.flatMap { Int($0) } ?? 1
        for _ in 0..<times { work() }
    }

    /// Processor time of this thread; the least of many runs, since whatever disturbs only adds.
    private static func milliseconds(_ work: () -> Void) -> Double {
        func now() -> Double {
            var time = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            return Double(time.tv_sec) * 1e3 + Double(time.tv_nsec) / 1e6
        }
        var least = Double.infinity
        var spent = 0.0
        for _ in 0..<50 where spent < 200 {
            let start = now()
            work()
            let time = now() - start
            least = min(least, time)
            spent += time
        }
        return least
    }
}
