// The schemes of an endpoint at work: a request's credentials go in, a user or challenges come out. Shared by all
// connections, since a nonce may be used on one and replayed on another.

import KHPProtocol
import NIOCore
import Synchronization

final class AuthenticationGate: Sendable {
    enum Verdict: Sendable {
        /// The scheme in lower case; empty for a proof of the request.
        case right(Principal, scheme: String, DigestConfirmation? = nil)
        /// Right, for a nonce that is used no more.
        case stale
        /// In lower case, the scheme that was tried.
        case wrong(scheme: String, Fault = .refused)
        /// The request brought nothing.
        case absent
    }

    /// The reason for a wrong answer; no client is told of it.
    enum Fault: Sendable {
        case refused
        case unknownUser
        case malformed
    }

    private let realm: String
    private let isApplication: Bool
    /// Proofs outside of Authorization.
    private let requestProofs: [@Sendable (HandshakeRequest) async -> RequestProof]
    /// The ways of Authorization, the strongest first.
    private let schemes: [AuthenticationScheme]
    private let digest: DigestVerifier?
    private let keyBytes: Int
    /// The memories of used nonces, by the `opaque` of their keys.
    private let memories: [String: NonceMemory]
    /// In microseconds.
    private let nonceLifetime: UInt64
    private let observe: (@Sendable (AuthenticationAttempt) -> Void)?

    init(
        realm: String,
        schemes: [AuthenticationScheme],
        isApplication: Bool,
        nonces: DigestNonceOptions,
        observe: (@Sendable (AuthenticationAttempt) -> Void)?
    ) {
        self.realm = realm
        self.observe = observe
        self.isApplication = isApplication
        self.requestProofs = schemes.compactMap { scheme in
            if case .request(let verify) = scheme.kind { verify } else { nil }
        }
        self.schemes = schemes.filter { !$0.isOfRequest }.enumerated()
            .sorted { ($0.element.rank, $0.offset) < ($1.element.rank, $1.offset) }
            .map(\.element)
        self.keyBytes = ([nonces.key] + nonces.otherKeys).map(\.count).min() ?? 0
        var digest: DigestVerifier?
        for case .digest(let scheme) in schemes.map(\.kind) {
            digest = DigestVerifier(
                realm: realm,
                algorithms: scheme.algorithms,
                offersIntegrity: scheme.integrity,
                acceptsHashedUsers: scheme.hashedUser != nil,
                key: nonces.key,
                otherKeys: nonces.otherKeys
            )
        }
        self.digest = digest
        let lifetime = nonces.lifetimeMicroseconds
        self.nonceLifetime = lifetime
        var memories: [String: NonceMemory] = [:]
        for opaque in digest?.opaques ?? [] {
            memories[opaque] = NonceMemory.shared(opaque, lifetime: lifetime, capacity: nonces.capacity)
        }
        self.memories = memories
    }

    /// Throws for settings that would let nobody in, or the wrong users.
    func validate() throws(WebSocketError) {
        func invalid(_ message: String) -> WebSocketError {
            WebSocketError(.invalidArgument, "The authentication for \(quoted(self.realm)) \(message).")
        }
        if self.schemes.isEmpty, self.requestProofs.isEmpty { throw invalid("has no scheme") }
        let names = self.schemes.map(\.name)
        if names.contains("") { throw invalid("has a challenge that does not begin with a scheme") }
        if Set(names).count < names.count { throw invalid("has two schemes of the same name") }
        try FieldValidation.validate(self.realm, what: "the realm")
        for case .custom(let challenge, _) in self.schemes.map(\.kind) {
            try FieldValidation.validate(challenge, what: "a challenge")
        }
        guard let digest = self.digest else { return }
        if digest.algorithms.isEmpty { throw invalid("has Digest without an algorithm") }
        if Set(digest.algorithms).count < digest.algorithms.count { throw invalid("names an algorithm twice") }
        if self.keyBytes < DigestNonceOptions.minimumKeyBytes {
            throw invalid("seals its nonces with a key of less than \(DigestNonceOptions.minimumKeyBytes) bytes")
        }
    }

    /// True where a request may prove something without credentials.
    var looksAtRequests: Bool { !self.requestProofs.isEmpty }

    /// Judges a request: a proof of its own first, then its credentials.
    /// - Parameter request: `nil` for one that proves nothing by itself.
    func judge(_ credentials: PresentedCredentials?, of request: HandshakeRequest?) async -> Verdict {
        if let request {
            for verify in self.requestProofs {
                switch await verify(request) {
                case .absent: continue
                case .wrong: return .wrong(scheme: "")
                case .right(let principal): return self.verdict(principal, scheme: "")
                }
            }
        }
        return await self.judge(credentials)
    }

    /// Judges `credentials`.
    func judge(_ credentials: PresentedCredentials?) async -> Verdict {
        guard let credentials else { return .absent }
        var scanner = FieldScanner(credentials.value)
        let name = scanner.token().map { Bytes.lowercasedASCII($0) } ?? ""
        guard let scheme = self.schemes.first(where: { $0.name == name }) else {
            return .wrong(scheme: name, .malformed)
        }
        let principal: Principal?
        switch scheme.kind {
        case .basic(let verify):
            guard let given = BasicCredentials(authorization: credentials.value) else {
                return .wrong(scheme: name, .malformed)
            }
            principal = await verify(given.user, given.password)
        case .digest(let scheme):
            return await self.judge(credentials, scheme)
        case .bearer(let verify):
            guard let token = Self.token(&scanner, isStrict: true) else {
                return .wrong(scheme: name, .malformed)
            }
            principal = await verify(token)
        case .token(let verify):
            guard let token = Self.token(&scanner, isStrict: false) else {
                return .wrong(scheme: name, .malformed)
            }
            principal = await verify(token)
        case .custom(_, let verify):
            principal = await verify(credentials.value)
        case .request:
            principal = nil
        }
        return self.verdict(principal, scheme: name)
    }

    /// A principal comes in unless its proof has ended, with the realm that it was asked for.
    private func verdict(_ principal: Principal?, _ confirmation: DigestConfirmation? = nil, scheme: String) -> Verdict
    {
        guard var principal, !principal.hasExpired else { return .wrong(scheme: scheme) }
        if principal.realm == nil { principal.realm = self.realm }
        return .right(principal, scheme: scheme, confirmation)
    }

    private func judge(_ credentials: PresentedCredentials, _ scheme: AuthenticationScheme.Digest) async -> Verdict {
        let claim = self.digest?.claim(
            of: credentials.value,
            method: credentials.method,
            target: credentials.target,
            entity: credentials.body
        )
        guard let digest = self.digest, let claim else { return .wrong(scheme: "digest", .malformed) }
        let given = claim.authorization
        let algorithm = given.algorithm.base
        var user: String? = given.user
        if given.isUserHashed { user = await scheme.hashedUser?(given.user, self.realm, algorithm) }
        // An unknown name is looked up as well, and a hash is computed for it: the time does not tell which users
        // exist.
        let found = await scheme.key(user ?? given.user, self.realm, algorithm)
        let key = user == nil ? nil : found
        let now = NonceClock.microseconds()
        let lifetime = self.nonceLifetime
        let verdict: DigestVerifier.Verdict
        if let memory = self.memories[claim.opaque] {
            verdict = memory.use { digest.judge(claim, key: key, counts: &$0, now: now, lifetime: lifetime) }
        } else {
            // The nonce is of no key of this endpoint: the credentials are stale at best.
            var none = NonceCounts(lifetime: 0, capacity: 1)
            verdict = digest.judge(claim, key: key, counts: &none, now: now)
        }
        switch verdict {
        case .right(let confirmation):
            return self.verdict(await scheme.principal(user ?? given.user), confirmation, scheme: "digest")
        case .stale: return .stale
        case .wrong: return .wrong(scheme: "digest", key == nil ? .unknownUser : .refused)
        }
    }

    /// Reports an attempt to the observer.
    /// - Parameter credentials: `nil` where there were none, or where a proof of the request was looked at.
    func tell(_ outcome: AuthenticationAttempt.Outcome, _ credentials: PresentedCredentials?, _ client: SocketAddress?)
    {
        guard let observe else { return }
        var scheme: String?
        if let credentials {
            var scanner = FieldScanner(credentials.value)
            scheme = scanner.token().map { Bytes.lowercasedASCII($0) }
        }
        self.tell(outcome, scheme: scheme, client, observe)
    }

    /// Reports a judged attempt to the observer.
    func tell(_ verdict: Verdict, _ client: SocketAddress?) {
        guard let observe else { return }
        switch verdict {
        case .right(let principal, let scheme, _): self.tell(.right(principal), scheme: scheme, client, observe)
        case .stale: self.tell(.stale, scheme: "digest", client, observe)
        case .wrong(let scheme, .refused): self.tell(.wrong, scheme: scheme, client, observe)
        case .wrong(let scheme, .unknownUser): self.tell(.unknownUser, scheme: scheme, client, observe)
        case .wrong(let scheme, .malformed): self.tell(.malformed, scheme: scheme, client, observe)
        case .absent: break
        }
    }

    private func tell(
        _ outcome: AuthenticationAttempt.Outcome,
        scheme: String?,
        _ client: SocketAddress?,
        _ observe: @Sendable (AuthenticationAttempt) -> Void
    ) {
        // A scheme that the endpoint does not have is reported without its name, which the peer has chosen.
        let known = scheme.flatMap { name in self.schemes.contains { $0.name == name } ? name : nil }
        observe(AuthenticationAttempt(scheme: known, outcome: outcome, client: client))
    }

    /// Takes the text after the scheme's name: a token68 (RFC 6750 section 2.1), or any text.
    private static func token(_ scanner: inout FieldScanner, isStrict: Bool) -> String? {
        guard scanner.peek == Bytes.space else { return nil }
        scanner.skipWhitespace()
        guard isStrict else { return scanner.rest.isEmpty ? nil : scanner.rest }
        guard let token = scanner.token68(), scanner.isAtEnd else { return nil }
        return token
    }

    /// One value of WWW-Authenticate for each challenge, the strongest first.
    func challenges(after verdict: Verdict) -> [String] {
        let realm = quoted(self.realm)
        var values: [String] = []
        for scheme in self.schemes {
            switch scheme.kind {
            case .basic:
                values.append("Basic realm=\(realm), charset=\"UTF-8\"")
            case .digest:
                // In a box: ThreadSanitizer reads at the address of an argument, and an empty struct has none.
                var generator: any RandomNumberGenerator = SystemRandomNumberGenerator()
                let now = NonceClock.microseconds()
                values += self.digest?.challenges(isStale: verdict.isStale, now: now, using: &generator) ?? []
            case .bearer:
                // RFC 6750 section 3.1: no error code unless a token was sent.
                let error = verdict.isWrong("bearer") ? ", error=\"invalid_token\"" : ""
                values.append("Bearer realm=\(realm)\(error)")
            case .token:
                values.append("Token realm=\(realm)")
            case .custom(let challenge, _):
                values.append(challenge)
            case .request:
                break
            }
        }
        return self.isApplication ? values.map { "Application \($0)" } : values
    }
}

extension AuthenticationScheme {
    /// True for a proof outside of Authorization.
    fileprivate var isOfRequest: Bool {
        if case .request = self.kind { true } else { false }
    }
}

extension AuthenticationGate.Verdict {
    var isStale: Bool {
        if case .stale = self { true } else { false }
    }

    var isWrong: Bool {
        if case .wrong = self { true } else { false }
    }

    func isWrong(_ scheme: String) -> Bool {
        if case .wrong(let tried, _) = self { tried == scheme } else { false }
    }
}

extension AuthenticationGate: CustomReflectable {
    /// The realm alone: the rest changes while an endpoint is printed, or is secret.
    var customMirror: Mirror { Mirror(self, children: ["realm": self.realm]) }
}
