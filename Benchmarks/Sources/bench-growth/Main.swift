// Does the work of one input that a peer controls, once, so that callgrind can count it. The rows are those of the
// tests.

@main
struct BenchGrowth {
    static func main() {
        let arguments = CommandLine.arguments.dropFirst()
        guard let name = arguments.first, let row = GrowthRow.all.first(where: { $0.name == name }) else {
            for row in GrowthRow.all { print("\(row.limit)|\(row.name)") }
            return
        }
        guard let bytes = arguments.dropFirst().first.flatMap({ Int($0) }) else { return }
        let work = row.prepare(bytes)
        // The difference of two runs is the work: making its input cancels out, and so does what is done once only.
        let times = arguments.dropFirst(2).first.flatMap { Int($0) } ?? 1
        for _ in 0..<times { work() }
    }
}
