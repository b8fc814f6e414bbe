// One endpoint as the connections of a listener use it: prepared when the server starts, then shared by reference, since
// a copy for each connection would cost more than the connection's own state.

package import NIOCore

/// The part of an endpoint that the handshakes go by; the application's closures are the shell's.
package final class EndpointConfiguration: Sendable {
    /// The values that an endpoint is made of.
    package struct Values: Sendable {
        package var path: String
        /// The dialects that it serves. A request is taken for the first one that opens as it does (D1).
        package var dialects: [Dialect] = [.rfc6455]
        /// `true` sends the head of a 101 before the eight bytes behind the request have come: some proxies pass them on
        /// only then.
        package var answersBeforeKeys = false
        package var subprotocols: [String] = []
        /// Opens the socket without a subprotocol where the dialect has the server refuse a client that asks for others
        /// (D40).
        package var servesWithoutSubprotocol = false
        package var extensions: [any WebSocketExtension] = []
        package var origins = OriginPolicy.any
        package var extendedHandshake = ServerExtendedHandshake.optional
        /// Serves the Kaazing legacy exchange to clients that ask for it (D7).
        package var kaazingLegacy = true
        /// The handshake that asks for credentials; `nil` lets everyone in.
        package var authenticatesIn: HandshakeLayer?
        /// `true` where the application answers each handshake; otherwise each is completed.
        package var asksApplication = false
        /// The longest time that an open socket may last.
        package var sessionLifetime: TimeAmount?
        /// The configuration of its connections, where it is not the listener's.
        package var connection: ConnectionConfiguration?

        package init(path: String) { self.path = path }
    }

    package let values: Values
    let pattern: EndpointPattern
    /// The endpoint's place in the list that it was made from.
    package let index: Int
    /// The plan of its connections without x-kaazing-handshake.
    let plainPlan: EndpointPlan
    /// The same with x-kaazing-handshake.
    let extendedPlan: EndpointPlan

    /// Checks the values.
    /// - Throws: ``WebSocketError/Code/invalidArgument`` for values that nothing could be served with.
    package init(_ values: Values, index: Int) throws(WebSocketError) {
        self.pattern = try EndpointPattern(values.path)
        guard !values.dialects.isEmpty else {
            throw WebSocketError(.invalidArgument, "The endpoint at \(values.path) speaks no dialect.")
        }
        // The names of the older dialects may be wider than tokens (D42). None is chosen where it cannot be asked for.
        let widest =
            values.dialects.first { $0.opening == .invariant } ?? values.dialects.first { $0.opening == .twoKeys }
        try Subprotocols.validate(values.subprotocols, in: widest ?? .rfc6455)
        _ = try OfferedExtensions(values.extensions)
        self.values = values
        self.index = index
        self.plainPlan = Self.plan(values, extended: false)
        self.extendedPlan = Self.plan(values, extended: true)
    }

    private static func plan(_ values: Values, extended: Bool) -> EndpointPlan {
        var plan = EndpointPlan.Values()
        plan.dialects = values.dialects
        plan.answersBeforeKeys = values.answersBeforeKeys
        plan.extended = extended
        plan.subprotocols = values.subprotocols
        plan.servesWithoutSubprotocol = values.servesWithoutSubprotocol
        plan.extensions = values.extensions
        plan.sessionLifetime = values.sessionLifetime
        plan.configuration = values.connection
        plan.kaazingLegacy = values.kaazingLegacy
        return EndpointPlan(plan)
    }
}
