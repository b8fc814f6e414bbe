import KHPProtocol
import NIOCore

/// An endpoint's door: a realm, and the schemes in which a client may prove who it is.
///
/// ```swift
/// Endpoint(
///     "/trades",
///     options: .init(
///         authentication: .init(
///             realm: "desk",
///             .digest(password: { user in await password(of: user) }),
///             .bearer(verify: principal),
///             sessionLifetime: .seconds(8 * 3600)
///         )
///     )
/// ) { socket in
///     let name = socket.negotiated.principal?.name ?? "nobody"
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
    /// `nil` never does that. A principal that expires earlier ends it earlier.
    public let sessionLifetime: Duration?
    let gate: AuthenticationGate

    /// One scheme or more.
    ///
    /// - Parameters:
    ///   - realm: the name of the area that the credentials are for.
    ///   - scheme: a way to prove who one is.
    ///   - others: further ways, no two of the same name; otherwise the server does not start.
    ///   - application: challenges with Kaazing's `Application ` before each scheme, as Kaazing clients expect, so that a
    ///     browser does not answer in the application's place.
    ///   - place: the handshake that challenges clients which take part in the extended one.
    ///   - sessionLifetime: how long a socket may stay open.
    ///   - nonces: the nonces of Digest; set a key where several servers share the work.
    ///   - observe: told of each attempt, for counts and audit logs, in the task that judges it. A client that was
    ///     challenged and has not answered yet has made none.
    public init(
        realm: String,
        _ scheme: AuthenticationScheme,
        _ others: AuthenticationScheme...,
        application: Bool = false,
        challengeAt place: Place = .extended,
        sessionLifetime: Duration? = nil,
        nonces: DigestNonceOptions = DigestNonceOptions(),
        observe: (@Sendable (AuthenticationAttempt) -> Void)? = nil
    ) {
        self.init(
            realm: realm,
            schemes: [scheme] + others,
            application: application,
            challengeAt: place,
            sessionLifetime: sessionLifetime,
            nonces: nonces,
            observe: observe
        )
    }

    /// The schemes of a list that is made elsewhere; otherwise as with those that are written out. An empty list is an
    /// error when the server starts.
    public init(
        realm: String,
        schemes: [AuthenticationScheme],
        application: Bool = false,
        challengeAt place: Place = .extended,
        sessionLifetime: Duration? = nil,
        nonces: DigestNonceOptions = DigestNonceOptions(),
        observe: (@Sendable (AuthenticationAttempt) -> Void)? = nil
    ) {
        self.realm = realm
        self.place = place
        self.sessionLifetime = sessionLifetime
        self.gate = AuthenticationGate(
            realm: realm,
            schemes: schemes,
            isApplication: application,
            nonces: nonces,
            observe: observe
        )
    }
}
