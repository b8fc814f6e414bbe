import KHPProtocol
import NIOCore

/// An endpoint's door: a realm, and the schemes in which a client may prove who it is.
///
/// ```swift
/// Endpoint(
///     "/trades",
///     options: .init(
///         authentication: ServerAuthentication(
///             realm: "desk",
///             schemes: [
///                 .digest(password: { user in await password(of: user) }),
///                 .bearer(verify: principal),
///             ],
///             sessionLifetime: .seconds(8 * 3600)
///         )
///     )
/// ) { socket in
///     let name = socket.negotiated.principal ?? "nobody"
///     try await socket.send("Welcome, \(name)!")
/// }
/// ```
///
/// A 401 lists all schemes, the strongest first (RFC 9110 section 11.6.1). The third wrong answer on a connection gets
/// 403, and so does every attempt from an address with too many of them: see
/// ``WebSocketServer/Limits/wrongAnswersPerAddress``.
public struct ServerAuthentication: Sendable {
    /// Where a client that takes part in the extended handshake is challenged; everyone else is challenged in the
    /// opening handshake.
    public enum Place: String, Sendable, CaseIterable {
        /// With a 401 inside, replayed on the same socket. Right credentials in the opening request count as well.
        case extended
        /// With a 401 as the response of the opening handshake.
        case opening
    }

    /// The realm, as shown to the person who is asked.
    public let realm: String
    /// Where the challenge is made.
    public let place: Place
    /// How long a socket may stay open before it is closed with 1008, so that the client has to authenticate again;
    /// `nil` never does that.
    public let sessionLifetime: Duration?
    let gate: AuthenticationGate

    /// One or more schemes.
    ///
    /// - Parameters:
    ///   - realm: what the credentials are for.
    ///   - schemes: at least one, and no two of the same name; otherwise the server does not start.
    ///   - application: challenges with Kaazing's `Application ` before each scheme, so that a browser does not answer
    ///     in the application's place.
    ///   - place: where to challenge those who take part in the extended handshake.
    ///   - sessionLifetime: how long a socket may stay open.
    ///   - nonces: the nonces of Digest; set a key where several servers share the work.
    public init(
        realm: String,
        schemes: [AuthenticationScheme],
        application: Bool = false,
        challengeAt place: Place = .extended,
        sessionLifetime: Duration? = nil,
        nonces: DigestNonceOptions = DigestNonceOptions()
    ) {
        self.realm = realm
        self.place = place
        self.sessionLifetime = sessionLifetime
        self.gate = AuthenticationGate(realm: realm, schemes: schemes, isApplication: application, nonces: nonces)
    }

    /// Basic (RFC 7617) alone.
    /// - Parameters:
    ///   - realm: what the credentials are for.
    ///   - application: challenges with `Application Basic`, as Kaazing clients expect, so that a browser does not
    ///     answer in the application's place.
    ///   - place: where to challenge those who take part in the extended handshake.
    ///   - sessionLifetime: how long a socket may stay open.
    ///   - verify: whether user and password belong together. Compare in constant time, or check a password hash.
    public static func basic(
        realm: String,
        application: Bool = false,
        challengeAt place: Place = .extended,
        sessionLifetime: Duration? = nil,
        verify: @escaping @Sendable (_ user: String, _ password: String) async -> Bool
    ) -> ServerAuthentication {
        ServerAuthentication(
            realm: realm,
            schemes: [.basic(verify: verify)],
            application: application,
            challengeAt: place,
            sessionLifetime: sessionLifetime
        )
    }

    /// Digest (RFC 7616) alone.
    /// - Parameters:
    ///   - realm: what the credentials are for.
    ///   - algorithms: one challenge is sent for each.
    ///   - application: challenges with `Application Digest`.
    ///   - place: where to challenge those who take part in the extended handshake.
    ///   - sessionLifetime: how long a socket may stay open.
    ///   - nonces: how nonces are made and remembered.
    ///   - password: the password of a user, `nil` where there is no such user.
    public static func digest(
        realm: String,
        algorithms: [DigestAlgorithm] = [.sha256, .md5],
        application: Bool = false,
        challengeAt place: Place = .extended,
        sessionLifetime: Duration? = nil,
        nonces: DigestNonceOptions = DigestNonceOptions(),
        password: @escaping @Sendable (_ user: String) async -> String?
    ) -> ServerAuthentication {
        ServerAuthentication(
            realm: realm,
            schemes: [.digest(algorithms: algorithms, password: password)],
            application: application,
            challengeAt: place,
            sessionLifetime: sessionLifetime,
            nonces: nonces
        )
    }

    /// Bearer (RFC 6750) alone.
    /// - Parameters:
    ///   - realm: what the credentials are for.
    ///   - place: where to challenge those who take part in the extended handshake.
    ///   - sessionLifetime: how long a socket may stay open.
    ///   - verify: who the token belongs to, `nil` where it is none. Compare in constant time, or look up a hash.
    public static func bearer(
        realm: String,
        challengeAt place: Place = .extended,
        sessionLifetime: Duration? = nil,
        verify: @escaping @Sendable (_ token: String) async -> String?
    ) -> ServerAuthentication {
        ServerAuthentication(
            realm: realm,
            schemes: [.bearer(verify: verify)],
            challengeAt: place,
            sessionLifetime: sessionLifetime
        )
    }

    /// Kaazing's Token alone.
    /// - Parameters:
    ///   - realm: what the credentials are for.
    ///   - application: challenges with `Application Token`, as Kaazing clients expect.
    ///   - place: where to challenge those who take part in the extended handshake.
    ///   - sessionLifetime: how long a socket may stay open.
    ///   - verify: who the token belongs to, `nil` where it is none. Compare in constant time, or look up a hash.
    public static func token(
        realm: String,
        application: Bool = false,
        challengeAt place: Place = .extended,
        sessionLifetime: Duration? = nil,
        verify: @escaping @Sendable (_ token: String) async -> String?
    ) -> ServerAuthentication {
        ServerAuthentication(
            realm: realm,
            schemes: [.token(verify: verify)],
            application: application,
            challengeAt: place,
            sessionLifetime: sessionLifetime
        )
    }
}
