/// The pauses between attempts of `--reconnect`: exponential, with full jitter, so that many clients that lost the
/// same server do not come back together.
struct Backoff {
    /// Upper bound of the first pause.
    static let base = 0.5
    /// Upper bound of every pause.
    static let cap = 30.0

    private var failures = 0

    /// The next pause: random between zero and a bound that doubles up to the cap.
    mutating func next() -> Duration {
        defer { failures = min(failures + 1, 32) }
        return .seconds(Double.random(in: 0...bound))
    }

    /// The longest that the next pause may be, in seconds.
    var bound: Double {
        var bound = Self.base
        for _ in 0..<failures where bound < Self.cap { bound *= 2 }
        return min(bound, Self.cap)
    }

    /// A connection was open: begin anew.
    mutating func reset() {
        failures = 0
    }
}
