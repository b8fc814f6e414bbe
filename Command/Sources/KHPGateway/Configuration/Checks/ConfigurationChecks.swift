// The checks that need more than one value: names that lead nowhere, bounds that contradict each other, doors that stand
// open. They come after the reading of all keys, so that one run tells everything.

import KHPServer

struct ConfigurationChecks {
    let configuration: Configuration
    let listenerNames: KnownNames
    let realmNames: KnownNames
    let poolNames: KnownNames
    let places: ServicePlaces

    private init(_ configuration: Configuration) {
        let listenerNames = KnownNames(configuration.listeners.map(\.name))
        self.configuration = configuration
        self.listenerNames = listenerNames
        self.realmNames = KnownNames(configuration.realms.map(\.name))
        self.poolNames = KnownNames(configuration.pools.map(\.name))
        self.places = ServicePlaces(configuration, names: listenerNames)
    }

    static func run(_ configuration: Configuration, _ reading: inout Reading) {
        let checks = ConfigurationChecks(configuration)
        checks.listeners(&reading)
        checks.descriptors(&reading)
        checks.admin(&reading)
        checks.realms(&reading)
        checks.pools(&reading)
        checks.services(&reading)
        checks.paths(&reading)
        checks.unused(&reading)
    }

    // MARK: Listeners

    private func listeners(_ reading: inout Reading) {
        var addresses: [ListenAddress: String] = [:]
        for listener in self.configuration.listeners {
            let key = "listeners.\(listener.name)"
            self.address(listener.listen, "\(key).listen", &addresses, &reading)
            self.name(of: listener, key, &reading)
            if let url = listener.publicURL, url.lowercased().hasPrefix("ws:"), listener.tls != nil {
                reading.error("\(key).publicURL", "begins with ws:// and the listener has TLS; write wss://")
            }
            self.tls(listener.tls, key, &reading)
            self.trust(listener, key, &reading)
            if listener.trustsClientName, !listener.requiresProxyHeader {
                reading.error(
                    "\(key).trustClientCN",
                    "needs proxyProtocol: required, since the name stands in that header",
                    from: ["\(key).proxyProtocol"]
                )
            }
        }
        if let admin = self.configuration.admin {
            self.address(admin.listen, "admin.listen", &addresses, &reading)
            if let probes = admin.probes { self.address(probes.listen, "admin.probes.listen", &addresses, &reading) }
        }
    }

    /// The names by which the addresses for operators are told, beside those of the listeners.
    private func name(of listener: Configuration.Listener, _ key: String, _ reading: inout Reading) {
        guard let admin = self.configuration.admin else { return }
        if listener.name == "admin" {
            reading.error(key, "is how the address of admin is told; give the listener another name", from: ["admin"])
        }
        if listener.name == "probes", admin.probes != nil {
            reading.error(
                key,
                "is how the address of admin.probes is told; give the listener another name",
                from: ["admin.probes"]
            )
        }
    }

    /// Proxies whom nobody believes, and those that everybody can pretend to be.
    private func trust(_ listener: Configuration.Listener, _ key: String, _ reading: inout Reading) {
        var isUnix = false
        if case .unix = listener.listen { isUnix = true }
        if !listener.canTrust {
            let unix = "needs unix in trust: the peers of a Unix domain socket have no addresses"
            let causes = ["\(key).trust", "\(key).listen"]
            if listener.requiresProxyHeader {
                let sentence = "needs trust: the addresses of the proxies that send the header"
                reading.error("\(key).proxyProtocol", isUnix ? unix : sentence, from: causes)
            }
            if listener.forwarded != .off {
                let sentence = "needs trust: the addresses of the proxies that write the field"
                reading.error("\(key).forwarded", isUnix ? unix : sentence, from: causes)
            }
        }
        if !isUnix, listener.trust.contains(.unix) {
            reading.warning("\(key).trust", "unix counts with listen: unix:PATH alone", from: ["\(key).listen"])
        }
        for case .network(let network) in listener.trust where network.isEverything {
            reading.warning("\(key).trust", "\(network.description.shown) believes everybody's word about addresses")
        }
    }

    /// A session takes a descriptor for its client and one for its backend. Somebody who has written no number, or the usual
    /// one, wants as many as there can be, which the gateway sees to.
    private func descriptors(_ reading: inout Reading) {
        guard let most = reading.surroundings.descriptors else { return }
        let connections = self.configuration.listeners.reduce(0) { $0 + $1.connections }
        let needed = 2 * connections + 100
        let usual = Configuration.Listener(name: "", listen: .unix(path: "")).connections
        let keys = self.configuration.listeners.filter { $0.connections != usual }.map {
            "listeners.\($0.name).connections"
        }
        guard needed > most, let key = keys.first(where: { reading.isWritten($0) }) else { return }
        reading.warning(
            key,
            "\(connections) connections of all listeners need \(needed) descriptors, and ulimit -Hn allows \(most)"
        )
    }

    private func address(
        _ address: ListenAddress,
        _ key: String,
        _ seen: inout [ListenAddress: String],
        _ reading: inout Reading
    ) {
        // A free port, and an address that could not be read.
        if case .host(_, port: 0) = address { return }
        if case .unix(path: "") = address { return }
        if let other = seen[address] {
            let line = reading.position(of: other).line
            reading.error(key, "\(address) is the address of \(other) in line \(line) already", from: [other])
        } else {
            seen[address] = key
        }
    }

    private func tls(_ tls: Configuration.TLS?, _ key: String, _ reading: inout Reading) {
        guard let tls else { return }
        switch (tls.clientAuthentication, tls.clientCA) {
        case (.none, .some):
            reading.error(
                "\(key).tls.clientCA",
                "counts only with clientAuth: optional or required",
                from: ["\(key).tls.clientAuth"]
            )
        case (.optional, nil), (.required, nil):
            reading.error(
                "\(key).tls.clientAuth",
                "needs clientCA: the authorities of clients' certificates",
                from: ["\(key).tls.clientCA"]
            )
        case (.none, nil), (.optional, .some), (.required, .some): break
        }
    }

    private func admin(_ reading: inout Reading) {
        guard let admin = self.configuration.admin, !admin.listen.isLocal else { return }
        if admin.tls == nil || admin.token == nil {
            reading.error(
                "admin.listen",
                "\(admin.listen) is reached by other hosts: that needs tls and token; unix:PATH and 127.0.0.1:PORT do not",
                from: ["admin.tls", "admin.token"]
            )
        }
    }

    // MARK: Realms

    private func realms(_ reading: inout Reading) {
        for realm in self.configuration.realms {
            let key = "realms.\(realm.name)"
            let names = Set(realm.schemes.map(\.name))
            if realm.schemes.isEmpty, realm.certificate == nil {
                reading.error(
                    key,
                    "proves nobody: give it schemes or certificate",
                    from: ["\(key).schemes", "\(key).certificate"]
                )
            }
            if names.count < realm.schemes.count {
                reading.error("\(key).schemes", "a scheme stands there twice")
            }
            if Set(realm.schemes.map(\.isApplication)).count > 1 {
                reading.error("\(key).schemes", "mixes application schemes with others; make two realms")
            }
            self.secrets(realm, names, key, &reading)
            if let jwt = realm.jwt { self.jwt(jwt, "\(key).jwt", &reading) }
            for case .query(let name) in realm.token {
                reading.warning("\(key).token", "query:\(name) appears in the logs of browsers and proxies")
            }
        }
    }

    /// The files and keys that the schemes of a realm need.
    private func secrets(
        _ realm: Configuration.Realm,
        _ names: Set<Configuration.Scheme.Name>,
        _ key: String,
        _ reading: inout Reading
    ) {
        let takesTokens = names.contains(.bearer) || names.contains(.token)
        let schemes = ["\(key).schemes"]
        if !names.isDisjoint(with: [.basic, .digest]), realm.users == nil {
            reading.error(
                "\(key).schemes",
                "basic and digest need users: a file that `khp hash` makes",
                from: ["\(key).users"]
            )
        }
        if takesTokens, realm.users == nil, realm.jwt == nil {
            reading.error(
                "\(key).schemes",
                "bearer and token need jwt or users",
                from: ["\(key).jwt", "\(key).users"]
            )
        }
        if !takesTokens {
            if realm.jwt != nil {
                reading.error("\(key).jwt", "needs bearer or token among the schemes", from: schemes)
            }
            if realm.token != [.header] {
                reading.error("\(key).token", "needs bearer or token among the schemes", from: schemes)
            }
        }
        if names.isEmpty, realm.users != nil {
            reading.warning("\(key).users", "is read by no scheme", from: schemes)
        }
        if realm.nonceKeys != nil, !names.contains(.digest) {
            reading.warning(
                "\(key).nonceKeys",
                "is used by digest alone, which is not among the schemes",
                from: schemes
            )
        }
        if realm.groups != nil, realm.users == nil, realm.jwt == nil {
            reading.warning(
                "\(key).groups",
                "gives roles to users, and there are none; certificate.roles is for certificates",
                from: ["\(key).users", "\(key).jwt"]
            )
        }
    }

    private func jwt(_ jwt: Configuration.JWT, _ key: String, _ reading: inout Reading) {
        let symmetric = jwt.algorithms.filter(\.isSymmetric)
        if !symmetric.isEmpty, symmetric.count < jwt.algorithms.count {
            reading.error(
                "\(key).algorithms",
                "mixes \(symmetric[0].rawValue) with algorithms of public keys: whoever has the public key could sign"
            )
        }
        if Set(jwt.algorithms).count < jwt.algorithms.count {
            reading.error("\(key).algorithms", "an algorithm stands there twice")
        }
    }

    // MARK: Pools

    private func pools(_ reading: inout Reading) {
        for pool in self.configuration.pools {
            let key = "pools.\(pool.name)"
            var urls: Set<String> = []
            for backend in pool.backends where !urls.insert(backend.url).inserted {
                reading.error("\(key).backends", "\(backend.url.shown) stands there twice")
            }
            if !pool.backends.isEmpty, pool.backends.allSatisfy(\.isBackup) {
                reading.warning("\(key).backends", "all are backups; one that is none is usual")
            }
            if !pool.backends.isEmpty, pool.backends.allSatisfy({ $0.weight == 0 }) {
                reading.warning("\(key).backends", "all have a weight of 0; none gets a session")
            }
            if let check = pool.check, check.timeout >= check.every {
                reading.error(
                    "\(key).check.timeout",
                    "is not less than every; a check ends before the next begins",
                    from: ["\(key).check.every"]
                )
            }
            if let check = pool.check, pool.backends.contains(where: \.isWebSocket),
                !check.send.isEmpty || !check.expect.isEmpty
            {
                reading.error(
                    "\(key).check",
                    "send and expect are for byte streams; ws backends are asked for a WebSocket",
                    from: ["\(key).backends"]
                )
            }
            if pool.proxyHeader != .off, pool.backends.contains(where: \.isWebSocket) {
                reading.error(
                    "\(key).proxyProtocol",
                    "is for byte streams; ws and wss backends get Forwarded",
                    from: ["\(key).backends"]
                )
            }
            self.backendTLS(pool, "\(key).tls", &reading)
        }
    }

    private func backendTLS(_ pool: Configuration.Pool, _ key: String, _ reading: inout Reading) {
        if (pool.tls.certificate == nil) != (pool.tls.key == nil) {
            reading.error(key, "certificate and key go together; one is missing", from: [key])
        }
        if !pool.tls.verifies {
            reading.warning("\(key).verify", "takes anybody for the broker")
        }
        if reading.isWritten(key), !pool.backends.isEmpty, !pool.backends.contains(where: \.isSecure) {
            reading.warning(
                key,
                "counts for tls and wss backends, and the pool has none",
                from: [key.dropLast(".tls".count) + ".backends"]
            )
        }
    }
}
