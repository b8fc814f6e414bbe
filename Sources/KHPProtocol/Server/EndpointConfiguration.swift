// One endpoint as the connections of a listener use it: prepared when the server starts, then shared by reference, since
// a copy for each connection would cost more than the connection's own state.

/// The part of an endpoint that the handshakes go by; the application's closures are the shell's.
package final class EndpointConfiguration: Sendable {
    /// The values that an endpoint is made of.
    package struct Values: Sendable {
        package var path: String
        /// The plan of its connections once it accepts them; each request says whether it is extended.
        package var plan = EndpointPlan.Values()
        package var origins = OriginPolicy.any
        package var extendedHandshake = ServerExtendedHandshake.optional
        /// The handshake that asks for credentials; `nil` lets everyone in.
        package var authenticatesIn: HandshakeLayer?
        /// `true` where the application answers each handshake; otherwise each is completed.
        package var asksApplication = false
        /// `true` where the application is asked about each request before anything else is.
        package var asksBefore = false

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
        let dialects = values.plan.dialects
        guard !dialects.isEmpty else {
            throw WebSocketError(.invalidArgument, "The endpoint at \(values.path) speaks no dialect.")
        }
        // The names of the older dialects may be wider than tokens (D42). None is chosen where it cannot be asked for.
        let widest = dialects.first { $0.opening == .invariant } ?? dialects.first { $0.opening == .twoKeys }
        try Subprotocols.validate(values.plan.subprotocols, in: widest ?? .rfc6455)
        _ = try OfferedExtensions(values.plan.extensions)
        self.values = values
        self.index = index
        self.plainPlan = Self.plan(values, extended: false)
        self.extendedPlan = Self.plan(values, extended: true)
    }

    private static func plan(_ values: Values, extended: Bool) -> EndpointPlan {
        var plan = values.plan
        plan.extended = extended
        return EndpointPlan(plan)
    }
}
