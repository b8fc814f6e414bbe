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
        self.services.compactMap { service in
            guard case .proxy(let name, _) = service.kind, let pool = self.pool(name),
                pool.backends.contains(where: \.isWebSocket)
            else { return nil }
            return "services.\(service.name) agrees on no subprotocol with clients and ws backends; subprotocols does"
        }
    }

    /// The bytes that the buffers of all sessions take at most, as ``bufferBytes(of:)`` counts them for one.
    package var bufferBytes: Int {
        let room = self.listeners.reduce(0) { $0 + $1.connections }
        return self.services.reduce(0) { sum, service in
            switch service.kind {
            case .proxy, .routed:
                let sessions = min(service.rules.limits.sessions ?? room, room)
                return sum + sessions * (2 * service.rules.relay.buffer + 32_768)
            case .balancer, .redirect, .echo, .broadcast: return sum
            }
        }
    }

    /// ``bufferBytes`` for a person: `all relayed sessions together buffer at most 1564 MiB`.
    package var memorySummary: String {
        let mebibytes = (self.bufferBytes + 1_048_575) / 1_048_576
        return "all relayed sessions together buffer at most \(mebibytes) MiB"
    }
}
