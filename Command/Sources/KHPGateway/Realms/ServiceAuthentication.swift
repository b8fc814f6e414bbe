// The door of a service: the verifiers of its realms as one authentication of the library.

import KHPProtocol
package import KHPServer

/// A proof that was looked at, for metrics and logs.
package struct AuthenticationOutcome: Sendable, Equatable {
    package enum Result: String, Sendable {
        case ok
        case wrong
        case unknownUser = "unknown-user"
        case expired
        case stale
        case blocked
    }

    package var realm: String
    /// `basic`, `digest`, `bearer`, `token`, `certificate`, `cookie` or `query`; `none` for another scheme, and for a
    /// blocked client that brought nothing.
    package var scheme: String
    package var result: Result
    /// The reason for a refusal, where there is more to say; never a secret.
    package var cause: String?
}

extension LoadedConfiguration {
    /// The authentication of a service; `nil` for one without a realm.
    ///
    /// Realms are asked in the order of the file, and the first that proves something counts. A client's certificate, and
    /// tokens in cookies and queries, are looked at before Authorization. Challenges name the realm of Digest where there
    /// is one, since its keys are made for that name, otherwise the first realm with schemes.
    ///
    /// - Parameter observe: called with each proof that was looked at, and for each request of a blocked address. A client
    ///   is blocked, and what has no form is counted, by the realm that the challenges name.
    package func authentication(
        of service: GatewayConfiguration.Service,
        observe: @escaping @Sendable (AuthenticationOutcome) -> Void = { _ in }
    ) -> ServerAuthentication? {
        let realms = service.realms.compactMap { self.realms[$0] }
        guard let first = realms.first else {
            if service.realms.isEmpty { return nil }
            assertionFailure("the service \(service.name) names no realm that there is")
            // Without a realm no client can prove itself, and none is admitted.
            return ServerAuthentication(realm: service.name, schemes: [.request { _ in .absent }])
        }
        let trusting = Set(self.configuration.listeners.filter(\.trustsClientName).map(\.name))
        let door = ServiceDoor(realms: realms, trusting: trusting, now: self.now, observe: observe)
        let digest = realms.first { $0.has(.digest) }
        let named = digest ?? realms.first { !$0.realm.schemes.isEmpty } ?? first
        return ServerAuthentication(
            realm: named.realm.name,
            schemes: door.requestProofs + door.schemes,
            application: realms.contains { $0.realm.schemes.contains(where: \.isApplication) },
            nonces: DigestNonceOptions(
                key: digest?.nonceKeys.first,
                otherKeys: Array(digest?.nonceKeys.dropFirst() ?? []),
                lifetime: named.realm.nonceLifetime
            ),
            observe: { door.tell($0, named.realm.name) }
        )
    }
}

/// The verifiers of several realms, by the way in which a proof comes.
private struct ServiceDoor: Sendable {
    let realms: [RealmVerifier]
    /// The names of the listeners whose proxies tell the common names of clients.
    let trusting: Set<String>
    let now: @Sendable () -> Int64
    let observe: @Sendable (AuthenticationOutcome) -> Void

    // MARK: Proofs in the request

    var requestProofs: [AuthenticationScheme] {
        self.realms.flatMap { realm -> [AuthenticationScheme] in
            let certificate = realm.realm.certificate.map { _ in self.certificate(realm) }
            let tokens = realm.realm.token.compactMap { self.token($0, realm) }
            return (certificate.map { [$0] } ?? []) + tokens
        }
    }

    private func certificate(_ realm: RealmVerifier) -> AuthenticationScheme {
        .request { request in
            let shown = request.clientCertificate.flatMap { realm.principal($0) }
            guard let principal = shown ?? self.told(request, realm) else { return .absent }
            // A connection may outlive its certificate.
            if let end = principal.expires, end <= self.now() {
                self.tell(realm, "certificate", .expired)
                return .wrong
            }
            self.tell(realm, "certificate", .ok)
            return .right(principal)
        }
    }

    /// The principal of the certificate that a proxy has seen.
    private func told(_ request: HandshakeRequest, _ realm: RealmVerifier) -> Principal? {
        guard let listener = request.listener, self.trusting.contains(listener),
            let name = request.proxiedCertificateName
        else { return nil }
        return realm.principal(commonName: name)
    }

    /// `nil` for the header, which has schemes of its own.
    private func token(_ place: GatewayConfiguration.TokenPlace, _ realm: RealmVerifier) -> AuthenticationScheme? {
        switch place {
        case .header: nil
        case .cookie(let name):
            .request { request in
                guard let token = request.cookies[name], !token.isEmpty else { return .absent }
                return self.verify(token, [realm], "cookie").map { .right($0) } ?? .wrong
            }
        case .query(let name):
            .request { request in
                // The extended request's own counts first: it is not seen by what lies between.
                guard let token = request.extendedQuery[name] ?? request.query[name], !token.isEmpty else {
                    return .absent
                }
                return self.verify(token, [realm], "query").map { .right($0) } ?? .wrong
            }
        }
    }

    // MARK: Schemes

    var schemes: [AuthenticationScheme] {
        var schemes: [AuthenticationScheme] = []
        if let realm = self.realms.first(where: { $0.has(.digest) }), let users = realm.users {
            schemes.append(self.digest(realm, users))
        }
        if self.realms.contains(where: { $0.has(.bearer) && $0.realm.token.contains(.header) }) {
            let realms = self.realms.filter { $0.has(.bearer) && $0.realm.token.contains(.header) }
            schemes.append(.bearer { self.verify($0, realms, "bearer") })
        }
        if self.realms.contains(where: { $0.has(.token) && $0.realm.token.contains(.header) }) {
            let realms = self.realms.filter { $0.has(.token) && $0.realm.token.contains(.header) }
            schemes.append(.token { self.verify($0, realms, "token") })
        }
        if self.realms.contains(where: { $0.has(.basic) }) { schemes.append(self.basic) }
        return schemes
    }

    private func digest(_ realm: RealmVerifier, _ users: UsersFile) -> AuthenticationScheme {
        .digest(
            algorithms: users.digestAlgorithms(realm: realm.realm.name),
            hashedUser: { hash, name, algorithm in users.user(hash: hash, realm: name, algorithm: algorithm) },
            principal: { realm.principal($0) },
            key: { user, name, algorithm in users.digestKey(user: user, realm: name, algorithm: algorithm) }
        )
    }

    private var basic: AuthenticationScheme {
        let realms = self.realms.filter { $0.has(.basic) }
        return .basic { user, password in
            for realm in realms {
                guard let users = realm.users, await users.verify(user: user, password: password) else { continue }
                self.tell(realm, "basic", .ok)
                return realm.principal(user)
            }
            let isKnown = realms.contains { $0.users?.hasPassword(user: user) ?? false }
            if let first = realms.first { self.tell(first, "basic", isKnown ? .wrong : .unknownUser) }
            return nil
        }
    }

    private func verify(_ token: String, _ realms: [RealmVerifier], _ scheme: String) -> Principal? {
        var refusal: (realm: RealmVerifier, cause: TokenVerifier.Refusal?)?
        for realm in realms {
            do throws(RealmVerifier.TokenRefusal) {
                let principal = try realm.principal(token: token, now: self.now())
                self.tell(realm, scheme, .ok)
                return principal
            } catch {
                let cause: TokenVerifier.Refusal? = if case .token(let cause) = error { cause } else { nil }
                if refusal == nil || cause == .expired { refusal = (realm, cause) }
            }
        }
        if let refusal {
            self.tell(refusal.realm, scheme, refusal.cause == .expired ? .expired : .wrong, refusal.cause?.rawValue)
        }
        return nil
    }

    /// Tells of an attempt that the verifiers of this type have not told of: all of Digest, whose realm is the named one,
    /// and what no verifier was asked about.
    func tell(_ attempt: AuthenticationAttempt, _ realm: String) {
        let scheme = attempt.scheme ?? "none"
        let result: AuthenticationOutcome.Result
        var cause: String?
        switch attempt.outcome {
        case .right where scheme == "digest": result = .ok
        case .wrong where scheme == "digest": result = .wrong
        case .right, .wrong, .overloaded: return
        case .unknownUser: result = .unknownUser
        case .stale: result = .stale
        case .blocked: result = .blocked
        case .malformed: (result, cause) = (.wrong, "malformed")
        }
        self.observe(AuthenticationOutcome(realm: realm, scheme: scheme, result: result, cause: cause))
    }

    private func tell(
        _ realm: RealmVerifier,
        _ scheme: String,
        _ result: AuthenticationOutcome.Result,
        _ cause: String? = nil
    ) {
        self.observe(AuthenticationOutcome(realm: realm.realm.name, scheme: scheme, result: result, cause: cause))
    }
}
