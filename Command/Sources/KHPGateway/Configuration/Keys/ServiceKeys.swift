// The table of services and of the rules that they share with `defaults`.

extension GatewaySchema {
    static let service = Section<ServiceDraft>(
        ServiceDraft(),
        [
            .value(
                "path",
                \.service.path,
                .pathPattern,
                "Exact, or with /* at the end for all below; the longest that fits wins.",
                .new,
                missing: "write the path of its URL, such as /amqp"
            ),
            .list(
                "realm",
                \.service.realms,
                .reference("realm"),
                "The realms that are asked in turn; without one everybody may come.",
                .new
            ),
            .groupOrNothing(
                "require",
                \.service.require,
                GatewaySchema.requirement,
                "The condition on those who proved themselves."
            ),
            .value(
                "pool",
                \.pool,
                ValueType.reference("pool").optional,
                "Relays to one pool. A ws backend chooses among the subprotocols of a client; others speak none.",
                .new
            ),
            .value(
                "frames",
                \.frames,
                ValueType.choice.optional,
                "The messages that bytes of the broker become; auto is as the client's last.",
                .new
            ),
            .named(
                "subprotocols",
                \.routes,
                of: GatewaySchema.route,
                called: \.subprotocol,
                nameType: .token("subprotocol"),
                "Relays to the pool of the subprotocol that was agreed on, in order of preference."
            ) { name, _ in Configuration.SubprotocolRoutes.Route(subprotocol: name, pool: "") },
            .value(
                "withoutSubprotocol",
                \.withoutSubprotocol,
                ValueType.fallback.optional,
                "The pool of clients that agreed on none; refuse is usual.",
                .new
            ),
            .groupOrNothing("balance", \.balancer, GatewaySchema.balancer, "Names another gateway to each client."),
            .value("redirect", \.redirect, ValueType.redirectURL.optional, "Sends clients there with 302.", .new),
            .value("type", \.type, ValueType.builtin.optional, "A service of the gateway's own.", .new),
            .value("critical", \.service.isCritical, .flag, "Readiness fails while no backend is healthy.", .live),
            .value(
                "onRemove",
                \.service.onRemove,
                ValueType.choice.optional,
                "Its sessions when a reload removes it; reload.onRemove where it is not given.",
                .live
            ),
            .value("reauthorize", \.service.reauthorizes, .flag, "A reload judges open sessions anew.", .live),
        ] + GatewaySchema.rules.keys.map { $0.within(\.service.rules) }
    )

    private static let route = Section<Configuration.SubprotocolRoutes.Route>(
        .init(subprotocol: "", pool: ""),
        [
            .value(
                "pool",
                \.pool,
                .reference("pool"),
                "The brokers of this subprotocol.",
                .new,
                missing: "name the pool that speaks it"
            ),
            .groupOrNothing("require", \.require, GatewaySchema.requirement, "As of the service, and besides it."),
            .value("frames", \.frames, ValueType.choice.optional, "As of the service.", .new),
        ]
    )

    private static let requirement = Section<Configuration.Requirement>(
        .init(),
        [
            .list("roles", \.roles, .text("role", upTo: 256), "One of these roles.", .new),
            .claims("claims", \.claims, "All of these claims, letter by letter.", .new),
            .list("principals", \.principals, .text("principal", upTo: 256), "One of these names.", .new),
            .list("networks", \.networks, .network, "A client from one of these networks.", .new),
        ]
    )

    private static let balancer = Section<Configuration.Balancer>(
        .init(),
        [
            .list(
                "members",
                \.members,
                .webSocketURL,
                "The gateways, as clients call them.",
                .live,
                missing: "name the gateways"
            ),
            .value(
                "by",
                \.by,
                .choice,
                "The choice; least-sessions asks each member, and takes turns while none answers.",
                .live
            ),
            .groupOrNothing("check", \.check, GatewaySchema.loadCheck, "The question for least-sessions."),
        ]
    )

    private static let loadCheck = Section<Configuration.LoadCheck>(
        .init(url: ""),
        [
            .value(
                "url",
                \.url,
                .loadURL,
                "The load of a member, with {host} for its host.",
                .live,
                missing: "write the address of /load, such as https://{host}:9443/load"
            ),
            .value(
                "every",
                \.every,
                .duration(.milliseconds(100)...(.seconds(60))),
                "From question to question.",
                .live
            ),
            .value(
                "token",
                \.token,
                ValueType.secret.optional,
                "Sent as Authorization: Bearer, where the members' admin addresses ask for it.",
                .live
            ),
            .value(
                "ca",
                \.ca,
                ValueType.file.optional,
                "PEM authorities for https; the system's where it is not given.",
                .live
            ),
        ]
    )
}

extension Key {
    /// Names and the values that they must have.
    fileprivate static func claims(
        _ name: String,
        _ place: Place<Owner, [Configuration.Claim]>,
        _ meaning: String,
        _ reload: ReloadClass
    ) -> Key {
        let type = ValueType.text("value", upTo: 1024)
        let one = Section<Configuration.Claim>(
            .init(name: "", value: ""),
            [.value("value", \.value, type, meaning, reload, missing: "")]
        )
        return Key(name: name, missing: nil) { node, key, owner, reading in
            guard case .map(let entries) = node.content else {
                reading.error(key, at: node.position, "here stands \(node.kind); it takes claims and their values")
                return
            }
            for entry in entries {
                var claim = Configuration.Claim(name: entry.key, value: "")
                one.keys[0].read(entry.value, "\(key).\(entry.key)", &claim, &reading)
                owner[keyPath: place].append(claim)
            }
        } write: { owner in
            let claims = owner[keyPath: place]
            return claims.isEmpty ? nil : .group(claims.map { (key: $0.name, value: .text($0.value)) })
        } rows: { prefix, _ in
            one.rows(Section<Owner>.join(prefix, name), nil).map { row in
                var row = row
                row.path = Section<Owner>.join(prefix, name) + ".NAME"
                row.isRequired = false
                return row
            }
        }
    }
}
