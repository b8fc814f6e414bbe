// The Date field, made once a second for all connections: formatting it for each would cost more than parsing the
// request.

import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

/// The value of the Date field (RFC 9110 section 6.6.1).
package enum DateHeader {
    private static let cache = Mutex<(second: Int, text: String)>((0, ""))

    /// Now, in the form of RFC 9110 section 5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`.
    package static func now() -> String {
        let second = time(nil)
        return self.cache.withLock { cache in
            if cache.second != second { cache = (second, Self.format(second)) }
            return cache.text
        }
    }

    /// A time for messages that people read: `1994-11-06 08:49:37 UTC`.
    static func readable(_ second: Int) -> String {
        var second = second
        var parts = tm()
        guard gmtime_r(&second, &parts) != nil else { return "\(second)" }
        let date = "\(parts.tm_year + 1900)-\(Self.two(parts.tm_mon + 1))-\(Self.two(parts.tm_mday))"
        return "\(date) \(Self.two(parts.tm_hour)):\(Self.two(parts.tm_min)):\(Self.two(parts.tm_sec)) UTC"
    }

    /// A time, in seconds since 1970 UTC, in the form of ``now()``.
    package static func format(_ second: Int) -> String {
        var second = second
        var parts = tm()
        guard gmtime_r(&second, &parts) != nil else { return "" }
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let day = days[Int(parts.tm_wday) % 7]
        let month = months[Int(parts.tm_mon) % 12]
        let clock = "\(Self.two(parts.tm_hour)):\(Self.two(parts.tm_min)):\(Self.two(parts.tm_sec))"
        return "\(day), \(Self.two(parts.tm_mday)) \(month) \(parts.tm_year + 1900) \(clock) GMT"
    }

    /// A part of a time in two digits.
    private static func two(_ value: CInt) -> String { value < 10 ? "0\(value)" : "\(value)" }
}
