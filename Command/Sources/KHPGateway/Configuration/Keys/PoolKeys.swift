// The table of pools.

extension GatewaySchema {
    static let pool = Section<Configuration.Pool>(
        .init(name: ""),
        [
            .list(
                "backends",
                \.backends,
                .backend,
                "The brokers: tcp://, tls://, unix:, ws:// or wss://, each with weight=0…256, of which 0 gets no sessions, and backup as needed.",
                .live,
                missing: "a pool has at least one backend"
            ),
            .group("tls", \.tls, GatewaySchema.backendTLS, "The TLS of tls and wss backends.") { pool in
                pool.backends.contains(where: \.isSecure)
            },
            .value("balance", \.balance, .choice, "The choice among healthy backends.", .live),
            .groupOrNothing(
                "check",
                \.check,
                GatewaySchema.check,
                off: true,
                "The active check of each backend; a ws or wss backend is asked for a WebSocket."
            ),
            .groupOrNothing(
                "eject",
                \.eject,
                GatewaySchema.ejection,
                off: true,
                "Takes out a backend that TCP or TLS does not reach, or that ends connections at once of whose client it has heard nothing; never the last."
            ),
            .value(
                "connectTimeout",
                \.connectTimeout,
                .duration(.milliseconds(1)...(.seconds(300))),
                "For up to three tries together.",
                .live
            ),
            .value(
                "proxyProtocol",
                \.proxyHeader,
                .choice,
                "The header that names the client to the broker; v2 also its name, certificate and session.",
                .new
            ),
            .value(
                "connections",
                \.connections,
                ValueType.count(1...10_000_000).orOff,
                "How many to each backend.",
                .live
            ),
            .value(
                "onDown",
                \.onDown,
                .choice,
                "The sessions of a backend that fell: kept until their sockets end, or closed.",
                .live
            ),
            .notYet("slowStart", "Gives a backend that came back its share little by little."),
            .notYet("prepared", "Holds idle connections ready."),
        ]
    )

    private static let backendTLS = Section<Configuration.BackendTLS>(
        .init(),
        [
            .value("ca", \.ca, ValueType.file.optional, "PEM authorities; the system's where it is not given.", .new),
            .value(
                "certificate",
                \.certificate,
                ValueType.file.optional,
                "The gateway's own, for brokers that ask.",
                .new
            ),
            .value("key", \.key, ValueType.file.optional, "The key of certificate.", .new),
            .value(
                "serverName",
                \.serverName,
                ValueType.text("host name", upTo: 253).optional,
                "Sent and verified; the backend's host where it is not given.",
                .new
            ),
            .value("verify", \.verifies, .flag, "Verifies the broker's certificate.", .new),
        ]
    )

    private static let check = Section<Configuration.Check>(
        .init(),
        [
            .value(
                "every",
                \.every,
                .duration(.milliseconds(100)...(.seconds(3600))),
                "From check to check, give or take a fifth.",
                .live
            ),
            .value(
                "timeout",
                \.timeout,
                .duration(.milliseconds(10)...(.seconds(60))),
                "The time of one check; less than every.",
                .live
            ),
            .value("rise", \.rise, .count(1...100), "Successes in a row that bring a backend back.", .live),
            .value("fall", \.fall, .count(1...100), "Failures in a row that take it out.", .live),
            .value("send", \.send, .bytes, "Sent once connected.", .live),
            .value(
                "expect",
                \.expect,
                .bytes,
                "The beginning of the answer; without it a connection is enough.",
                .live
            ),
            .value(
                "proxyHeader",
                \.proxyHeader,
                .choice,
                "The PROXY header of the check itself: the gateway's own addresses, LOCAL, or none.",
                .live
            ),
        ]
    )

    private static let ejection = Section<Configuration.Ejection>(
        .init(),
        [
            .value("failures", \.failures, .count(1...1000), "Failures in a row.", .live),
            .value(
                "for",
                \.lasts,
                .duration(.seconds(1)...(.seconds(300))),
                "The first ejection; the n-th lasts n times as long, five minutes at most.",
                .live
            ),
            .value("atMost", \.atMost, .percent, "The share of a pool that may be out at once.", .live),
        ]
    )
}
