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

    /// The bytes that the buffers of all relayed sessions take at most: two buffers for each, and about 32 KiB for a
    /// frame's head and the records of TLS on both sides.
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
