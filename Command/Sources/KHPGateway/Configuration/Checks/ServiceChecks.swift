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
            if service.rules.listeners?.isEmpty ?? false {
                reading.warning(
                    "\(key).listeners",
                    "is empty: the service is reached by no listener",
                    from: ["defaults.listeners"]
                )
            }
            self.names(service.realms, "\(key).realm", "realm", self.realmNames, &reading)
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

    /// The realms of a service that there are, in its order.
    private func realms(of service: Configuration.Service) -> [Configuration.Realm] {
        service.realms.compactMap { self.realmNames.number(of: $0) }.map { self.configuration.realms[$0] }
    }

    private func names(
        _ names: [String],
        _ key: String,
        _ thing: String,
        _ known: KnownNames,
        _ reading: inout Reading
    ) {
        // One that could not be read is no name that is missing. A name with a dot is none: it reads like a key within one.
        let section = "\(thing)s"
        for name in names where !known.contains(name) {
            if !name.contains("."), reading.isWritten("\(section).\(name)") { continue }
            if !reading.isWritten(section), reading.isDoubtful(section) { continue }
            let candidates = reading.takesComparisons(known.all.count) ? known.all : []
            reading.error(key, "there is no \(thing) \(name.shown)" + NearestName.question(name, among: candidates))
            // The one that is meant is not unused. A name has no dot, and what stands before the first one may be one.
            var meant = NearestName.nearest(name, among: candidates)
            if meant == nil, let dot = name.firstIndex(of: "."), known.contains(String(name[..<dot])) {
                meant = String(name[..<dot])
            }
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
                if route.subprotocol == "xmpp", let number = self.poolNames.number(of: route.pool),
                    self.configuration.pools[number].backends.contains(where: { !$0.isWebSocket })
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
            self.loop(balancer.members, "balance.members", "balancer", service, &reading)
        case .redirect(let url): self.loop([url], "redirect", "service", service, &reading)
        case .echo, .broadcast: break
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
    /// - Parameters:
    ///   - targets: ws, wss, http or https URLs that it is sent to.
    ///   - key: where they stand, within the service.
    private func loop(
        _ targets: [String],
        _ key: String,
        _ kind: String,
        _ service: Configuration.Service,
        _ reading: inout Reading
    ) {
        let names = self.places.origins(of: service)
        for target in targets {
            // A client takes http for ws, and https for wss.
            let asked = target.lowercased().hasPrefix("http") ? "ws\(target.dropFirst(4))" : target
            guard let url = try? WebSocketURL(asked), names.contains(url.origin) else { continue }
            let isItself = service.path.isPrefix ? url.path.hasPrefix(service.path.path) : url.path == service.path.path
            if isItself {
                reading.error("services.\(service.name).\(key)", "\(target.shown) is this \(kind) itself")
            }
        }
    }

    /// Guesses are counted at a listener, whose strictest realm counts for all of its realms.
    func wrongAnswers(_ reading: inout Reading) {
        let realms = self.configuration.realms
        let asked = self.askedRealms()
        let usualGroups = Dictionary(grouping: asked.usual) { realms[$0].wrongAnswers }
        func isStricter(_ one: Int, _ other: Int) -> Bool {
            (realms[one].wrongAnswers.perAddress, one) < (realms[other].wrongAnswers.perAddress, other)
        }
        let usualStrictest = asked.usual.min(by: isStricter)
        for (number, listener) in self.configuration.listeners.enumerated() {
            let isUsual = self.places.isUsual(number)
            let own: Set<Int> = (asked.own[number] ?? []).filter { !isUsual || !asked.usual.contains($0) }
            let strictest = [own.min(by: isStricter), isUsual ? usualStrictest : nil].compactMap { $0 }
            guard let first = strictest.min(by: isStricter).map({ realms[$0] }) else { continue }
            var others: Set<Int> = own.filter { realms[$0].wrongAnswers != first.wrongAnswers }
            if isUsual {
                for (bound, group) in usualGroups where bound != first.wrongAnswers { others.formUnion(group) }
            }
            for realm in others.sorted().map({ realms[$0] }) {
                reading.warning(
                    "realms.\(realm.name).wrongAnswers",
                    "counts at listener \(listener.name) together with realm \(first.name), and the strictest of both holds"
                )
            }
        }
    }

    /// The places of the realms with schemes that services ask at the listeners of the defaults, and those of the realms
    /// that services with listeners of their own ask at each of these.
    private func askedRealms() -> (usual: Set<Int>, own: [Int: Set<Int>]) {
        var usual: Set<Int> = []
        var own: [Int: Set<Int>] = [:]
        for service in self.configuration.services {
            let asked = service.realms.compactMap { self.realmNames.number(of: $0) }.filter {
                !self.configuration.realms[$0].schemes.isEmpty
            }
            if asked.isEmpty { continue }
            if self.places.isUsual(service) {
                usual.formUnion(asked)
            } else {
                for listener in self.places.numbers(of: service) { own[listener, default: []].formUnion(asked) }
            }
        }
        return (usual, own)
    }

    /// Realms of one service that cannot be told apart.
    private func chain(_ service: Configuration.Service, _ key: String, _ reading: inout Reading) {
        let realms = self.realms(of: service)
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
        let doors = self.places.doors(of: service)
        if service.realms.isEmpty, let listener = doors.open {
            reading.warning(
                key,
                "has no realm: everybody who reaches listener \(listener.name) may use it",
                from: ["\(key).realm"]
            )
        }
        let realms = self.realms(of: service)
        let hasSchemes = realms.contains { !$0.schemes.isEmpty }
        let takesNames = realms.contains { $0.certificate?.principal == .commonName }
        for realm in realms {
            if let listener = doors.plain, realm.schemes.contains(where: { $0.name == .basic }) {
                reading.warning(
                    "\(key).realm",
                    "basic sends passwords in clear on listener \(listener.name), without TLS"
                )
            }
            guard let certificate = realm.certificate else { continue }
            // A common name comes to light by the word of a proxy, too.
            let blind = certificate.principal == .commonName ? doors.withoutNames : doors.withoutCertificates
            for listener in blind {
                let words = "\(realm.name) asks for certificates, and listener \(listener.name) has no clientAuth"
                let causes = ["listeners.\(listener.name).tls", "listeners.\(listener.name).trustClientCN"]
                if hasSchemes || takesNames && listener.trustsClientName {
                    reading.warning("\(key).realm", "\(words): there other proofs count alone", from: causes)
                } else {
                    reading.error("\(key).realm", words, from: causes)
                }
            }
        }
        let dialects = service.rules.handshake.dialects
        if dialects.isEmpty { reading.error("\(key).dialects", "is empty; nobody could connect") }
        if let listener = doors.plain, dialects.contains(where: { $0 != .rfc6455 }) {
            reading.warning(
                "\(key).dialects",
                "the older dialects do not mask messages; on listener \(listener.name), without TLS, proxies may misread them"
            )
        }
        self.frames(service, key, &reading)
    }

    /// Bytes that are to be binary, and clients whose dialect has no binary messages.
    private func frames(_ service: Configuration.Service, _ key: String, _ reading: inout Reading) {
        let handshake = service.rules.handshake
        let isWithoutBinary = handshake.dialects.contains { dialect in
            // With the extended handshake the hixie dialects have them.
            dialect == .whatwg2010 || dialect != .rfc6455 && handshake.extended != .required
        }
        guard isWithoutBinary else { return }
        if case .broadcast = service.kind {
            reading.warning(
                "\(key).dialects",
                "clients of the older dialects that have no binary messages do not get those of the others",
                from: ["\(key).extended"]
            )
        }
        guard self.sendsBinary(service) else { return }
        reading.warning(
            "\(key).dialects",
            "clients of the older dialects that have no binary messages get text, and bytes that are no UTF-8 end their "
                + "sessions; write frames: text for a protocol of text",
            from: ["\(key).frames", "\(key).extended"]
        )
    }

    /// `true` where bytes of a backend are to become binary messages.
    private func sendsBinary(_ service: Configuration.Service) -> Bool {
        var pools: [String] = []
        switch service.kind {
        case .proxy(let pool, let frames):
            if frames ?? .binary == .binary { pools.append(pool) }
        case .routed(let routes):
            for route in routes.routes {
                let frames = route.frames ?? .usual(for: route.subprotocol)
                if frames == .binary { pools.append(route.pool) }
            }
            if let pool = routes.withoutSubprotocol { pools.append(pool) }
        case .echo, .broadcast, .balancer, .redirect: break
        }
        // Messages of WebSocket keep their kind.
        return pools.compactMap { self.poolNames.number(of: $0) }.contains { number in
            !self.configuration.pools[number].backends.contains(where: \.isWebSocket)
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
        if let requirement, !requirement.networks.isEmpty, self.places.doors(of: service).areWithoutAddresses {
            reading.warning(
                "\(key).networks",
                "lets nobody in: the peers of a Unix domain socket have no addresses, and no proxy names any there",
                from: ["listeners", "services.\(service.name).listeners"]
            )
        }
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
        let services = self.configuration.services
        var found: [(listener: Int, service: Int, other: Int)] = []
        let byPath = Dictionary(grouping: services.indices) { services[$0].path }
        for numbers in byPath.values where numbers.count > 1 {
            let usual = numbers.filter { self.places.isUsual(services[$0]) }
            var own: [Int: [Int]] = [:]
            for number in numbers where !self.places.isUsual(services[number]) {
                for listener in self.places.numbers(of: services[number]) { own[listener, default: []].append(number) }
            }
            // Where one service alone is found there is nothing to say.
            if usual.count > 1 {
                for listener in self.places.usual.numbers where own[listener] == nil { own[listener] = [] }
            }
            for (listener, others) in own {
                let there = self.places.isUsual(listener) ? (usual + others).sorted() : others
                for (other, service) in zip(there, there.dropFirst()) { found.append((listener, service, other)) }
            }
        }
        for one in found.sorted(by: { ($0.listener, $0.service) < ($1.listener, $1.service) }) {
            let (service, other) = (services[one.service], services[one.other])
            let listener = self.configuration.listeners[one.listener]
            reading.error(
                "services.\(service.name).path",
                "\(service.path) on listener \(listener.name) is the path of services.\(other.name) already",
                from: ["services.\(other.name).path"]
            )
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
