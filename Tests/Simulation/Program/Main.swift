// The simulation by the million:
//
//     khp-simulate [--seeds N] [--from N] [--within S]       runs them on all cores; fails where one fails, or where a
//                                                            cell of a table stays without a visit, or they take longer
//                                                            than so many seconds
//     khp-simulate --seed N [--steps 1,4-7] [--without a,b]  tells the story of one run

import Foundation

@main
struct Main {
    private var seeds: UInt64 = 20_000
    private var first: UInt64 = 1
    private var seed: UInt64?
    private var steps: Set<Int>?
    private var without: Set<Scenario.Part> = []
    private var listsCells = false
    /// Seconds that all seeds may take together.
    private var within: Double?
    /// So many failures are told at length.
    private static let stories = 5
    /// So many come to every cell that can be reached.
    private static let seedsForAllCells: UInt64 = 20_000

    static func main() {
        var main = Main()
        var words = CommandLine.arguments.dropFirst()
        while let word = words.popFirst() {
            if word == "--cells" {
                main.listsCells = true
                continue
            }
            guard let value = words.popFirst(), main.take(word, value) else { self.usage() }
        }
        exit(main.run())
    }

    private static func usage() -> Never {
        FileHandle.standardError.write(
            Data(
                "usage: khp-simulate [--seeds N] [--from N] [--within SECONDS] [--cells] | --seed N [--steps 1,4-7] [--without a,b]\n"
                    .utf8
            )
        )
        exit(2)
    }

    private mutating func take(_ option: String, _ value: String) -> Bool {
        switch option {
        case "--seeds": return UInt64(value).map { self.seeds = $0 } != nil
        case "--from": return UInt64(value).map { self.first = $0 } != nil
        case "--within": return Double(value).map { self.within = $0 } != nil
        case "--seed": return UInt64(value).map { self.seed = $0 } != nil
        case "--steps": return Self.numbers(value).map { self.steps = $0 } != nil
        case "--without":
            let parts = value.split(separator: ",").map { Scenario.Part(rawValue: String($0)) }
            self.without = Set(parts.compactMap { $0 })
            return !parts.contains(nil)
        default: return false
        }
    }

    /// The numbers of `1,4-7`.
    private static func numbers(_ text: String) -> Set<Int>? {
        if text == "none" { return [] }
        var numbers: Set<Int> = []
        for part in text.split(separator: ",") {
            let ends = part.split(separator: "-").compactMap { Int($0) }
            guard let low = ends.first, let high = ends.last, low <= high, ends.count <= 2 else { return nil }
            numbers.formUnion(low...high)
        }
        return numbers
    }

    private func run() -> CInt {
        if let seed {
            let story = Runs.story(seed, keeping: self.steps, without: self.without)
            print("seed \(seed)\n\(story.text)")
            return story.violation == nil ? 0 : 1
        }
        let workers = Workers(self.first..<self.first + self.seeds)
        let began = ContinuousClock.now
        workers.run()
        let taken = (ContinuousClock.now - began) / .seconds(1)
        let (coverage, failures) = workers.result
        for failure in failures.prefix(Self.stories) { print(Runs.story(of: failure)) }
        for failure in failures.dropFirst(Self.stories) { print("seed \(failure.seed): \(failure.violation)") }
        print(coverage.summary)
        if self.listsCells { for cell in coverage.cells { print("  \(cell.visits)\t\(cell.name)") } }
        let isLate = self.within.map { taken > $0 } ?? false
        if let within, isLate { print("the seeds take \(taken) s, and \(within) s are allowed") }
        var isRed = !failures.isEmpty || isLate
        // Few seeds do not come everywhere.
        if self.seeds >= Self.seedsForAllCells, failures.isEmpty {
            for cell in coverage.missed { print("no run has visited \(cell)") }
            for cell in coverage.surprises { print("said to be unreachable, and visited: \(cell)") }
            isRed = isRed || !coverage.missed.isEmpty || !coverage.surprises.isEmpty
        }
        print(isRed ? "simulation: FAILED" : "simulation: \(self.seeds) seeds, no violation")
        return isRed ? 1 : 0
    }
}
