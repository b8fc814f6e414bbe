// Makes a run that fails smaller: steps and parts are left out as long as the same invariant still does not hold.

struct Shrinker {
    let seed: UInt64
    private(set) var steps: Set<Int>
    private(set) var without: Set<Scenario.Part> = []
    private let invariant: Violation.Invariant
    /// Runs that it may take.
    private var left = 400

    init(seed: UInt64, _ invariant: Violation.Invariant) {
        self.seed = seed
        self.invariant = invariant
        self.steps = Set(0..<World.stepCount(seed))
    }

    mutating func run() {
        // The half, the quarter, … of the steps at a time.
        var size = max(self.steps.count / 2, 1)
        while size >= 1, self.left > 0 {
            var hasShrunk = false
            let ordered = self.steps.sorted()
            for start in stride(from: 0, to: ordered.count, by: size) where self.left > 0 {
                let kept = self.steps.subtracting(ordered[start..<min(start + size, ordered.count)])
                guard kept.count < self.steps.count, self.fails(kept, self.without) else { continue }
                self.steps = kept
                hasShrunk = true
            }
            if size == 1, !hasShrunk { break }
            size = size == 1 ? 1 : size / 2
        }
        for part in Scenario.Part.allCases where self.fails(self.steps, self.without.union([part])) {
            self.without.insert(part)
        }
    }

    private mutating func fails(_ steps: Set<Int>, _ without: Set<Scenario.Part>) -> Bool {
        self.left -= 1
        guard let world = try? World(seed: self.seed, keeping: steps, without: without) else { return false }
        do {
            try world.run()
            return false
        } catch {
            return error.invariant == self.invariant
        }
    }

    /// The command that plays the run again.
    var command: String {
        var words = ["Tests/Simulation/run.sh --seed \(self.seed) --steps \(Self.ranges(self.steps))"]
        if !self.without.isEmpty {
            words.append("--without \(self.without.map(\.rawValue).sorted().joined(separator: ","))")
        }
        return words.joined(separator: " ")
    }

    /// Numbers as `1,4-7`; `none` for none.
    private static func ranges(_ numbers: Set<Int>) -> String {
        var ranges: [ClosedRange<Int>] = []
        for number in numbers.sorted() {
            if let last = ranges.last, last.upperBound == number - 1 {
                ranges[ranges.count - 1] = last.lowerBound...number
            } else {
                ranges.append(number...number)
            }
        }
        let words = ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
        return words.isEmpty ? "none" : words.joined(separator: ",")
    }
}
