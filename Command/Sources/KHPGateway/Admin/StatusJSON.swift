// The state of services and backends as JSON.

import NIOCore

extension Gateway.Status {
    var json: JSONTree {
        .object([
            ("phase", .string(self.phase.rawValue)), ("sha256", .string(self.hash)),
            ("loaded", .string("\(self.loaded)")), ("reload_successful", .bool(self.reloadSucceeded)),
            ("sessions", .integer(self.sessions)), ("capacity", .integer(self.capacity)),
            (
                "listeners",
                .array(
                    self.listeners.map { .object([("name", .string($0.name)), ("address", .string($0.url))]) }
                )
            ),
            ("services", .array(self.services.map { $0.json(in: self) })),
        ])
    }
}

extension Gateway.ServiceStatus {
    func json(in status: Gateway.Status) -> JSONTree {
        let own = status.pools.filter { self.pools.contains($0.name) }
        return .object([
            ("name", .string(self.rules.name)), ("path", .string("\(self.rules.path)")),
            ("kind", .string(self.rules.kind.word)), ("state", .string(Self.state(own, status.phase))),
            ("sessions", .integer(self.sessions)),
            ("opened", .integer(self.totals.opened)),
            ("in_bytes", .integer(self.totals.tally.inBytes)), ("out_bytes", .integer(self.totals.tally.outBytes)),
            ("in_msgs", .integer(self.totals.tally.inMessages)), ("out_msgs", .integer(self.totals.tally.outMessages)),
            ("buffered", .integer(self.totals.buffered)),
            (
                "pools",
                .array(
                    own.map { pool in
                        .object([
                            ("name", .string(pool.name)), ("backends", .array(pool.backends.map(\.json))),
                        ])
                    }
                )
            ),
        ])
    }
}

extension Gateway.ServiceStatus {
    /// `up`, `degraded` where some of its pools have no backend to choose, `down` where all have none; while the gateway leaves,
    /// its phase.
    static func state(
        _ pools: [(name: String, backends: [Gateway.BackendStatus])],
        _ phase: Gateway.Phase
    ) -> String {
        guard phase == .serving else { return phase.rawValue }
        let down = pools.count { !$0.backends.contains { $0.state == .up } }
        return down == 0 ? "up" : down == pools.count ? "down" : "degraded"
    }
}

extension Gateway.BackendStatus {
    var json: JSONTree {
        .object([
            ("url", .string(self.url)), ("state", .string(self.state.rawValue)),
            ("since_s", self.since.map { .integer(Int($0.nanoseconds / 1_000_000_000)) } ?? .null),
            ("connections", .integer(self.connections)), ("last_error", .optional(self.lastError)),
            ("ejected_s", self.ejectedFor.map { .integer(Int($0.nanoseconds / 1_000_000_000) + 1) } ?? .null),
            ("override", .optional(self.override)),
        ])
    }
}

extension GatewayConfiguration.Kind {
    /// As an operator calls it.
    var word: String {
        switch self {
        case .proxy: "proxy"
        case .routed: "routed"
        case .balancer: "balancer"
        case .redirect: "redirect"
        case .echo: "echo"
        case .broadcast: "broadcast"
        }
    }
}
