public import KHPProtocol
public import KHPWebSocket
import NIOCore

/// A service of a server under one path.
///
/// ```swift
/// Endpoint("/echo") { socket in
///     for try await message in socket.messages {
///         try await socket.send(message)
///     }
/// }
/// ```
///
/// A client that takes part in the extended handshake is let in, challenged or refused inside the WebSocket; everyone
/// else by the response of the opening handshake.
public struct Endpoint: Sendable {
    /// The application of an open socket.
    enum Application: Sendable {
        case task(@Sendable (WebSocket) async throws -> Void)
        case handler(@Sendable () -> any MessageHandler)
        case none
    }

    /// The path, as in the request line without its query. Begins with `/`; compared byte for byte, percent-encoding as
    /// sent.
    public var path: String
    /// The wire dialects that it serves; RFC 6455 alone unless told otherwise, with and without TLS, since clients of
    /// the others do not mask what they send.
    ///
    /// A request is taken for the first in the list that opens as it does: one with two keys is ``Dialect/hixie76`` or
    /// ``Dialect/whatwg2010``, whichever stands first, since nothing else tells them apart.
    public var dialects: [Dialect]
    /// `true` when the 101 to a request with two keys goes out before the eight bytes behind the request have come.
    /// nginx passes them on only then.
    public var answersBeforeKeys: Bool
    /// The subprotocols that it speaks, in order of preference.
    public var subprotocols: [String]
    /// Serves a client of ``Dialect/whatwg2010`` that asks for subprotocols, none of which is spoken here, without one;
    /// off by default. Its text has the server refuse such a client; in the other dialects the socket opens without one
    /// anyway.
    public var servesWithoutSubprotocol = false
    /// The extensions that it supports.
    public var extensions: [any WebSocketExtension]
    /// The door of the endpoint; `nil` lets everyone in.
    public var authentication: ServerAuthentication?
    /// Which pages may open sockets here.
    public var origins: OriginPolicy
    /// The part it takes in the extended handshake.
    public var extendedHandshake: ServerExtendedHandshake
    /// `true` when deployed Kaazing clients are answered as they expect: those whose opening query holds `.kl=Y` get
    /// balancer messages and an empty message behind each extended response, one that holds `.kv=10.05` only the
    /// latter.
    ///
    /// To such a client a redirect is a balancer message, messages go out unfragmented, and the path of its extended
    /// request does not count; `GET <path>/;e/cookies` is answered as their Java client needs it.
    public var kaazingLegacy = true
    /// Bounds on handshakes and connections here; `nil` takes the server's.
    public var limits: Limits?
    /// Whether messages are delivered whole or in chunks.
    public var delivery: MessageDelivery
    /// Decides what to answer, once the client is authenticated where it has to be; `nil` completes.
    public var respond: (@Sendable (HandshakeRequest) async -> HandshakeResponse)?

    let application: Application

    init(path: String, application: Application) {
        self.path = path
        self.dialects = [.rfc6455]
        self.answersBeforeKeys = false
        self.subprotocols = []
        self.extensions = []
        self.origins = .any
        self.extendedHandshake = .optional
        self.delivery = .messages
        self.application = application
    }

    /// An endpoint whose sockets are handled by a task each: a socket lives as long as `handler` runs, and is closed
    /// with 1000 when it returns, with 1011 when it throws.
    ///
    /// The task is not cancelled when the peer closes: ``WebSocket/messages`` ends then, and sending throws. It is
    /// cancelled when a shutdown has waited for it long enough.
    public init(
        _ path: String,
        dialects: [Dialect] = [.rfc6455],
        subprotocols: [String] = [],
        extensions: [any WebSocketExtension] = [],
        authentication: ServerAuthentication? = nil,
        origins: OriginPolicy = .any,
        extendedHandshake: ServerExtendedHandshake = .optional,
        limits: Limits? = nil,
        delivery: MessageDelivery = .messages,
        respond: (@Sendable (HandshakeRequest) async -> HandshakeResponse)? = nil,
        handler: @escaping @Sendable (WebSocket) async throws -> Void
    ) {
        self.init(path: path, application: .task(handler))
        self.dialects = dialects
        self.subprotocols = subprotocols
        self.extensions = extensions
        self.authentication = authentication
        self.origins = origins
        self.extendedHandshake = extendedHandshake
        self.limits = limits
        self.delivery = delivery
        self.respond = respond
    }

    /// An endpoint whose messages are handled on the event loop, without a task: `messageHandler` makes a handler for
    /// each socket.
    public init(
        _ path: String,
        dialects: [Dialect] = [.rfc6455],
        subprotocols: [String] = [],
        extensions: [any WebSocketExtension] = [],
        authentication: ServerAuthentication? = nil,
        origins: OriginPolicy = .any,
        extendedHandshake: ServerExtendedHandshake = .optional,
        limits: Limits? = nil,
        delivery: MessageDelivery = .messages,
        respond: (@Sendable (HandshakeRequest) async -> HandshakeResponse)? = nil,
        messageHandler: @escaping @Sendable () -> any MessageHandler
    ) {
        self.init(path: path, application: .handler(messageHandler))
        self.dialects = dialects
        self.subprotocols = subprotocols
        self.extensions = extensions
        self.authentication = authentication
        self.origins = origins
        self.extendedHandshake = extendedHandshake
        self.limits = limits
        self.delivery = delivery
        self.respond = respond
    }

    /// An endpoint that only answers handshakes: redirects, choices, refusals. An answer that would complete is
    /// followed by a close with 1000.
    public init(
        _ path: String,
        extendedHandshake: ServerExtendedHandshake = .optional,
        respond: @escaping @Sendable (HandshakeRequest) async -> HandshakeResponse
    ) {
        self.init(path: path, application: .none)
        self.extendedHandshake = extendedHandshake
        self.respond = respond
    }
}

/// The part of an endpoint that the server's shell does itself, beside its ``EndpointConfiguration``.
final class ServedEndpoint: Sendable {
    let gate: AuthenticationGate?
    let respond: (@Sendable (HandshakeRequest) async -> HandshakeResponse)?
    let application: Endpoint.Application

    init(_ endpoint: Endpoint) {
        self.gate = endpoint.authentication?.gate
        self.respond = endpoint.respond
        self.application = endpoint.application
    }
}

extension Endpoint {
    /// The endpoint as the handshakes see it.
    func configuration(_ index: Int, _ listener: ConnectionConfiguration) throws -> EndpointConfiguration {
        var values = EndpointConfiguration.Values(path: self.path)
        values.dialects = self.dialects
        values.answersBeforeKeys = self.answersBeforeKeys
        values.subprotocols = self.subprotocols
        values.servesWithoutSubprotocol = self.servesWithoutSubprotocol
        values.extensions = self.extensions
        values.origins = self.origins
        values.extendedHandshake = self.extendedHandshake
        values.kaazingLegacy = self.kaazingLegacy
        values.authenticatesIn = self.authentication.map { $0.place == .opening ? .opening : .extended }
        values.asksApplication = self.respond != nil
        values.sessionLifetime = self.authentication?.sessionLifetime.map { TimeAmount($0) }
        values.connection = listener.with(
            limits: self.limits.map { $0.applied(to: listener.limits) },
            delivery: self.delivery
        )
        try self.authentication?.gate.validate()
        return try EndpointConfiguration(values, index: index)
    }
}

/// Builds the list of a server's endpoints.
@resultBuilder
public enum EndpointBuilder {
    /// One endpoint.
    public static func buildExpression(_ endpoint: Endpoint) -> [Endpoint] { [endpoint] }
    /// A list of endpoints.
    public static func buildExpression(_ endpoints: [Endpoint]) -> [Endpoint] { endpoints }
    /// All of a block.
    public static func buildBlock(_ parts: [Endpoint]...) -> [Endpoint] { parts.flatMap { $0 } }
    /// A condition.
    public static func buildOptional(_ part: [Endpoint]?) -> [Endpoint] { part ?? [] }
    /// A condition.
    public static func buildEither(first part: [Endpoint]) -> [Endpoint] { part }
    /// A condition.
    public static func buildEither(second part: [Endpoint]) -> [Endpoint] { part }
    /// A loop.
    public static func buildArray(_ parts: [[Endpoint]]) -> [Endpoint] { parts.flatMap { $0 } }
}
