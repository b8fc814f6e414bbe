// The checks of services: the names in them, the doors to them, and two at one place.

import KHPProtocol

extension ConfigurationChecks {
    func services(_ reading: inout Reading) {
        self.wrongAnswers(&reading)
        let defaults = self.configuration.defaults
        self.names(defaults.listeners ?? [], "defaults.listeners", "listener", self.listenerNames, &reading)
        self.origins(defaults, "defaults.origins", &reading)
        for service in self.configuration.services {
            let key = "services.\(service.name)"
            if reading.isWritten("\(key).listeners") {
                self.names(service.rules.listeners ?? [], "\(key).listeners", "listener", self.listenerNames, &reading)
            }
            self.names(service.realms, "\(key).realm", "realm", self.configuration.realms.map(\.name), &reading)
            self.kind(service, key, &reading)
            self.chain(service, key, &reading)
            self.doors(service, key, &reading)
            self.requirements(service, key, &reading)
            if reading.isWritten("\(key).origins") { self.origins(service.rules, "\(key).origins", &reading) }
        }
    }

    private func origins(_ rules: Configuration.Rules, _ key: String, _ reading: inout Reading) {
        let origins = rules.origins.allowed ?? []
        if origins.contains(.any), origins.count > 1 {
            reading.error(key, "* lets in every page, and others stand beside it")
        }
    }

    private var listenerNames: [String] { self.configuration.listeners.map(\.name) }
    private var poolNames: [String] { self.configuration.pools.map(\.name) }

    private func names(
        _ names: [String],
        _ key: String,
        _ thing: String,
        _ known: [String],
        _ reading: inout Reading
    ) {
        // One that could not be read is no name that is missing. A name with a dot is none: it reads like a key within one.
        let section = "\(thing)s"
        for name in names where !known.contains(name) {
            if !name.contains("."), reading.isWritten("\(section).\(name)") { continue }
            if !reading.isWritten(section), reading.isDoubtful(section) { continue }
            reading.error(key, "there is no \(thing) \(name.shown)" + NearestName.question(name, among: known))
            // The one that is meant is not unused.
            let meant = NearestName.nearest(name, among: known) ?? known.first { name.hasPrefix("\($0).") }
            if let meant { reading.doubt("\(section).\(meant)") }
        }
        if Set(names).count < names.count { reading.error(key, "a name stands there twice") }
    }

    private func kind(_ service: Configuration.Service, _ key: String, _ reading: inout Reading) {
        switch service.kind {
        case .proxy(let pool, _): self.names([pool], "\(key).pool", "pool", self.poolNames, &reading)
        case .routed(let routes):
            for route in routes.routes {
                let place = "\(key).subprotocols.\(route.subprotocol)"
                if !route.pool.isEmpty { self.names([route.pool], "\(place).pool", "pool", self.poolNames, &reading) }
                if route.subprotocol == "xmpp", let pool = self.configuration.pool(route.pool),
                    pool.backends.contains(where: { !$0.isWebSocket })
                {
                    reading.warning(
                        "\(place).pool",
                        "XMPP over WebSocket is framed otherwise than over TCP; use ws backends"
                    )
                }
            }
            if let pool = routes.withoutSubprotocol {
                self.names([pool], "\(key).withoutSubprotocol", "pool", self.poolNames, &reading)
            }
        case .balancer(let balancer):
            if Set(balancer.members).count < balancer.members.count {
                reading.error("\(key).balance.members", "a member stands there twice")
            }
            if balancer.by == .leastSessions, balancer.check == nil {
                reading.error(
                    "\(key).balance.by",
                    "least-sessions needs check: the address to ask for the load",
                    from: ["\(key).balance.check"]
                )
            }
            if balancer.by != .leastSessions, balancer.check != nil {
                reading.warning("\(key).balance.check", "is used by least-sessions alone", from: ["\(key).balance.by"])
            }
            self.loads(balancer, "\(key).balance", &reading)
            self.loop(balancer, service, key, &reading)
        case .redirect, .echo, .broadcast: break
        }
    }

    /// The admin address of a member on another host answers to those alone who show its token, over TLS; its address for
    /// balancers answers to all.
    private func loads(_ balancer: Configuration.Balancer, _ key: String, _ reading: inout Reading) {
        guard balancer.by == .leastSessions, let check = balancer.check else { return }
        let asked = balancer.members.compactMap { member in
            (try? WebSocketURL(member)).flatMap { try? WebSocketURL(check.url(for: $0.host)) }
        }
        guard let other = asked.first(where: { !ListenAddress.host($0.host, port: $0.port).isLocal }) else { return }
        if check.token != nil, !other.isSecure {
            reading.warning("\(key).check.url", "sends the token in clear to \(other.host); write https://")
        }
    }

    /// A client that is sent to where it comes from would come back for ever.
    private func loop(
        _ balancer: Configuration.Balancer,
        _ service: Configuration.Service,
        _ key: String,
        _ reading: inout Reading
    ) {
        let names = self.configuration.listeners(of: service).compactMap { listener in
            listener.publicURL.flatMap { try? WebSocketURL($0).origin }
        }
        for member in balancer.members {
            guard let url = try? WebSocketURL(member), names.contains(url.origin) else { continue }
            let isItself = service.path.isPrefix ? url.path.hasPrefix(service.path.path) : url.path == service.path.path
            if isItself {
                reading.error("\(key).balance.members", "\(member.shown) is this balancer itself")
            }
        }
    }

    /// Guesses are counted at a listener, whose strictest realm counts for all of its realms.
    func wrongAnswers(_ reading: inout Reading) {
        for listener in self.configuration.listeners {
            let services = self.configuration.services.filter { service in
                self.configuration.listeners(of: service).contains { $0.name == listener.name }
            }
            let asked = Set(services.flatMap(\.realms))
            let realms = self.configuration.realms.filter { asked.contains($0.name) && !$0.schemes.isEmpty }
            guard let first = realms.min(by: { $0.wrongAnswers.perAddress < $1.wrongAnswers.perAddress }) else {
                continue
            }
            for realm in realms where realm.wrongAnswers != first.wrongAnswers {
                reading.warning(
                    "realms.\(realm.name).wrongAnswers",
                    "counts at listener \(listener.name) together with realm \(first.name), and the strictest of both holds"
                )
            }
        }
    }

    /// Realms of one service that cannot be told apart.
    private func chain(_ service: Configuration.Service, _ key: String, _ reading: inout Reading) {
        let realms = service.realms.compactMap { self.configuration.realm($0) }
        let digest = realms.filter { realm in realm.schemes.contains { $0.name == .digest } }
        if digest.count > 1 {
            let names = digest.map(\.name).joined(separator: " and ")
            reading.error("\(key).realm", "\(names) both have digest, whose keys are made for one realm")
        }
        if Set(realms.flatMap { $0.schemes.map(\.isApplication) }).count > 1 {
            reading.error("\(key).realm", "mixes application schemes with others; make two services")
        }
    }

    /// The doors that stand open, or that nobody can pass.
    private func doors(_ service: Configuration.Service, _ key: String, _ reading: inout Reading) {
        let listeners = self.configuration.listeners(of: service)
        let open = listeners.filter { !$0.listen.isLocal }
        if service.realms.isEmpty, let listener = open.first {
            reading.warning(
                key,
                "has no realm: everybody who reaches listener \(listener.name) may use it",
                from: ["\(key).realm"]
            )
        }
        let plain = open.filter { $0.tls == nil && !($0.publicURL ?? "").hasPrefix("wss:") }
        for name in service.realms {
            guard let realm = self.configuration.realm(name) else { continue }
            if let listener = plain.first, realm.schemes.contains(where: { $0.name == .basic }) {
                reading.warning(
                    "\(key).realm",
                    "basic sends passwords in clear on listener \(listener.name), without TLS"
                )
            }
            guard realm.certificate != nil else { continue }
            for listener in listeners where !realm.seesCertificates(at: listener) {
                let words = "\(realm.name) asks for certificates, and listener \(listener.name) has no clientAuth"
                let causes = ["listeners.\(listener.name).tls", "listeners.\(listener.name).trustClientCN"]
                let realms = service.realms.compactMap { self.configuration.realm($0) }
                if realms.contains(where: { !$0.schemes.isEmpty || $0.seesCertificates(at: listener) }) {
                    reading.warning("\(key).realm", "\(words): there other proofs count alone", from: causes)
                } else {
                    reading.error("\(key).realm", words, from: causes)
                }
            }
        }
        let dialects = service.rules.handshake.dialects
        if dialects.isEmpty { reading.error("\(key).dialects", "is empty; nobody could connect") }
        if let listener = plain.first, dialects.contains(where: { $0 != .rfc6455 }) {
            reading.warning(
                "\(key).dialects",
                "the older dialects do not mask messages; on listener \(listener.name), without TLS, proxies may misread them"
            )
        }
    }

    private func requirements(_ service: Configuration.Service, _ key: String, _ reading: inout Reading) {
        self.requirement(service.require, service, "\(key).require", &reading)
        if case .routed(let routes) = service.kind {
            for route in routes.routes {
                self.requirement(route.require, service, "\(key).subprotocols.\(route.subprotocol).require", &reading)
            }
        }
    }

    private func requirement(
        _ requirement: Configuration.Requirement?,
        _ service: Configuration.Service,
        _ key: String,
        _ reading: inout Reading
    ) {
        guard let requirement, service.realms.isEmpty else { return }
        if requirement.roles.isEmpty, requirement.claims.isEmpty, requirement.principals.isEmpty,
            !requirement.networks.isEmpty
        {
            return
        }
        reading.error(
            key,
            "needs a realm: without one nobody proves anything",
            from: ["services.\(service.name).realm"]
        )
    }

    /// Two services at one path of one listener.
    func paths(_ reading: inout Reading) {
        for listener in self.configuration.listeners {
            var seen: [PathPattern: String] = [:]
            for service in self.configuration.services
            where self.configuration.listeners(of: service).contains(where: { $0.name == listener.name }) {
                guard let other = seen.updateValue(service.name, forKey: service.path) else { continue }
                reading.error(
                    "services.\(service.name).path",
                    "\(service.path) on listener \(listener.name) is the path of services.\(other) already",
                    from: ["services.\(other).path"]
                )
            }
        }
    }

    /// Realms and pools that no service names.
    func unused(_ reading: inout Reading) {
        let services = self.configuration.services
        let realms = Set(services.flatMap(\.realms))
        for realm in self.configuration.realms where !realms.contains(realm.name) {
            reading.warning("realms.\(realm.name)", "is asked by no service", from: ["services"])
        }
        let pools = Set(services.flatMap { Self.pools(of: $0.kind) })
        for pool in self.configuration.pools where !pools.contains(pool.name) {
            reading.warning("pools.\(pool.name)", "is used by no service", from: ["services"])
        }
    }

    private static func pools(of kind: Configuration.Kind) -> [String] {
        switch kind {
        case .proxy(let pool, _): [pool]
        case .routed(let routes): routes.routes.map(\.pool) + (routes.withoutSubprotocol.map { [$0] } ?? [])
        case .balancer, .redirect, .echo, .broadcast: []
        }
    }
}

extension GatewayConfiguration.Listener {
    /// True where a client's certificate can come to light.
    fileprivate var asksForCertificates: Bool {
        guard let tls else { return false }
        return tls.clientAuthentication != .none
    }
}

extension Configuration.Realm {
    /// True where certificates that it asks for can come to light, if only by their names from a proxy.
    fileprivate func seesCertificates(at listener: Configuration.Listener) -> Bool {
        guard let certificate else { return false }
        return listener.asksForCertificates || listener.trustsClientName && certificate.principal == .commonName
    }
}
