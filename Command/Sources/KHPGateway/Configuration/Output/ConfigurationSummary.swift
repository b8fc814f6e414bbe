extension GatewayConfiguration {
    /// How much there is of each: `2 listeners, 6 services, 5 pools, 3 realms`.
    package var summary: String {
        [
            (self.listeners.count, "listener"), (self.services.count, "service"), (self.pools.count, "pool"),
            (self.realms.count, "realm"),
        ]
        .map { "\($0.0) \($0.1)\($0.0 == 1 ? "" : "s")" }
        .joined(separator: ", ")
    }

    /// Things that are no mistake, and that somebody may want otherwise; a sentence each.
    package var notes: [String] {
        let mixed = self.poolNames { pool in
            pool.backends.contains(where: \.isWebSocket) && !pool.backends.allSatisfy(\.isWebSocket)
        }
        return self.services.compactMap { service in
            if case .balancer(let balancer) = service.kind, let check = balancer.check, check.token == nil,
                check.url.contains("{host}")
            {
                return "services.\(service.name).balance.check has no token: "
                    + "admin asks other hosts for one, admin.probes none"
            }
            guard case .proxy(let name, _) = service.kind, mixed.contains(name) else { return nil }
            return "services.\(service.name) agrees on subprotocols with its ws backends alone; "
                + "subprotocols does with all"
        }
    }

    private func poolNames(where isOne: (Pool) -> Bool) -> Set<String> { Set(self.pools.filter(isOne).map(\.name)) }

    private var webSocketPools: Set<String> { self.poolNames { $0.backends.contains(where: \.isWebSocket) } }

    /// The bytes that the buffers of all sessions take at most, as ``bufferBytes(of:)`` counts them for one.
    package var bufferBytes: Int {
        let room = self.listeners.reduce(0) { $0 + $1.connections }
        let webSocketPools = self.webSocketPools
        return self.services.reduce(0) { sum, service in
            let sessions = min(service.rules.limits.sessions ?? room, room)
            return sum + sessions * Self.bufferBytes(of: service, webSocketPools)
        }
    }

    /// The bytes that the buffers of one session take at most, with about 32 KiB for a frame's head and the records of TLS.
    ///
    /// A relay to a byte stream has a buffer each way. Where messages are taken whole, one is put together while the one
    /// before it, which may go beyond the buffer, waits there: two messages and a buffer, on the way to a backend of WebSocket
    /// as on the way from it. A room keeps 1 MiB for a member besides.
    package func bufferBytes(of service: Service) -> Int { Self.bufferBytes(of: service, self.webSocketPools) }

    private static func bufferBytes(of service: Service, _ webSocketPools: Set<String>) -> Int {
        let rules = service.rules
        let mebibyte = 1_048_576
        let whole = rules.relay.buffer + 2 * rules.limits.message
        switch service.kind {
        case .proxy, .routed:
            let speaksWebSocket = service.poolNames.contains(where: webSocketPools.contains)
            let other = speaksWebSocket ? whole + 2 * rules.limits.message : rules.relay.buffer
            return rules.relay.buffer + other + 32_768
        case .echo: return whole + 32_768
        case .broadcast: return whole + mebibyte + 32_768
        case .balancer, .redirect: return 0
        }
    }

    /// ``bufferBytes`` for a person: `all sessions together buffer at most 1564 MiB`.
    package var memorySummary: String {
        let mebibytes = (self.bufferBytes + 1_048_575) / 1_048_576
        return "all sessions together buffer at most \(mebibytes) MiB"
    }
}
