// The time of day, for cookies and for dates in answers; all other times are NIO's uptime.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

/// The time of day, for dates.
enum WallClock {
    /// Seconds since 1970 UTC.
    static func now() -> Int64 { Int64(time(nil)) }
}
