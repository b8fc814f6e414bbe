// The configuration of a gateway as values: the file's words are gone, its defaults are filled in, its paths are absolute.

/// Everything that a gateway's file says.
///
/// A value of this type is consistent in itself once it comes from the reader: names lead somewhere, bounds hold. It does
/// not hold the contents of the files that it names.
package struct GatewayConfiguration: Sendable, Equatable {
    /// The name of this gateway in logs and metrics.
    package var instance: String
    /// In the order of the file, as all that follows.
    package var listeners: [Listener] = []
    /// `nil` serves none.
    package var admin: Admin?
    package var log = Log()
    package var realms: [Realm] = []
    package var pools: [Pool] = []
    /// The rules that each service begins with; ``services`` have them already.
    package var defaults = Rules()
    package var services: [Service] = []
    package var reload = Reload()
    package var shutdown = Shutdown()

    package init(instance: String = "gateway") {
        self.instance = instance
    }

    package func listener(_ name: String) -> Listener? { self.listeners.first { $0.name == name } }
    package func realm(_ name: String) -> Realm? { self.realms.first { $0.name == name } }
    package func pool(_ name: String) -> Pool? { self.pools.first { $0.name == name } }
    package func service(_ name: String) -> Service? { self.services.first { $0.name == name } }

    /// True where a listener leads to a service.
    package func leads(_ listener: Listener, to service: Service) -> Bool {
        service.rules.listeners?.contains(listener.name) ?? true
    }

    /// The listeners of a service: those that it names, otherwise all.
    package func listeners(of service: Service) -> [Listener] {
        guard let names = service.rules.listeners.map({ Set($0) }) else { return self.listeners }
        return self.listeners.filter { names.contains($0.name) }
    }
}

extension GatewayConfiguration {
    /// The address for operators.
    package struct Admin: Sendable, Equatable {
        package var listen: ListenAddress
        /// Asked for as `Authorization: Bearer`; needed on any address that other hosts reach.
        package var token: Secret?
        package var tls: TLS?
        /// `nil` has balancers ask where operators do.
        package var probes: Probes?

        package init(listen: ListenAddress, token: Secret? = nil, tls: TLS? = nil) {
            self.listen = listen
            self.token = token
            self.tls = tls
        }
    }

    /// An address for balancers on other hosts: it tells of load and readiness, to anybody, and changes nothing.
    package struct Probes: Sendable, Equatable {
        package var listen: ListenAddress
        package var tls: TLS?

        package init(listen: ListenAddress, tls: TLS? = nil) {
            self.listen = listen
            self.tls = tls
        }
    }

    /// The log on standard error.
    package struct Log: Sendable, Equatable {
        package enum Format: String, Sendable, CaseIterable {
            case json
            case text
        }

        package enum Level: String, Sendable, CaseIterable {
            case trace
            case debug
            case info
            case notice
            case warning
            case error
        }

        package var format = Format.json
        package var level = Level.info
        /// One line for the end of each session.
        package var sessions = true

        package init() {}
    }

    /// The treatment of sessions whose service a reload removes or changes.
    package struct Reload: Sendable, Equatable {
        package var onRemove = OnRemove.drain

        package init() {}
    }

    package enum OnRemove: String, Sendable, CaseIterable {
        /// Sessions end, spread over `shutdown.drain`.
        case drain
        /// Sessions end at once.
        case close
        /// Sessions live on under their old service.
        case keep
    }

    package struct Shutdown: Sendable, Equatable {
        /// From the first signal to the listeners' close: readiness says 503, new sessions still come in.
        package var announce = Duration.zero
        /// The time over which the sessions are ended, evenly; those that are left are cut.
        package var drain = Duration.seconds(30)

        package init() {}
    }
}
