// The part of an endpoint that one connection needs once its request is accepted.

package import NIOCore

/// An endpoint's settings for a valid opening request that it accepts.
package struct EndpointPlan: Sendable {
    /// Supported dialects, in order of preference. The first whose opening matches the request is used (D1).
    package var dialects: [Dialect] = [.rfc6455]
    /// `true` when the head of a 101 goes out before the eight bytes behind the request have come: some proxies pass
    /// them on only then.
    package var answersBeforeKeys = false
    /// `true` when x-kaazing-handshake is chosen; the rest is then negotiated inside.
    package var extended = false
    package var subprotocols: [String] = []
    package var extensions: [any WebSocketExtension] = []
    /// Opens the socket without a subprotocol where none of those that the client asks for is spoken here, though its
    /// dialect has the server refuse it then (D40).
    package var servesWithoutSubprotocol = false
    package var principal: String?
    /// How long the open socket may last; `nil` for ever.
    package var sessionLifetime: TimeAmount?
    /// In place of the listener's; `nil` where the endpoint wants nothing else.
    package var configuration: ConnectionConfiguration?
    /// `true` when a client that asks for the Kaazing legacy exchange gets it (D7).
    package var kaazingLegacy = true

    package init() {}

    /// With the extensions as one connection negotiates them.
    func forConnection() -> EndpointPlan {
        guard !self.extensions.isEmpty else { return self }
        var plan = self
        plan.extensions = self.extensions.map { $0.forConnection(.server) }
        return plan
    }
}
