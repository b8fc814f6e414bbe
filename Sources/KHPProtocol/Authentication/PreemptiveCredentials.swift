/// Credentials that are sent to one origin without waiting to be asked.
///
/// They go out in the opening request and in the extended request of that origin and nowhere else. After a redirect has
/// led away from it they are not sent again in that connect. Digest cannot be sent without a challenge.
public struct PreemptiveCredentials: Sendable, Hashable {
    /// Scheme, host and port count; path and query do not.
    public var origin: WebSocketURL
    /// ``Credentials/basic(user:password:)``, ``Credentials/bearer(_:)``, ``Credentials/token(_:)`` or
    /// ``Credentials/authorization(_:)``.
    public var credentials: Credentials

    /// Credentials for an origin.
    public init(_ credentials: Credentials, origin: WebSocketURL) {
        self.origin = origin
        self.credentials = credentials
    }

    /// Credentials for an origin, such as `wss://example.com`.
    ///
    /// Throws ``WebSocketError/Code/invalidURL``.
    public init(_ credentials: Credentials, origin: String) throws(WebSocketError) {
        self.init(credentials, origin: try WebSocketURL(origin))
    }
}
