// The table of the rules: keys of `defaults` and of each service.

extension GatewaySchema {
    static let rules = Section<Configuration.Rules>(
        .init(),
        [
            .listOrNothing(
                "listeners",
                \.listeners,
                .reference("listener"),
                usual: "all",
                "The listeners that lead there.",
                .new
            ),
            .listOrNothing(
                "origins",
                \.origins.allowed,
                .origin,
                usual: "same host",
                "The pages that may open sessions: scheme://host[:port], *. for all below a domain, * for any.",
                .new
            ),
            .value(
                "requireOrigin",
                \.origins.isRequired,
                .flag,
                "Refuses requests without an Origin, which programs do not send.",
                .new
            ),
            .value("extended", \.handshake.extended, .choice, "The extended handshake of Kaazing.", .new),
            .list("dialects", \.handshake.dialects, .dialect, "The wire dialects that are served.", .new),
            .value("compress", \.handshake.compresses, .flag, "Offers permessage-deflate.", .new),
            .value(
                "kaazingLegacy",
                \.handshake.speaksKaazingLegacy,
                .flag,
                "Speaks to deployed Kaazing clients as they expect it.",
                .new
            ),
            .groupOrNothing("ping", \.lifetime.ping, GatewaySchema.ping, off: true, "Pings to the client."),
            .value(
                "idle",
                \.lifetime.idle,
                ValueType.duration(.seconds(1)...(.seconds(31_536_000))).orOff,
                "Ends a session without a message either way for so long.",
                .new
            ),
            .value(
                "maxLifetime",
                \.lifetime.maximum,
                ValueType.duration(.seconds(1)...(.seconds(31_536_000))).orOff,
                "Ends a session after so long.",
                .new
            ),
            .value(
                "buffer",
                \.relay.buffer,
                .size(4096...67_108_864),
                "Bytes each way: the fast side is not read above it, and again below half of it.",
                .new
            ),
            .value(
                "stalled",
                \.relay.stalled,
                .duration(.milliseconds(100)...(.seconds(3600))),
                "Ends a session one side of which takes nothing for so long.",
                .new
            ),
            .value(
                "halfClose",
                \.relay.halfClose,
                .duration(.zero...(.seconds(3600))),
                "How long a broker may go on after its client has closed.",
                .new
            ),
            .group("limits", \.limits, GatewaySchema.limits, "The bounds of a service."),
            .notYet("login", "Puts the principal into the broker's own login."),
        ]
    )

    private static let ping = Section<Configuration.Ping>(
        .init(),
        [
            .value("every", \.every, .duration(.milliseconds(100)...(.seconds(86_400))), "From ping to ping.", .new),
            .value(
                "timeout",
                \.timeout,
                .duration(.milliseconds(100)...(.seconds(3600))),
                "Ends a session without an answer for so long.",
                .new
            ),
        ]
    )

    private static let limits = Section<Configuration.Limits>(
        .init(),
        [
            .value("sessions", \.sessions, Self.bound, "Sessions at once; those beyond get 503.", .live),
            .value("perAddress", \.perAddress, Self.bound, "Of one address; those beyond get 429.", .live),
            .value("perPrincipal", \.perPrincipal, Self.bound, "Of one principal; those beyond get 429.", .live),
            .value(
                "acceptRate",
                \.acceptRate,
                ValueType.rate.orOff,
                "New sessions in a time; those beyond get 429.",
                .live
            ),
            .value(
                "message",
                \.message,
                .size(1...1_073_741_824),
                "The largest message of a client, or of a ws or wss backend; one beyond ends its session with 1009.",
                .new
            ),
            .notYet("rateOut", "The bytes to a client in a time."),
            .notYet("rateIn", "The bytes of a client in a time."),
        ]
    )

    private static let bound = ValueType.count(1...10_000_000).orOff
}
