// The part of an endpoint that one connection needs once its request is accepted.

package import NIOCore

/// An endpoint's settings for a valid opening request that it accepts; made once, and shared by its connections.
package final class EndpointPlan: Sendable {
    package struct Values: Sendable {
        /// Supported dialects, in order of preference. The first whose opening matches the request is used (D1).
        package var dialects: [Dialect] = [.rfc6455]
        /// `true` when the head of a 101 goes out before the eight bytes after the request have come: some proxies pass
        /// them on only then.
        package var answersBeforeKeys = false
        /// `true` when x-kaazing-handshake is chosen; the rest is then negotiated inside.
        package var extended = false
        package var subprotocols: [String] = []
        package var extensions: [any WebSocketExtension] = []
        /// Opens the socket without a subprotocol where none of those that the client asks for is spoken here, though its
        /// dialect has the server refuse it then (D40).
        package var servesWithoutSubprotocol = false
        /// How long the open socket may last; `nil` for ever.
        package var sessionLifetime: TimeAmount?
        /// The endpoint's settings in place of the listener's; `nil` where the listener's hold.
        package var configuration: ConnectionConfiguration?
        /// `true` when a client that asks for the Kaazing legacy exchange gets it (D7).
        package var kaazingLegacy = true

        package init() {}
    }

    let values: Values

    package init(_ values: Values = Values()) { self.values = values }

    /// The subprotocol of the 101; `nil` for none.
    /// - Parameter chosen: the subprotocol that the application has chosen; `nil` where it leaves the choice to the plan.
    func openingSubprotocol(of request: OpeningRequest, chosen: String?) -> String? {
        if self.values.extended { return Subprotocols.extendedHandshake }
        return chosen ?? Subprotocols.choose(supported: self.values.subprotocols, offered: request.subprotocols)
    }

    /// The extensions as one connection negotiates them.
    func extensionsForConnection() -> [any WebSocketExtension] {
        self.values.extensions.isEmpty ? [] : self.values.extensions.map { $0.forConnection(.server) }
    }
}

/// The plan of an accepted connection, with the values that belong to this connection alone.
struct AcceptedPlan {
    let plan: EndpointPlan
    /// The plan's extensions as this connection negotiates them.
    let extensions: [any WebSocketExtension]
    /// The name of the client, where it has proved that.
    var principal: String?
}
