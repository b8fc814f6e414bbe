// The clock on the wall, by which proofs end: servers that share the work agree on it.

import KHPProtocol
import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

enum TimeOfDay {
    /// Since 1970.
    static func microseconds() -> UInt64 {
        var time = timespec()
        guard clock_gettime(CLOCK_REALTIME, &time) == 0, time.tv_sec >= 0 else { return 0 }
        return UInt64(time.tv_sec) &* 1_000_000 &+ UInt64(time.tv_nsec / 1000)
    }

    /// The time until a second since 1970; negative for one that has passed. A hundred years stand for what is later.
    static func untilSecond(_ second: Int64) -> TimeAmount {
        let (microseconds, overflows) = second.multipliedReportingOverflow(by: 1_000_000)
        guard !overflows else { return second < 0 ? .zero : Self.longest }
        let rest = microseconds.subtractingReportingOverflow(Int64(clamping: Self.microseconds()))
        guard !rest.overflow else { return .zero }
        return min(.microseconds(min(rest.partialValue, Self.longest.nanoseconds / 1000)), Self.longest)
    }

    private static let longest = TimeAmount.hours(100 * 365 * 24)
}

extension Principal {
    /// `true` when its proof has ended.
    var hasExpired: Bool { self.expires.map { TimeOfDay.untilSecond($0) <= .zero } ?? false }
}
