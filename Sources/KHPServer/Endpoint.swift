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
    /// A task runs where its caller does: a change of executor for each message would cost the runtime a look at it.
    typealias Run = nonisolated(nonsending) @Sendable (WebSocket) async throws -> Void
    typealias RunWithRequest = nonisolated(nonsending) @Sendable (WebSocket, HandshakeRequest) async throws -> Void

    /// The application of an open socket.
    enum Application: Sendable {
        case task(Run)
        case requestTask(RunWithRequest)
        /// Makes the value that the task or handler takes, for each handshake.
        case withContext(@Sendable (HandshakeRequest) async throws -> HandshakeContext)
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
    /// Responds to a handshake, once the client is authenticated where it has to be; `nil` completes each.
    ///
    /// A `HandshakeResponse` that it throws is sent, unless it would open the socket. Any other error becomes a 500, and a
    /// line of the server's log says which.
    public var respond: (@Sendable (HandshakeRequest) async throws -> HandshakeResponse)?

    let application: Application

    /// An endpoint whose sockets are handled by a task each: a socket lives as long as `handler` runs, and is closed
    /// with 1000 when it returns, with 1011 when it throws.
    ///
    /// The task is not cancelled when the peer closes: ``WebSocket/messages`` ends then, and sending throws. It is
    /// cancelled when a shutdown has waited for it long enough.
    public init(
        _ path: String,
        options: Options = Options(),
        respond: (@Sendable (HandshakeRequest) async throws -> HandshakeResponse)? = nil,
        handler: nonisolated(nonsending) @escaping @Sendable (WebSocket) async throws -> Void
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
        respond: (@Sendable (HandshakeRequest) async throws -> HandshakeResponse)? = nil,
        handler: nonisolated(nonsending) @escaping @Sendable (WebSocket, HandshakeRequest) async throws -> Void
    ) {
        self.path = path
        self.options = options
        self.respond = respond
        self.application = .requestTask(handler)
    }

    /// An endpoint whose handler takes a value that was made for its handshake: a user from a database, a connection to
    /// another server, a place in a room.
    ///
    /// ```swift
    /// Endpoint(
    ///     "/orders",
    ///     context: { request in try await depot.account(of: request.principal) },
    ///     release: { account in await depot.giveBack(account) }
    /// ) { socket, request, account in
    ///     try await socket.send("\(account.orders) orders are open.")
    /// }
    /// ```
    ///
    /// Each value is released exactly once: when the handler has returned or thrown, or when no socket opens after all,
    /// since `respond` refuses, the client goes, time is over, or the server shuts down. A shutdown waits for `release`
    /// as it does for handlers.
    ///
    /// - Parameters:
    ///   - path: the path; see ``path``.
    ///   - options: the rules for clients.
    ///   - context: makes the value for a handshake, once the client is authenticated where it has to be, before
    ///     `respond` is called; anew for each request of a client that is challenged. Errors that it throws are answered
    ///     as those of ``respond``. Its task is cancelled when the connection ends first.
    ///   - release: lets go of a value.
    ///   - respond: responds to the handshake, which the value was made for; otherwise as ``respond``, and in its place.
    ///   - handler: the application of an open socket.
    public init<Context: Sendable>(
        _ path: String,
        options: Options = Options(),
        context: @escaping @Sendable (_ request: HandshakeRequest) async throws -> Context,
        release: @escaping @Sendable (_ context: Context) async -> Void = { _ in },
        respond: (@Sendable (_ request: HandshakeRequest, _ context: Context) async throws -> HandshakeResponse)? = nil,
        handler:
            nonisolated(nonsending) @escaping @Sendable (
                _ socket: WebSocket, _ request: HandshakeRequest, _ context: Context
            ) async throws -> Void
    ) {
        self.path = path
        self.options = options
        self.application = .withContext { request in
            let value = try await context(request)
            return HandshakeContext(
                value,
                .task { try await handler($0, $1, value) },
                respond: respond,
                release: release
            )
        }
    }

    /// An endpoint whose messages are handled on the event loop, without a task: `messageHandler` makes a handler for
    /// each socket.
    public init(
        _ path: String,
        options: Options = Options(),
        respond: (@Sendable (HandshakeRequest) async throws -> HandshakeResponse)? = nil,
        messageHandler: @escaping @Sendable () -> any MessageHandler
    ) {
        self.path = path
        self.options = options
        self.respond = respond
        self.application = .handler(messageHandler)
    }

    /// An endpoint whose messages are handled on the event loop, with a value that was made for its handshake: a connection
    /// to another server, for instance, which ``HandshakeRequest/eventLoop`` lets share the socket's event loop.
    ///
    /// ```swift
    /// Endpoint(
    ///     "/feed",
    ///     context: { request in
    ///         try await Upstream.connect(on: request.eventLoop)
    ///     },
    ///     release: { upstream in await upstream.close() },
    ///     messageHandler: { request, upstream in Feed(upstream) }
    /// )
    /// ```
    ///
    /// Each value is released exactly once: when the connection is gone, after the handler was told that the socket has
    /// closed, or when no socket opens after all. A shutdown waits for `release`.
    ///
    /// - Parameters:
    ///   - path: the path; see ``path``.
    ///   - options: the rules for clients.
    ///   - context: makes the value for a handshake; as for ``init(_:options:context:release:respond:handler:)``.
    ///   - release: lets go of a value.
    ///   - respond: responds to the handshake, which the value was made for; otherwise as ``respond``, and in its place.
    ///   - messageHandler: makes the handler of an open socket. Called on its event loop.
    public init<Context: Sendable>(
        _ path: String,
        options: Options = Options(),
        context: @escaping @Sendable (_ request: HandshakeRequest) async throws -> Context,
        release: @escaping @Sendable (_ context: Context) async -> Void = { _ in },
        respond: (@Sendable (_ request: HandshakeRequest, _ context: Context) async throws -> HandshakeResponse)? = nil,
        messageHandler: @escaping @Sendable (_ request: HandshakeRequest, _ context: Context) -> any MessageHandler
    ) {
        self.path = path
        self.options = options
        self.application = .withContext { request in
            let value = try await context(request)
            return HandshakeContext(
                value,
                .handler { messageHandler($0, value) },
                respond: respond,
                release: release
            )
        }
    }

    /// An endpoint that only answers handshakes: redirects, choices, refusals. A response that would complete is
    /// followed by a close with 1000.
    public init(
        _ path: String,
        options: Options = Options(),
        respond: @escaping @Sendable (HandshakeRequest) async throws -> HandshakeResponse
    ) {
        self.path = path
        self.options = options
        self.respond = respond
        self.application = .none
    }
}

extension Endpoint {
    /// The endpoint as the handshakes see it.
    func configuration(_ index: Int, _ listener: ConnectionConfiguration) throws -> EndpointConfiguration {
        let options = self.options
        var values = EndpointConfiguration.Values(path: self.path)
        values.plan.dialects = options.dialects
        values.plan.answersBeforeKeys = options.answersBeforeKeys
        values.plan.subprotocols = options.subprotocols
        values.plan.servesWithoutSubprotocol = options.servesWithoutSubprotocol
        values.plan.extensions = options.extensions
        values.origins = options.origins
        values.extendedHandshake = options.extendedHandshake
        values.plan.kaazingLegacy = options.kaazingLegacy
        values.authenticatesIn = options.authentication.map { $0.place == .opening ? .opening : .extended }
        values.asksApplication = self.respond != nil || self.makesContext
        values.asksBefore = self.options.admit != nil
        values.plan.sessionLifetime = options.authentication?.sessionLifetime.map { TimeAmount($0) }
        values.plan.configuration = listener.with(
            limits: options.limits.map { $0.applied(to: listener.limits) },
            timeouts: options.timeouts.map { $0.applied(to: listener.timeouts) },
            keepAlive: options.keepAlive,
            delivery: options.delivery
        )
        try options.authentication?.gate.validate()
        return try EndpointConfiguration(values, index: index)
    }

    private var makesContext: Bool {
        if case .withContext = self.application { true } else { false }
    }
}
