public import KHPProtocol
public import NIOCore

/// A client's attempt to prove who it is, and its outcome; see the `observe` of
/// ``ServerAuthentication/init(realm:_:_:application:challengeAt:sessionLifetime:nonces:observe:)``.
public struct AuthenticationAttempt: Sendable {
    /// The result of an attempt.
    public enum Outcome: Sendable, Hashable {
        /// The client is this principal.
        case right(Principal)
        /// The verifier was asked and refused, or the principal has expired.
        case wrong
        /// Digest alone: no user has the name. The answer to the client does not show it.
        case unknownUser
        /// Digest alone: right, for a nonce that counts no more. The client is challenged anew with `stale=true`
        /// (RFC 7616 section 3.3).
        case stale
        /// The credentials are of a scheme that the endpoint does not offer, or are not in the form of theirs, or Digest
        /// signs another request, realm or algorithm. No verifier was asked.
        case malformed
        /// Too many wrong answers came from the client's address: refused whatever it brings. See
        /// ``WebSocketServer/Limits/wrongAnswersPerAddress``.
        case blocked
        /// Too many clients proved at once who they are: answered with 503.
        case overloaded
    }

    /// The name of the scheme of the endpoint, in lower case, such as `digest`. `nil` for a proof outside of
    /// Authorization, for a scheme that the endpoint does not offer, and for a blocked client that brought nothing: no
    /// client makes names here.
    public let scheme: String?
    /// The result.
    public let outcome: Outcome
    /// The address that wrong answers are counted by; `nil` where there is none, as with Unix domain sockets.
    public let client: SocketAddress?
}
