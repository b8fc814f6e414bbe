// A ping costs its sender less than its answer costs us, so a peer gets only so many (threat B9).

package import NIOCore

/// A token bucket for the control frames of one peer, kept as the one moment at which it would be full again (the
/// generic cell rate algorithm), so that a frame costs a comparison and no division.
package struct ControlFrameRate: Sendable {
    private let interval: Int64
    private let burst: Int64
    private var fullAt: NIODeadline

    /// A full bucket. Limits below one are taken as one.
    package init(limits: MessageLimits, now: NIODeadline) {
        self.interval = 1_000_000_000 / Int64(max(1, min(limits.controlFramesPerSecond, 1_000_000_000)))
        // An hour's worth equals no limit, and cannot overflow.
        self.burst = min(
            self.interval.multipliedClamping(by: Int64(max(1, limits.controlFrameBurst))),
            3_600_000_000_000
        )
        self.fullAt = now
    }

    /// Counts one control frame; false if it is one too many.
    package mutating func admit(_ now: NIODeadline) -> Bool {
        let next = max(self.fullAt, now) + .nanoseconds(self.interval)
        guard next - now <= .nanoseconds(max(self.burst, self.interval)) else { return false }
        self.fullAt = next
        return true
    }

    /// The violation to fail the connection with when `admit` refuses.
    package static let violation = FrameViolation(
        closeCode: .policyViolation,
        message: "too many control frames"
    )
}

extension Int64 {
    fileprivate func multipliedClamping(by other: Int64) -> Int64 {
        let (product, overflow) = multipliedReportingOverflow(by: other)
        return overflow ? .max : product
    }
}
