public import KHPProtocol
public import KHPWebSocket
import NIOCore

/// A path of a server, with the options and the application behind it.
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
        case requestTask(@Sendable (WebSocket, HandshakeRequest) async throws -> Void)
        case handler(@Sendable () -> any MessageHandler)
        case none
    }

    /// The path, as in the request line without its query. Begins with `/`; compared byte for byte, percent-encoding as
    /// sent.
    ///
    /// A segment `{name}` takes any text but an empty one, and `{name...}` at the end takes the rest of the path, slashes
    /// included; ``HandshakeRequest/parameters`` has both with percent-encoding undone. Where two endpoints match, text
    /// goes before `{name}` and that before `{name...}`, segment by segment. Two that leave this open are an error when
    /// the server starts. `/{path...}` serves what no other endpoint does.
    public var path: String
    /// The rules for clients, and the bounds of their connections.
    public var options: Options
    /// Answers a handshake, once the client is authenticated where it has to be; `nil` completes each.
    public var respond: (@Sendable (HandshakeRequest) async -> HandshakeResponse)?

    let application: Application

    /// An endpoint whose sockets are handled by a task each: a socket lives as long as `handler` runs, and is closed
    /// with 1000 when it returns, with 1011 when it throws.
    ///
    /// The task is not cancelled when the peer closes: ``WebSocket/messages`` ends then, and sending throws. It is
    /// cancelled when a shutdown has waited for it long enough.
    public init(
        _ path: String,
        options: Options = Options(),
        respond: (@Sendable (HandshakeRequest) async -> HandshakeResponse)? = nil,
        handler: @escaping @Sendable (WebSocket) async throws -> Void
    ) {
        self.path = path
        self.options = options
        self.respond = respond
        self.application = .task(handler)
    }

    /// An endpoint whose handler sees the request too: parameters of the path, headers, query, cookies, principal.
    ///
    /// ```swift
    /// Endpoint("/rooms/{id}") { socket, request in
    ///     let id = try request.parameters.require("id", as: Int.self)
    ///     try await socket.send("Welcome to room \(id).")
    /// }
    /// ```
    ///
    /// Otherwise it is as with a handler of the socket alone.
    public init(
        _ path: String,
        options: Options = Options(),
        respond: (@Sendable (HandshakeRequest) async -> HandshakeResponse)? = nil,
        handler: @escaping @Sendable (WebSocket, HandshakeRequest) async throws -> Void
    ) {
        self.path = path
        self.options = options
        self.respond = respond
        self.application = .requestTask(handler)
    }

    /// An endpoint whose messages are handled on the event loop, without a task: `messageHandler` makes a handler for
    /// each socket.
    public init(
        _ path: String,
        options: Options = Options(),
        respond: (@Sendable (HandshakeRequest) async -> HandshakeResponse)? = nil,
        messageHandler: @escaping @Sendable () -> any MessageHandler
    ) {
        self.path = path
        self.options = options
        self.respond = respond
        self.application = .handler(messageHandler)
    }

    /// An endpoint that only answers handshakes: redirects, choices, refusals. A response that would complete is
    /// followed by a close with 1000.
    public init(
        _ path: String,
        options: Options = Options(),
        respond: @escaping @Sendable (HandshakeRequest) async -> HandshakeResponse
    ) {
        self.path = path
        self.options = options
        self.respond = respond
        self.application = .none
    }
}

/// The part of an endpoint that the server's shell does itself, beside its ``EndpointConfiguration``.
final class ServedEndpoint: Sendable {
    let gate: AuthenticationGate?
    let respond: (@Sendable (HandshakeRequest) async -> HandshakeResponse)?
    let application: Endpoint.Application

    init(_ endpoint: Endpoint) {
        self.gate = endpoint.options.authentication?.gate
        self.respond = endpoint.respond
        self.application = endpoint.application
    }
}

extension Endpoint {
    /// The endpoint as the handshakes see it.
    func configuration(_ index: Int, _ listener: ConnectionConfiguration) throws -> EndpointConfiguration {
        let options = self.options
        var values = EndpointConfiguration.Values(path: self.path)
        values.dialects = options.dialects
        values.answersBeforeKeys = options.answersBeforeKeys
        values.subprotocols = options.subprotocols
        values.servesWithoutSubprotocol = options.servesWithoutSubprotocol
        values.extensions = options.extensions
        values.origins = options.origins
        values.extendedHandshake = options.extendedHandshake
        values.kaazingLegacy = options.kaazingLegacy
        values.authenticatesIn = options.authentication.map { $0.place == .opening ? .opening : .extended }
        values.asksApplication = self.respond != nil
        values.sessionLifetime = options.authentication?.sessionLifetime.map { TimeAmount($0) }
        values.connection = listener.with(
            limits: options.limits.map { $0.applied(to: listener.limits) },
            delivery: options.delivery
        )
        try options.authentication?.gate.validate()
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
