// Runs of seeds: one after the other, each from its seed alone.

enum Runs {
    /// A seed that failed.
    struct Failure: Sendable {
        let seed: UInt64
        let violation: Violation
    }

    /// A seed's run, and once more: two traces of one seed are the same. Of most seeds times and bytes are compared.
    /// - Parameter inWords: true where all that happened is compared: to tell it takes longer than the run.
    static func run(_ seed: UInt64, inWords: Bool, into coverage: inout Coverage) -> Failure? {
        do throws(Violation) {
            let world = try World(seed: seed, isCompared: inWords)
            defer { coverage.add(world.coverage) }
            try world.run()
            let again = try World(seed: seed, isCompared: inWords)
            try again.run()
            guard again.trace.digest == world.trace.digest else {
                throw Violation(.sameTrace, "two runs of seed \(seed) differ")
            }
            return nil
        } catch {
            return Failure(seed: seed, violation: error)
        }
    }

    /// The story of a failure, made as small as it can be, with the command that plays it again.
    static func story(of failure: Failure) -> String {
        var shrinker = Shrinker(seed: failure.seed, failure.violation.invariant)
        shrinker.run()
        return """
            seed \(failure.seed): \(failure.violation)
            \(self.story(failure.seed, keeping: shrinker.steps, without: shrinker.without).text)
            again: \(shrinker.command)
            """
    }

    /// The story of a run.
    static func story(
        _ seed: UInt64,
        keeping: Set<Int>? = nil,
        without: Set<Scenario.Part> = []
    ) -> (text: String, violation: Violation?) {
        var violation: Violation?
        var lines: [String] = []
        do throws(Violation) {
            let world = try World(seed: seed, keeping: keeping, without: without, tells: true)
            lines.append("  \(world.scenario)")
            defer { lines += world.trace.lines.suffix(40).map { "  " + $0 } }
            try world.run()
        } catch {
            violation = error
        }
        if let violation { lines.append("  " + violation.description) }
        return (lines.joined(separator: "\n"), violation)
    }
}
