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
}
