// The files that a configuration names, each read once; what is wrong in one is told with its own line.

import KHPServer

struct NamedFiles {
    /// A bound for all but the configuration itself.
    static let maximumBytes = 16 * 1_048_576

    private(set) var loaded: LoadedConfiguration

    static func load(_ configuration: Configuration, _ reading: inout Reading) -> LoadedConfiguration {
        var files = NamedFiles(
            loaded: LoadedConfiguration(configuration, now: reading.surroundings.now)
        )
        for realm in configuration.realms { files.loaded.realms[realm.name] = Self.realm(realm, &reading) }
        var tls = TLSFiles()
        for listener in configuration.listeners {
            guard let settings = listener.tls else { continue }
            let key = "listeners.\(listener.name).tls"
            guard let (made, end) = tls.server(settings, key, &reading) else { continue }
            files.loaded.listenerTLS[listener.name] = made
            files.loaded.certificateEnds[listener.name] = end
        }
        if let settings = configuration.admin?.tls {
            files.loaded.adminTLS = tls.server(settings, "admin.tls", &reading)?.tls
        }
        if let settings = configuration.admin?.probes?.tls {
            files.loaded.probesTLS = tls.server(settings, "admin.probes.tls", &reading)?.tls
        }
        for pool in configuration.pools where pool.backends.contains(where: \.isSecure) {
            files.loaded.backendTLS[pool.name] = tls.client(pool.tls, "pools.\(pool.name).tls", &reading)
        }
        for service in configuration.services {
            guard case .balancer(let balancer) = service.kind, let check = balancer.check else { continue }
            var settings = Configuration.BackendTLS()
            settings.ca = check.ca
            files.loaded.balancerTLS[service.name] = tls.client(
                settings,
                "services.\(service.name).balance.check",
                &reading
            )
        }
        Self.checkRoles(files.loaded, &reading)
        files.loaded.hash = reading.hash
        return files.loaded
    }

    // MARK: Realms

    private static func realm(_ realm: Configuration.Realm, _ reading: inout Reading) -> RealmVerifier {
        let key = "realms.\(realm.name)"
        var verifier = RealmVerifier(realm)
        var names: Set<String> = []
        if let file = realm.users {
            (verifier.users, names) = self.users(file, realm, key, &reading)
            verifier.userNames = names
        }
        if let file = realm.groups {
            verifier.groups = self.groups(file, "\(key).groups", &reading)
            if realm.jwt == nil, verifier.users != nil {
                for (name, line) in verifier.groups.names where !names.contains(name) {
                    reading.warning(in: file, line: line, key: "\(key).groups", "\(name.shown) is no user of the realm")
                }
            }
        }
        if let file = realm.certificate?.roles {
            verifier.certificateGroups = self.groups(file, "\(key).certificate.roles", &reading)
        }
        if let file = realm.nonceKeys { verifier.nonceKeys = self.nonceKeys(file, "\(key).nonceKeys", &reading) }
        if let jwt = realm.jwt, let bytes = self.bytes(jwt.keys, "\(key).jwt.keys", &reading) {
            let (set, remarks) = KeySet.read(bytes, algorithms: jwt.algorithms)
            for remark in remarks where !reading.isDoubtful("\(key).jwt.algorithms") {
                reading.add(
                    Finding(
                        remark.isError ? .error : .warning,
                        file: jwt.keys,
                        position: remark.position,
                        key: "\(key).jwt.keys",
                        sentence: remark.sentence
                    )
                )
            }
            verifier.tokens = TokenVerifier(rules: jwt, keys: set, realm: realm.name)
        }
        return verifier
    }

    private static func users(
        _ file: String,
        _ realm: Configuration.Realm,
        _ key: String,
        _ reading: inout Reading
    ) -> (UsersFile?, names: Set<String>) {
        guard let text = self.text(file, "\(key).users", &reading) else { return (nil, []) }
        let takesTokens = realm.schemes.contains { $0.name == .bearer || $0.name == .token }
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        var isGood = true
        // Line by line first: the file as a whole tells its first mistake alone.
        for (number, line) in zip(1..., lines) {
            do throws(WebSocketError) {
                _ = try UsersFile(String(line), name: file, allowsTokens: takesTokens)
            } catch {
                isGood = false
                reading.error(in: file, line: number, key: "\(key).users", Self.sentence(error, 1, file))
            }
        }
        guard isGood else { return (nil, []) }
        let users: UsersFile
        do throws(WebSocketError) {
            users = try UsersFile(text, name: file, allowsTokens: takesTokens)
        } catch {
            // A line that contradicts another. The message begins with its number.
            let number = Int(error.message.dropFirst("Line ".count).prefix(while: \.isNumber)) ?? 1
            reading.error(in: file, line: number, key: "\(key).users", Self.sentence(error, number, file))
            return (nil, [])
        }
        let names = lines.filter { !$0.hasPrefix("#") }.compactMap { line in
            line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).first.map {
                $0.trimmingBlanks()
            }
        }
        self.checkUsers(users, names.filter { !$0.isEmpty }, realm, key, &reading)
        return (users, Set(names))
    }

    /// Schemes that nobody in the file can take part in.
    private static func checkUsers(
        _ users: UsersFile,
        _ names: [String],
        _ realm: Configuration.Realm,
        _ key: String,
        _ reading: inout Reading
    ) {
        let schemes = Set(realm.schemes.map(\.name))
        if schemes.contains(.digest), users.digestAlgorithms(realm: realm.name).isEmpty {
            if users.hasDigestKeys(realm: realm.name) {
                reading.error("\(key).users", "the users of realm \(realm.name) have no digest algorithm in common")
            } else {
                let some = Set(names).sorted().prefix(3).joined(separator: ", ")
                reading.error(
                    "\(key).users",
                    "holds no digest key for realm \(realm.name)\(some.isEmpty ? "" : " (of \(some))"); "
                        + "`khp hash --digest \(realm.name) NAME` makes one"
                )
            }
        }
        if schemes.contains(.basic), !users.hasPasswords {
            reading.error("\(key).users", "holds no password's hash for basic; `khp hash NAME` makes one")
        }
        if !schemes.isDisjoint(with: [.bearer, .token]), realm.jwt == nil, !users.hasTokens {
            reading.error("\(key).users", "holds no token; `khp hash --token NAME` makes one")
        }
    }

    /// The message of a users file without its beginning, `Line 3 of users`, and its full stop.
    private static func sentence(_ error: WebSocketError, _ line: Int, _ file: String) -> String {
        let beginning = "Line \(line) of \(file) "
        let rest = error.message.hasPrefix(beginning) ? String(error.message.dropFirst(beginning.count)) : error.message
        return "the line " + (rest.hasSuffix(".") ? String(rest.dropLast()) : rest)
    }

    private static func groups(_ file: String, _ key: String, _ reading: inout Reading) -> GroupsFile {
        guard let text = self.text(file, key, &reading) else { return GroupsFile() }
        let (groups, wrong) = GroupsFile.read(text)
        for remark in wrong { reading.error(in: file, line: remark.line, key: key, remark.sentence) }
        return groups
    }

    private static func nonceKeys(_ file: String, _ key: String, _ reading: inout Reading) -> [[UInt8]] {
        guard let text = self.text(file, key, &reading) else { return [] }
        var keys: [[UInt8]] = []
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        for (number, line) in zip(1..., lines) {
            let line = line.trimmingBlanks()
            if line.isEmpty || line.hasPrefix("#") { continue }
            guard let bytes = Base64Text.any(line) else {
                reading.error(in: file, line: number, key: key, "the line is no key in base64")
                continue
            }
            guard bytes.count >= 32 else {
                reading.error(in: file, line: number, key: key, "the key has \(bytes.count) bytes; 32 are the least")
                continue
            }
            keys.append(bytes)
        }
        if keys.isEmpty, !reading.hasErrors(in: file) {
            reading.error(in: file, line: 1, key: key, "the file has no key")
        }
        if keys.count > 8 { reading.error(in: file, line: 1, key: key, "the file has more than 8 keys") }
        if reading.surroundings.isReadableByOthers(file) {
            reading.warning(key, "\(file) can be read by others")
        }
        return keys
    }

    /// Roles that are asked for and that nobody can have.
    private static func checkRoles(_ loaded: LoadedConfiguration, _ reading: inout Reading) {
        for service in loaded.configuration.services {
            let realms = service.realms.compactMap { loaded.realms[$0] }
            guard !realms.isEmpty, realms.allSatisfy(\.knowsRoles) else { continue }
            let files = realms.flatMap { [$0.groups, $0.certificateGroups] }
            let key = "services.\(service.name)"
            var requirements = [("\(key).require.roles", service.require)]
            if case .routed(let routes) = service.kind {
                requirements += routes.routes.map {
                    ("\(key).subprotocols.\($0.subprotocol).require.roles", $0.require)
                }
            }
            for (key, requirement) in requirements {
                for role in requirement?.roles ?? [] where !files.contains(where: { $0.all.contains(role) }) {
                    let isAsked = reading.takesComparisons(files.reduce(0) { $0 + $1.all.count })
                    let known = isAsked ? Set(files.flatMap(\.all)).sorted() : []
                    reading.warning(
                        key,
                        "nobody has the role \(role.shown)" + NearestName.question(role, among: known),
                        from: service.realms.map { "realms.\($0)" }
                    )
                }
            }
        }
    }

    // MARK: Bytes

    static func bytes(_ file: String, _ key: String, _ reading: inout Reading) -> [UInt8]? {
        do throws(FileFailure) {
            let bytes = try reading.readFile(file, self.maximumBytes + 1)
            guard bytes.count <= self.maximumBytes else { throw FileFailure("is larger than 16 MiB") }
            return bytes
        } catch {
            reading.error(key, "the file \(file) \(error.sentence)")
            return nil
        }
    }

    private static func text(_ file: String, _ key: String, _ reading: inout Reading) -> String? {
        guard let bytes = self.bytes(file, key, &reading) else { return nil }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            reading.error(key, "the file \(file) is not UTF-8")
            return nil
        }
        return text
    }
}

extension Substring {
    /// Without the spaces and tabs at both ends.
    fileprivate func trimmingBlanks() -> String {
        let end = self.lastIndex { $0 != " " && $0 != "\t" }
        guard let end else { return "" }
        return String(self[...end].drop { $0 == " " || $0 == "\t" })
    }
}
