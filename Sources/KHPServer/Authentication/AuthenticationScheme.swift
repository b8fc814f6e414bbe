public import KHPProtocol

/// A way for clients to prove who they are; ``ServerAuthentication`` takes one or more.
///
/// Each yields a `Principal`: a name, with roles, claims and an end of the proof where the application knows them.
///
/// The closures run in a task of the connection, which is cancelled when the connection ends first. Work that takes long
/// without waiting, such as a password hash, belongs off the event loops: ``UsersFile`` sees to that by itself.
public struct AuthenticationScheme: Sendable {
    enum Kind: Sendable {
        case basic(@Sendable (_ user: String, _ password: String) async -> Principal?)
        case digest(Digest)
        case bearer(@Sendable (_ token: String) async -> Principal?)
        case token(@Sendable (_ token: String) async -> Principal?)
        case custom(challenge: String, @Sendable (_ authorization: String) async -> Principal?)
        case request(@Sendable (_ request: HandshakeRequest) async -> RequestProof)
    }

    struct Digest: Sendable {
        var algorithms: [DigestAlgorithm]
        var integrity: Bool
        var hashedUser: (@Sendable (_ hash: String, _ realm: String, _ algorithm: DigestAlgorithm) async -> String?)?
        var principal: @Sendable (_ user: String) async -> Principal?
        var key: @Sendable (_ user: String, _ realm: String, _ algorithm: DigestAlgorithm) async -> String?
    }

    let kind: Kind

    /// Basic (RFC 7617), in UTF-8. Without TLS anyone on the way can read the password.
    ///
    /// - Parameter verify: returns the principal where user and password belong together, otherwise `nil`. Compare in
    ///   constant time, or check a password hash.
    public static func basic(
        verify: @escaping @Sendable (_ user: String, _ password: String) async -> Principal?
    ) -> AuthenticationScheme {
        AuthenticationScheme(kind: .basic(verify))
    }

    /// Digest (RFC 7616) over keys that are stored: the password never comes over the wire, and need not be known here.
    ///
    /// - Parameters:
    ///   - algorithms: one challenge is sent for each, the strongest first.
    ///   - integrity: offers auth-int besides auth, so that a client may sign the body of its extended request.
    ///   - hashedUser: the name of the user whose H(user:realm) this is; `nil` where there is none. Where it is given,
    ///     challenges say `userhash=true`, and clients may hide user names (section 3.4.4).
    ///   - principal: returns the principal of a user who has proved to know the key; `nil` lets the user not in.
    ///   - key: H(user:realm:password) in lower-case hexadecimal, as ``DigestAlgorithm/key(user:realm:password:)``
    ///     makes it; `nil` where there is no such user. The algorithm is never a `-sess` form.
    public static func digest(
        algorithms: [DigestAlgorithm] = [.sha256, .md5],
        integrity: Bool = false,
        hashedUser: (
            @Sendable (_ hash: String, _ realm: String, _ algorithm: DigestAlgorithm) async -> String?
        )? = nil,
        principal: @escaping @Sendable (_ user: String) async -> Principal? = { Principal($0) },
        key: @escaping @Sendable (_ user: String, _ realm: String, _ algorithm: DigestAlgorithm) async -> String?
    ) -> AuthenticationScheme {
        let digest = Digest(
            algorithms: algorithms,
            integrity: integrity,
            hashedUser: hashedUser,
            principal: principal,
            key: key
        )
        return AuthenticationScheme(kind: .digest(digest))
    }

    /// Digest (RFC 7616) over passwords that are known here.
    ///
    /// - Parameters:
    ///   - algorithms: one challenge is sent for each, the strongest first.
    ///   - integrity: offers auth-int besides auth.
    ///   - principal: returns the principal of a user who has proved to know the password; `nil` lets the user not in.
    ///   - password: the password of a user, `nil` where there is no such user.
    public static func digest(
        algorithms: [DigestAlgorithm] = [.sha256, .md5],
        integrity: Bool = false,
        principal: @escaping @Sendable (_ user: String) async -> Principal? = { Principal($0) },
        password: @escaping @Sendable (_ user: String) async -> String?
    ) -> AuthenticationScheme {
        .digest(algorithms: algorithms, integrity: integrity, principal: principal) { user, realm, algorithm in
            // One hash whether there is such a user or not.
            let known = await password(user)
            let key = algorithm.key(user: user, realm: realm, password: known ?? "")
            return known == nil ? nil : key
        }
    }

    /// Bearer (RFC 6750).
    ///
    /// - Parameter verify: returns the principal that the token belongs to, `nil` where it is none. Compare in constant
    ///   time, or look up a hash.
    public static func bearer(
        verify: @escaping @Sendable (_ token: String) async -> Principal?
    ) -> AuthenticationScheme {
        AuthenticationScheme(kind: .bearer(verify))
    }

    /// Kaazing's Token: like Bearer, with any text as the token.
    ///
    /// - Parameter verify: returns the principal that the token belongs to, `nil` where it is none. Compare in constant
    ///   time, or look up a hash.
    public static func token(
        verify: @escaping @Sendable (_ token: String) async -> Principal?
    ) -> AuthenticationScheme {
        AuthenticationScheme(kind: .token(verify))
    }

    /// Any other scheme, such as Negotiate.
    ///
    /// - Parameters:
    ///   - challenge: the challenge as it is sent, such as `Negotiate` or `Ticket realm="desk"`. It begins with the
    ///     scheme's name, a token.
    ///   - verify: returns the principal that the value of Authorization proves, `nil` where it proves none. Called for
    ///     values that begin with the scheme's name.
    public static func custom(
        challenge: String,
        verify: @escaping @Sendable (_ authorization: String) async -> Principal?
    ) -> AuthenticationScheme {
        AuthenticationScheme(kind: .custom(challenge: challenge, verify))
    }

    /// A proof that comes with the connection or the request instead of Authorization: the certificate of a client, a
    /// cookie, a parameter of the query. There may be several of these; they are looked at first, in their order, and
    /// the first that is not ``RequestProof/absent`` counts. None sends a challenge: where there are no other schemes, a
    /// client without a proof gets 403.
    ///
    /// A page of any origin can have a browser send a certificate and cookies: set ``Endpoint/Options/origins``.
    ///
    /// - Parameter verify: looks for the proof in the request, and verifies it. Requests for cookies of Kaazing's clients
    ///   are not shown to it, and prove nothing by it.
    public static func request(
        verify: @escaping @Sendable (_ request: HandshakeRequest) async -> RequestProof
    ) -> AuthenticationScheme {
        AuthenticationScheme(kind: .request(verify))
    }

    /// In lower case; empty where a custom challenge begins with no token, and for a proof of the request.
    var name: String {
        switch self.kind {
        case .basic: return "basic"
        case .digest: return "digest"
        case .bearer: return "bearer"
        case .token: return "token"
        case .custom(let challenge, _):
            var scanner = FieldScanner(challenge)
            return scanner.token().map { Bytes.lowercasedASCII($0) } ?? ""
        case .request: return ""
        }
    }

    /// The order of schemes in a 401: custom ones, Digest, Bearer, Token, Basic. A custom scheme was added on purpose,
    /// Digest hides the secret, and a generated token is harder to guess than a password.
    var rank: Int {
        switch self.kind {
        case .custom, .request: 0
        case .digest: 1
        case .bearer: 2
        case .token: 3
        case .basic: 4
        }
    }
}

extension DigestAlgorithm {
    /// The form in which a server stores a password for Digest, known as HA1: H(user:realm:password) in lower-case
    /// hexadecimal (RFC 7616 section 3.4.2). As good as the password for this realm: keep it like one.
    public func key(user: String, realm: String, password: String) -> String {
        DigestKey.make(user: user, realm: realm, password: password, algorithm: self.base)
    }
}
