// The table of the whole file. Each line: key, place, type, meaning, and when a reload puts a change in force.

typealias Configuration = GatewayConfiguration

/// The file while it is read: services hold more than one kind until they are checked.
struct FileDraft: Sendable {
    var version: Int
    var instance: String?
    var configuration = Configuration()
    var services: [ServiceDraft] = []

    init(version: Int = 1) {
        self.version = version
    }

    /// A configuration that is whole, for printing it.
    init(_ configuration: Configuration) {
        self.version = 1
        self.instance = configuration.instance
        self.configuration = configuration
        self.services = configuration.services.map(ServiceDraft.init)
    }
}

enum GatewaySchema {
    static let root = Section<FileDraft>(
        FileDraft(),
        [
            .value(
                "version",
                \.version,
                .version,
                "The version of this format.",
                nil,
                missing: "begin with version: 1"
            ),
            .value(
                "instance",
                \.instance,
                ValueType.text(upTo: 64).optional,
                "The name of this gateway in logs, metrics and PROXY headers; the host's name where it is not given.",
                .restart
            ),
            .named(
                "listeners",
                \.configuration.listeners,
                of: Self.listener,
                called: \.name,
                "The addresses that clients connect to.",
                missing: "a gateway listens somewhere"
            ) { name, _ in Configuration.Listener(name: name, listen: .unix(path: "")) },
            .groupOrNothing("admin", \.configuration.admin, Self.admin, "The address for operators."),
            .group("log", \.configuration.log, Self.log, "The log on standard error."),
            .named("realms", \.configuration.realms, of: Self.realm, called: \.name, "Ways to prove who one is.") {
                name,
                _ in Configuration.Realm(name: name)
            },
            .named("pools", \.configuration.pools, of: Self.pool, called: \.name, "Brokers, each with its equals.") {
                name,
                _ in Configuration.Pool(name: name)
            },
            .group(
                "defaults",
                \.configuration.defaults,
                Self.rules,
                "Rules for each service that has none of its own."
            ),
            .named(
                "services",
                \.services,
                of: Self.service,
                called: \.service.name,
                "What clients find, by path.",
                missing: "a gateway serves something"
            ) { name, file in
                var draft = ServiceDraft()
                draft.service.name = name
                draft.service.rules = file.configuration.defaults
                return draft
            },
            .group("reload", \.configuration.reload, Self.reload, "The way of a reload."),
            .group("shutdown", \.configuration.shutdown, Self.shutdown, "The way to end."),
        ]
    )

    static let log = Section<Configuration.Log>(
        .init(),
        [
            .value("format", \.format, .choice, "JSON lines, or text for people.", .live),
            .value("level", \.level, .choice, "The least important lines that are written.", .live),
            .value("sessions", \.sessions, .flag, "One line for the end of each session.", .live),
        ]
    )

    static let reload = Section<Configuration.Reload>(
        .init(),
        [
            .notYet("watch", "Looks for changed files by itself."),
            .value("onRemove", \.onRemove, .choice, "Sessions whose service is gone: drained, closed or kept.", .live),
        ]
    )

    static let shutdown = Section<Configuration.Shutdown>(
        .init(),
        [
            .value(
                "announce",
                \.announce,
                .duration(.zero...(.seconds(3600))),
                "The time from the signal to the listeners' close, in which readiness says 503 already.",
                .live
            ),
            .value(
                "drain",
                \.drain,
                .duration(.zero...(.seconds(86_400))),
                "The time over which sessions are ended evenly; those that are left are cut.",
                .live
            ),
        ]
    )

    static let admin = Section<Configuration.Admin>(
        .init(listen: .unix(path: "")),
        [
            .value(
                "listen",
                \.listen,
                .listenAddress,
                "Where operators and probes connect.",
                .restart,
                missing: "write unix:PATH or 127.0.0.1:PORT"
            ),
            .value(
                "token",
                \.token,
                ValueType.secret.optional,
                "Asked for as Authorization: Bearer; needed where other hosts can connect.",
                .restart
            ),
            .groupOrNothing("tls", \.tls, Self.tls, "TLS for operators; needed where other hosts can connect."),
            .groupOrNothing(
                "probes",
                \.probes,
                Self.probes,
                "An address for balancers alone: /load, /readyz and /healthz, for anybody who asks."
            ),
        ]
    )

    private static let probes = Section<Configuration.Probes>(
        .init(listen: .unix(path: "")),
        [
            .value(
                "listen",
                \.listen,
                .listenAddress,
                "Where balancers ask.",
                .restart,
                missing: "write HOST:PORT, as balancers reach it"
            ),
            .groupOrNothing("tls", \.tls, Self.tls, "TLS for balancers that ask by https."),
        ]
    )
}

extension ValueType where Value == Int {
    static var version: ValueType {
        ValueType("1", refused: ["2", "1.0", "one"]) { text throws(Wrong) in
            guard text == "1" else { throw Wrong("is another version; this khp reads version 1") }
            return 1
        } write: {
            String($0)
        }
    }
}
