// The time that slow members have cost a group's publishers: taken off the patience with the next ones.

import NIOCore

struct SlowMemberDebt {
    /// Time after which a debt as long as the patience is forgotten.
    private static let memory = TimeAmount.seconds(60)

    /// The debt as it was when a hold ended last; it wears off.
    private var last: (length: TimeAmount, at: NIODeadline)?

    /// The debt at a time: never more than the patience, so that a minute later none is left, however many members were
    /// slow before.
    /// - Parameter patience: the time that slow members get at most.
    func length(now: NIODeadline, patience: TimeAmount) -> TimeAmount {
        guard let last else { return .zero }
        let most = min(last.length, patience)
        // In floating point, since the product of two long times overflows; converted where it is no longer than before.
        let minutes = Double((now - last.at).nanoseconds) / Double(Self.memory.nanoseconds)
        let left = Double(most.nanoseconds) - minutes * Double(patience.nanoseconds)
        return left > 0 ? .nanoseconds(Int64(exactly: left.rounded()) ?? most.nanoseconds) : .zero
    }

    /// Publishers have waited for members, which were dropped or have taken something at last.
    mutating func add(_ length: TimeAmount, now: NIODeadline, patience: TimeAmount) {
        self.last = (self.length(now: now, patience: patience) + length, now)
    }
}
