// Everything that an endpoint can do, in one value: a result builder can set it where the endpoint is made.

public import KHPProtocol

extension Endpoint {
    /// The rules of an endpoint for its clients, and the bounds of their connections.
    ///
    /// ```swift
    /// Endpoint(
    ///     "/quotes",
    ///     options: .init(extensions: [PerMessageDeflate()])
    /// ) { socket in
    ///     try await socket.send(
    ///         .text("a secret beside what others say"),
    ///         options: .uncompressed
    ///     )
    ///     try await socket.send("a quote")
    /// }
    /// ```
    public struct Options: Sendable {
        /// The wire dialects that are served. RFC 6455 alone by default, with and without TLS, since clients of the
        /// others do not mask their messages.
        ///
        /// A request is taken for the first in the list that opens as it does: one with two keys is ``Dialect/hixie76``
        /// or ``Dialect/whatwg2010``, whichever stands first, since nothing else tells them apart.
        public var dialects: [Dialect]
        /// Sends the 101 to a request with two keys before the eight bytes after the request have come. nginx passes
        /// them on only then. Off by default.
        public var answersBeforeKeys: Bool
        /// The subprotocols that are spoken, in order of preference.
        public var subprotocols: [String]
        /// Serves a client of ``Dialect/whatwg2010`` that asks for subprotocols, none of which is spoken here, without
        /// one; off by default. Its text has the server refuse such a client; in the other dialects the socket opens
        /// without one anyway.
        public var servesWithoutSubprotocol: Bool
        /// The extensions that are supported.
        public var extensions: [any WebSocketExtension]
        /// Called with each request of either handshake before its credentials are checked, also with the opening of a
        /// client that takes part in the extended handshake; `principal` is that of an earlier request. An error that it
        /// throws refuses the request, as with `respond`: a ``HandshakeResponse`` is the answer. For checks that cost less
        /// than a password's hash and do not depend on the user: networks, rates, a service that is about to stop.
        ///
        /// Requests for cookies of Kaazing's clients are not shown to it.
        public var admit: (@Sendable (HandshakeRequest) async throws -> Void)?
        /// Requires authentication. `nil` accepts every client.
        public var authentication: ServerAuthentication?
        /// The pages that may open sockets here.
        public var origins: OriginPolicy
        /// The part that the endpoint takes in the extended handshake.
        public var extendedHandshake: ServerExtendedHandshake
        /// Speaks to deployed Kaazing clients as they expect it; on by default, since other clients do not notice.
        /// Clients whose opening query holds `.kl=Y` get balancer messages and an empty message after each extended
        /// response, those that have `.kv=10.05` there only the latter.
        ///
        /// To such a client a redirect is a balancer message, messages go out unfragmented, and the path of its extended
        /// request does not count; `GET <path>/;e/cookies` is answered as their Java client needs it.
        public var kaazingLegacy: Bool
        /// The bounds of handshakes and connections here; `nil` takes the server's.
        public var limits: Limits?
        /// The bounds on their time; `nil` takes the server's.
        public var timeouts: Timeouts?
        /// Pings and idle time; `nil` takes the server's.
        public var keepAlive: KeepAliveConfiguration?
        /// Delivers messages whole or in chunks.
        public var delivery: MessageDelivery

        /// Options that differ from the defaults where they are given.
        public init(
            dialects: [Dialect] = [.rfc6455],
            answersBeforeKeys: Bool = false,
            subprotocols: [String] = [],
            servesWithoutSubprotocol: Bool = false,
            extensions: [any WebSocketExtension] = [],
            admit: (@Sendable (HandshakeRequest) async throws -> Void)? = nil,
            authentication: ServerAuthentication? = nil,
            origins: OriginPolicy = .any,
            extendedHandshake: ServerExtendedHandshake = .optional,
            kaazingLegacy: Bool = true,
            limits: Limits? = nil,
            timeouts: Timeouts? = nil,
            keepAlive: KeepAliveConfiguration? = nil,
            delivery: MessageDelivery = .messages
        ) {
            self.dialects = dialects
            self.answersBeforeKeys = answersBeforeKeys
            self.subprotocols = subprotocols
            self.servesWithoutSubprotocol = servesWithoutSubprotocol
            self.extensions = extensions
            self.admit = admit
            self.authentication = authentication
            self.origins = origins
            self.extendedHandshake = extendedHandshake
            self.kaazingLegacy = kaazingLegacy
            self.limits = limits
            self.timeouts = timeouts
            self.keepAlive = keepAlive
            self.delivery = delivery
        }
    }
}
