import KHPProtocol
public import KHPWebSocket
public import NIOCore
public import NIOPosix
import Synchronization

/// A WebSocket client that speaks x-kaazing-handshake.
///
/// ```swift
/// let client = WebSocketClient()
/// try await client.withConnection(
///     to: "wss://example.com/trades",
///     subprotocols: ["amqp"]
/// ) { socket in
///     try await socket.send("hello")
///     for try await message in socket.messages { print(message) }
/// }
/// ```
///
/// Redirects are followed, challenges answered and the extended handshake completed before the socket is handed out.
/// A value can be used from many tasks; at most one connection to each address is in CONNECTING state at a time.
public struct WebSocketClient: Sendable {
    /// How it connects.
    public let configuration: Configuration
    private let eventLoopGroup: any EventLoopGroup
    let gate = ConnectGate()
    let shared = StreamConnectionPool()

    /// A client. Without a group it uses the process-wide one.
    public init(
        configuration: Configuration = Configuration(),
        eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) {
        self.configuration = configuration
        self.eventLoopGroup = eventLoopGroup
    }

    /// Opens a socket, runs `body` with it, and closes it: with 1000 when `body` returns, with 1011 when it throws.
    /// - Parameters:
    ///   - url: ws, wss, http or https.
    ///   - subprotocols: the application's, in order of preference; `x-kaazing-handshake` is not one of them.
    ///   - body: the work to do with the socket.
    /// - Returns: the result of `body`.
    /// - Throws: ``WebSocketError`` when the socket cannot be opened, `CancellationError` where the task is cancelled
    ///   meanwhile, and what `body` throws. Where that is a `CancellationError`, the socket is closed with 1001.
    nonisolated(nonsending) public func withConnection<Value>(
        to url: String,
        subprotocols: [String] = [],
        _ body: (WebSocket) async throws -> Value
    ) async throws -> Value {
        try await self.withConnection(to: WebSocketURL(url), subprotocols: subprotocols, body)
    }

    /// Opens a socket at a URL that is parsed already, runs `body` with it, and closes it: with 1000 when `body` returns,
    /// with 1011 when it throws.
    /// - Parameters:
    ///   - url: the URL to connect to.
    ///   - subprotocols: the application's, in order of preference.
    ///   - body: the work to do with the socket.
    /// - Returns: the result of `body`.
    /// - Throws: as the form that takes a text does, but for ``WebSocketError/Code/invalidURL``.
    nonisolated(nonsending) public func withConnection<Value>(
        to url: WebSocketURL,
        subprotocols: [String] = [],
        _ body: (WebSocket) async throws -> Value
    ) async throws -> Value {
        let socket = try await self.connect(to: url, subprotocols: subprotocols)
        do {
            let result = try await socket.withOwner(body)
            try await socket.close()
            return result
        } catch {
            _ = try? await socket.close(code: error is CancellationError ? .goingAway : .internalError)
            throw error
        }
    }

    /// Opens a socket that the caller closes. One that is let go of without being closed is closed with 1001.
    /// - Parameters:
    ///   - url: ws, wss, http or https.
    ///   - subprotocols: the application's, in order of preference; `x-kaazing-handshake` is not one of them.
    /// - Throws: ``WebSocketError``; its code says what went wrong, its response what the server answered.
    ///   `CancellationError` where the task is cancelled.
    public func connect(to url: String, subprotocols: [String] = []) async throws -> WebSocket {
        try await self.connect(to: WebSocketURL(url), subprotocols: subprotocols)
    }

    /// Opens a socket at a URL that is parsed already. The caller closes it; one that is let go of without being closed is
    /// closed with 1001.
    /// - Parameters:
    ///   - url: the URL to connect to.
    ///   - subprotocols: the application's, in order of preference.
    /// - Throws: as the form that takes a text does, but for ``WebSocketError/Code/invalidURL``.
    public func connect(to url: WebSocketURL, subprotocols: [String] = []) async throws -> WebSocket {
        var earlier = EarlierConnects()
        return try await self.connect(to: url, subprotocols: subprotocols, after: &earlier)
    }

    /// A series of connects hands this on from one to the next.
    struct EarlierConnects {
        /// The hops of all of them.
        var hops = 0
        /// The target of the permanent redirects (D29).
        var moved: PermanentMove?
        /// The connection of the last hop.
        var info = ConnectionInfo(id: 0, role: .client, peer: "")
        /// Told of the last connect.
        var observer: ConnectObserver?
    }

    /// Connects as one of a series, after earlier connects.
    func connect(
        to url: WebSocketURL,
        subprotocols: [String],
        after earlier: inout EarlierConnects
    ) async throws -> WebSocket {
        var loop = ConnectLoop(
            configuration: self.configuration,
            gate: self.gate,
            shared: self.shared,
            eventLoop: self.eventLoopGroup.next(),
            attempt: try self.attempt(url, subprotocols, moved: earlier.moved),
            hops: earlier.hops
        )
        defer {
            earlier = EarlierConnects(
                hops: loop.hops,
                moved: loop.attempt.moved,
                info: loop.info,
                observer: loop.observer
            )
        }
        return try await loop.run()
    }

    /// Opens a socket, hands its messages to a ``MessageHandler`` on the event loop, without a task or a queue in between,
    /// and returns when the connection has closed.
    /// - Parameters:
    ///   - url: ws, wss, http or https.
    ///   - subprotocols: the application's, in order of preference; `x-kaazing-handshake` is not one of them.
    ///   - messageHandler: makes the handler, on the event loop, when the socket is open.
    /// - Returns: how the socket closed.
    /// - Throws: ``WebSocketError`` when the socket cannot be opened. Where the task is cancelled, the socket is closed
    ///   with 1001, and `CancellationError` is thrown once it has closed.
    @discardableResult
    public func run(
        to url: String,
        subprotocols: [String] = [],
        messageHandler: @escaping @Sendable () -> any MessageHandler
    ) async throws -> CloseInfo {
        try await self.run(to: WebSocketURL(url), subprotocols: subprotocols, messageHandler: messageHandler)
    }

    /// As the form whose handler is made without an argument, for one that depends on what was agreed on, such as the
    /// subprotocol.
    ///
    /// - Parameters:
    ///   - url: ws, wss, http or https.
    ///   - subprotocols: the application's, in order of preference; `x-kaazing-handshake` is not one of them.
    ///   - messageHandler: makes the handler, on the event loop, when the socket is open.
    /// - Returns: how the socket closed.
    /// - Throws: as that form does.
    @discardableResult
    public func run(
        to url: String,
        subprotocols: [String] = [],
        messageHandler: @escaping @Sendable (_ negotiated: HandshakeSummary) -> any MessageHandler
    ) async throws -> CloseInfo {
        try await self.run(to: WebSocketURL(url), subprotocols: subprotocols, messageHandler: messageHandler)
    }

    /// As the form that takes a text, at a URL that is parsed already.
    /// - Parameters:
    ///   - url: the URL to connect to.
    ///   - subprotocols: the application's, in order of preference.
    ///   - messageHandler: makes the handler, on the event loop, when the socket is open.
    /// - Returns: how the socket closed.
    /// - Throws: as the form that takes a text does, but for ``WebSocketError/Code/invalidURL``.
    @discardableResult
    public func run(
        to url: WebSocketURL,
        subprotocols: [String] = [],
        messageHandler: @escaping @Sendable () -> any MessageHandler
    ) async throws -> CloseInfo {
        try await self.run(to: url, subprotocols: subprotocols) { _ in messageHandler() }
    }

    /// As the form that takes a text, at a URL that is parsed already, for a handler that depends on what was agreed on.
    /// - Parameters:
    ///   - url: the URL to connect to.
    ///   - subprotocols: the application's, in order of preference.
    ///   - messageHandler: makes the handler, on the event loop, when the socket is open.
    /// - Returns: how the socket closed.
    /// - Throws: as the form that takes a text does, but for ``WebSocketError/Code/invalidURL``.
    @discardableResult
    public func run(
        to url: WebSocketURL,
        subprotocols: [String] = [],
        messageHandler: @escaping @Sendable (_ negotiated: HandshakeSummary) -> any MessageHandler
    ) async throws -> CloseInfo {
        var loop = ConnectLoop(
            configuration: self.configuration,
            gate: self.gate,
            shared: self.shared,
            eventLoop: self.eventLoopGroup.next(),
            attempt: try self.attempt(url, subprotocols),
            makeMessageHandler: messageHandler
        )
        let socket = try await loop.run()
        let end = await socket.closedOrCancelled()
        try Task.checkCancellation()
        return end
    }

    private func attempt(
        _ url: WebSocketURL,
        _ subprotocols: [String],
        moved: PermanentMove? = nil
    ) throws(WebSocketError) -> ConnectAttempt {
        let configuration = self.configuration
        var plan = ClientPlan(url: url)
        plan.dialect = configuration.dialect
        plan.subprotocols = subprotocols
        plan.extensions = configuration.extensions
        plan.requiredExtensions = configuration.requiredExtensions
        plan.extended.policy = configuration.extended.policy
        plan.extended.kaazingLegacy = configuration.extended.kaazingLegacy
        plan.extended.method = configuration.extended.method
        plan.extended.body = configuration.extended.body
        plan.origin = configuration.origin
        plan.headers = configuration.headers
        plan.extended.headers = configuration.extended.headers
        let redirects = RedirectTracker(
            from: plan.url,
            policy: configuration.redirects.policy,
            limit: configuration.redirects.limit,
            allowsLeavingTLS: configuration.redirects.allowsLeavingTLS,
            follows308: configuration.redirects.follows308
        )
        let authenticator = try Authenticator(
            limit: configuration.limits.challengeRounds,
            allowsWeakerScheme: configuration.authentication.allowsWeakerScheme,
            preemptive: configuration.authentication.preemptive
        )
        return ConnectAttempt(
            plan,
            redirects: redirects,
            authenticator: authenticator,
            fallbacks: configuration.fallbackDialects,
            moved: moved
        )
    }
}

extension WebSocketClient: CustomReflectable {
    /// How it is configured. From the event loops, every connection of the process could be looked into while it works.
    public var customMirror: Mirror { Mirror(self, children: ["configuration": self.configuration]) }
}
