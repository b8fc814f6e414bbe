public import ArgumentParser
public import KHPServer

extension ServerAuthentication.Place: @retroactive ExpressibleByArgument {}
extension ForwardingField: @retroactive ExpressibleByArgument {}

/// The options of access.
struct AccessOptions: ParsableArguments {
    @Option(
        name: .customLong("auth"),
        help: ArgumentHelp(
            "Ask for credentials there: basic, digest, bearer or token; repeatable, also for several schemes of one path.",
            valueName: "path=scheme[:realm]"
        ),
        transform: AuthenticatedPath.init(argument:)
    )
    var paths: [AuthenticatedPath] = []

    @Flag(help: "Challenge with Kaazing's prefix, such as `Application Basic`, which browsers leave to the page.")
    var application = false

    @Option(
        help: ArgumentHelp(
            "The users: `name:hash` for basic, `name:realm:HA1` for digest, `name:token` for bearer and token; made by "
                + "`khp hash`.",
            valueName: "file"
        )
    )
    var users: String?

    @Option(help: "Where to challenge those who offer x-kaazing-handshake: extended (the default) or opening.")
    var challengeAt: ServerAuthentication.Place?

    @Option(
        help: ArgumentHelp(
            "Close a socket with 1008 so many seconds after it opened, so that the client authenticates again.",
            valueName: "seconds"
        ),
        transform: PositiveSeconds.init(argument:)
    )
    var sessionLifetime: PositiveSeconds?

    @Option(
        help: ArgumentHelp(
            "What digest nonces are sealed with, at least 16 bytes: the same for all servers behind a balancer. None: "
                + "random bytes.",
            valueName: "file"
        )
    )
    var nonceKey: String?

    @Option(
        name: .customLong("allowed-host"),
        help: ArgumentHelp(
            "A host that requests may name, such as localhost, 127.0.0.1, '[::1]' or example.com:8080; repeatable. Others "
                + "get 421. None: any.",
            valueName: "name"
        )
    )
    var allowedHosts: [String] = []

    @Option(
        name: .customLong("trusted-proxy"),
        help: ArgumentHelp(
            "A proxy that names its clients' addresses: an address or a range such as 10.0.0.0/8; repeatable. Limits then "
                + "count by these addresses, and otherwise by the proxy's.",
            valueName: "address"
        )
    )
    var trustedProxies: [String] = []

    @Option(help: "The field in which they do so: x-forwarded-for (the default) or forwarded.")
    var forwardingField: ForwardingField?

    /// Sets which hosts are served, and which proxies are believed.
    func apply(to configuration: inout WebSocketServer.Configuration) throws {
        if !self.allowedHosts.isEmpty {
            do {
                _ = try HostPolicy.allowing(self.allowedHosts)
            } catch {
                throw CommandFailure.usage("--allowed-host: \(error.message)")
            }
            configuration.allowedHosts = self.allowedHosts
        }
        guard !self.trustedProxies.isEmpty else {
            guard self.forwardingField == nil else {
                throw CommandFailure.usage("--forwarding-field needs --trusted-proxy: nobody else is believed")
            }
            return
        }
        configuration.clientAddress = .forwarded(self.forwardingField ?? .xForwardedFor, trusted: self.trustedProxies)
        do {
            try configuration.clientAddress.validate()
        } catch {
            throw CommandFailure.usage("--trusted-proxy: \(error.message)")
        }
    }

    func authentication(for routes: [Route], console: Console) throws -> [String: ServerAuthentication] {
        guard let first = self.paths.first else {
            let lonely = [
                ("--application", self.application), ("--session-lifetime", self.sessionLifetime != nil),
                ("--nonce-key", self.nonceKey != nil), ("--users", self.users != nil),
                ("--challenge-at", self.challengeAt != nil),
            ]
            if let option = lonely.first(where: \.1)?.0 {
                throw CommandFailure.usage("\(option) needs --auth PATH=SCHEME: without it nobody is asked")
            }
            return [:]
        }
        guard let users else {
            throw CommandFailure.usage("--auth for \(first.path) needs --users FILE; `khp hash NAME` makes its lines")
        }
        let file = try self.read(users, console)
        let nonces = try self.nonces()
        var result: [String: ServerAuthentication] = [:]
        for path in Set(self.paths.map(\.path)) {
            guard routes.contains(where: { $0.path == path }) else {
                throw CommandFailure.usage("--auth names \(path), and there is no --route for that path")
            }
            let here = self.paths.filter { $0.path == path }
            let realm = try self.realm(of: here)
            result[path] = ServerAuthentication(
                realm: realm,
                schemes: try self.schemes(here, realm, file, users),
                application: self.application,
                challengeAt: self.challengeAt ?? .extended,
                sessionLifetime: self.sessionLifetime?.duration,
                nonces: nonces
            )
        }
        return result
    }

    private func read(_ users: String, _ console: Console) throws -> UsersFile {
        let text = try FileArgument.text(users, option: "--users")
        // Where nobody asks for tokens, a line that could be one is a password that was not hashed.
        let allowsTokens = self.paths.contains { $0.scheme == .token || $0.scheme == .bearer }
        do {
            return try UsersFile(text, name: users, allowsTokens: allowsTokens)
        } catch {
            // One file may serve several servers, and not each of them asks for tokens.
            guard !allowsTokens, let all = try? UsersFile(text, name: users, allowsTokens: true) else {
                throw CommandFailure(any: error)
            }
            let warning =
                "`name:token` lines of \(users) are passed over, as no --auth asks for bearer or token; if "
                + "one holds a password, `khp hash` hides it"
            console.report(.warning(warning))
            return all
        }
    }

    /// The realm of a path, which several schemes share.
    private func realm(of asked: [AuthenticatedPath]) throws -> String {
        let realms = Set(asked.compactMap(\.realm))
        guard realms.count < 2, let path = asked.first?.path else {
            throw CommandFailure.usage("--auth names two realms for \(asked.first?.path ?? ""); a path has one realm")
        }
        guard Set(asked.map(\.scheme)).count == asked.count else {
            throw CommandFailure.usage("--auth names one scheme twice for \(path)")
        }
        return realms.first ?? AuthenticatedPath.defaultRealm
    }

    private func schemes(
        _ asked: [AuthenticatedPath],
        _ realm: String,
        _ file: UsersFile,
        _ name: String
    ) throws -> [AuthenticationScheme] {
        try asked.map { path in
            func missing(_ lines: String, _ command: String) -> CommandFailure {
                .usage("--auth \(path.path)=\(path.scheme.rawValue) needs \(lines) in \(name); `\(command)` makes one")
            }
            switch path.scheme {
            case .basic:
                guard file.hasPasswords else { throw missing("a `name:hash` line", "khp hash NAME") }
                return file.basic
            case .digest:
                guard !file.digestAlgorithms(realm: realm).isEmpty else {
                    guard !file.hasDigestKeys(realm: realm) else {
                        throw CommandFailure.usage(
                            "the users of realm `\(realm)` in \(name) have no algorithm in common, and a client takes the "
                                + "strongest that is offered"
                        )
                    }
                    throw missing(
                        "a `name:realm:HA1` line for the realm `\(realm)`",
                        "khp hash --digest '\(realm)' NAME"
                    )
                }
                return file.digest(realm: realm)
            case .bearer, .token:
                guard file.hasTokens else { throw missing("a `name:token` line", "khp hash --token NAME") }
                return path.scheme == .bearer ? file.bearer : file.token
            }
        }
    }

    private func nonces() throws -> DigestNonceOptions {
        guard let nonceKey else { return DigestNonceOptions() }
        var key = try FileArgument.bytes(nonceKey, option: "--nonce-key")
        // An editor ends a file with a line break, which another node's editor may not.
        while let last = key.last, last == 0x0A || last == 0x0D { key.removeLast() }
        guard key.count >= 16 else {
            throw CommandFailure.usage("the file `\(nonceKey)` of --nonce-key holds less than 16 bytes")
        }
        return DigestNonceOptions(key: key)
    }
}
