// One step of a client's way through redirects: in what was negotiated, and in errors.

/// One redirect that a client followed.
public struct RedirectStep: Sendable, Equatable, CustomStringConvertible {
    /// The URL that answered with a redirect.
    public var from: WebSocketURL
    /// The URL that it named, resolved.
    public var to: WebSocketURL
    /// The status of the answer: 300, 301, 302, 303, 307, 308, or 426 for a step up to TLS. 302 also for a balancer
    /// message of the Kaazing legacy exchange, which has none.
    public var status: Int
    /// The handshake in which the answer came.
    public var layer: HandshakeLayer

    /// Creates a redirect, as a test of what is done with redirects does.
    public init(from: WebSocketURL, to: WebSocketURL, status: Int, layer: HandshakeLayer) {
        self.from = from
        self.to = to
        self.status = status
        self.layer = layer
    }

    /// Status and both URLs, as ``WebSocketURL/redacted`` has them.
    public var description: String { "\(self.status) from \(self.from.redacted) to \(self.to.redacted)" }
}
