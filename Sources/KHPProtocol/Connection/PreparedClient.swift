// A client's checked plan for one hop: its initializer throws every mistake of the caller's, so that a connection can be made of
// it later, on its event loop, without a failure.

import HTTPTypes

package struct PreparedClient: Sendable {
    /// The plan, with extensions of this connection's own.
    package private(set) var plan: ClientPlan
    private(set) var opening: PreparedOpening

    /// The number of challenges that the connect has answered so far, those of proxies among them.
    package var challenges: Int {
        get { self.plan.challenges }
        set { self.plan.challenges = newValue }
    }

    /// - Parameter key: the Sec-WebSocket-Key; sixteen random bytes in base64. Not used in dialects without one.
    /// - Throws: `invalidArgument`.
    package init(_ plan: ClientPlan, key: String) throws(WebSocketError) {
        for name in plan.requiredExtensions where !plan.extensions.contains(where: { $0.name == name }) {
            throw WebSocketError(
                .invalidArgument,
                "The extension \(quoted(name)) is required, but not among those to ask for."
            )
        }
        var plan = plan
        if !plan.extensions.isEmpty { plan.extensions = plan.extensions.map { $0.forConnection(.client) } }
        self.plan = plan
        self.opening = try plan.opening(key: key)
        // R-U2: the parts that are sent later only are checked now as well.
        let extended = ExtendedClientPlan(
            url: plan.url,
            method: plan.extended.method,
            // Without an extended handshake the names are those of the dialect (D42).
            subprotocols: plan.extended.policy == .off ? [] : plan.subprotocols,
            extraFields: plan.extended.headers,
            body: plan.extended.policy == .off ? nil : plan.extended.body,
            authorization: plan.extended.authorization?.value,
            acceptValue: ""
        )
        try extended.validate()
        try extended.validateContent(in: plan.dialect)
    }

    /// This plan for a stream of HTTP/2, whose CONNECT takes the place of the keys (RFC 8441 section 5).
    /// - Throws: `invalidArgument`.
    package func onStream() throws(WebSocketError) -> PreparedClient {
        var client = self
        client.opening = try self.opening.onStream()
        return client
    }
}

extension ClientPlan {
    /// The opening request of this plan, checked.
    func opening(key: String) throws(WebSocketError) -> PreparedOpening {
        var opening = OpeningClientPlan(
            url: self.openingURL,
            key: key,
            subprotocols: Subprotocols.offered(self.subprotocols, extendedHandshake: self.extended.policy != .off),
            extensions: try OfferedExtensions(self.extensions.speakable(over: FrameCodec.Abilities(self.dialect))),
            origin: self.origin,
            extraFields: self.headers,
            // The caller's own field goes before the stored cookies.
            cookies: self.headers[.cookie] == nil ? self.cookies : nil,
            authorization: self.authorization?.value,
            version: self.version
        )
        opening.dialect = self.dialect
        opening.keys = self.keys
        return try PreparedOpening(opening)
    }
}
