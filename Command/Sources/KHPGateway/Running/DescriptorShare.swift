// A client is a descriptor, and its backend is another. Clients that took all that the process may open would keep operators
// out, and checks, reloads and the brokers' connections would fail: hence listeners take no more than leaves room for those.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

enum DescriptorShare {
    /// For listeners, operators, checks of backends, and the files that a reload reads.
    static let reserve = 64
    /// An event loop has three, and one of its timers.
    static let perLoop = 4

    /// The connections that a listener takes at once: as many as it is configured for, or its share of those for which there are
    /// descriptors.
    /// - Parameter openable: how many descriptors the process may have; `nil` for any number.
    static func connections(
        of listener: GatewayConfiguration.Listener,
        among listeners: [GatewayConfiguration.Listener],
        openable: Int?,
        loops: Int
    ) -> Int {
        guard let openable else { return listener.connections }
        let wanted = listeners.reduce(0.0) { $0 + Double($1.connections) }
        let room = Double(max(openable - Self.reserve - Self.perLoop * loops, 2) / 2)
        guard wanted > room else { return listener.connections }
        return max(Int(room * Double(listener.connections) / wanted), 1)
    }

    /// How many descriptors the process may have, by the system; `nil` for any number.
    static var openable: Int? {
        Self.limit.flatMap { $0.rlim_cur >= UInt64(Int32.max) ? nil : Int($0.rlim_cur) }
    }

    /// How many the administrator allows: as many as ``raise()`` takes; `nil` for any number.
    static var allowed: Int? {
        Self.limit.flatMap { $0.rlim_max >= UInt64(Int32.max) ? nil : Int($0.rlim_max) }
    }

    /// Takes as many as the administrator allows: the bound that a process begins with is often one for programs that wait on
    /// descriptors with `select`, which this one does not.
    static func raise() {
        guard var limit = Self.limit, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = limit.rlim_max
        #if canImport(Glibc)
            _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        #else
            _ = setrlimit(RLIMIT_NOFILE, &limit)
        #endif
    }

    private static var limit: rlimit? {
        var limit = rlimit()
        #if canImport(Glibc)
            let isKnown = getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
        #else
            let isKnown = getrlimit(RLIMIT_NOFILE, &limit) == 0
        #endif
        return isKnown ? limit : nil
    }
}
