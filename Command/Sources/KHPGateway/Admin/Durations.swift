// Durations as a histogram of Prometheus counts them.

/// A histogram of durations: the number of those no longer than each bound, the number of all, and their sum.
struct Durations: Sendable, Equatable {
    /// The bounds, in seconds, for durations while a client waits.
    static let bounds = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]

    private(set) var counts = [Int](repeating: 0, count: Self.bounds.count)
    private(set) var all = 0
    private(set) var sum = 0.0

    mutating func add(_ seconds: Double) {
        self.all += 1
        self.sum += seconds
        for (place, bound) in Self.bounds.enumerated() where seconds <= bound { self.counts[place] += 1 }
    }

    static func += (all: inout Durations, one: Durations) {
        all.all += one.all
        all.sum += one.sum
        for place in all.counts.indices { all.counts[place] += one.counts[place] }
    }

    func distribution(_ labels: MetricsText.Labels) -> MetricsText.Distribution {
        MetricsText.Distribution(labels: labels, counts: self.counts, all: self.all, sum: self.sum)
    }
}
