import KHPProtocol
import KHPWebSocket
public import NIOCore
import NIOPosix
import NIOSSL
public import ServiceLifecycle

/// Endpoints without a listener, to be mounted into a server that has one: behind the same port as its HTTP, or alone.
///
/// ```swift
/// let mount = try WebSocketMount {
///     Endpoint("/echo") { socket in
///         for try await message in socket.messages {
///             try await socket.send(message)
///         }
///     }
/// }
/// ```
///
/// Each connection that the other server accepts goes to ``accept(_:isSecure:sharing:http:)`` before any codec is in its
/// pipeline: a request for one of the endpoints is answered here, every other one is handed on, byte for byte.
///
/// It is a `Service`: a `ServiceGroup` shuts it down gracefully. Then it closes every open socket with 1001, drops what is
/// still in a handshake, and forces what is left after ``Configuration/gracefulShutdownTimeout``. It does the same to a
/// connection whose server begins to quiesce, as SwiftNIO's `ServerQuiescingHelper` has it.
public final class WebSocketMount: Service, Sendable {
    let state: ServerState

    /// Endpoints that are written out.
    /// - Throws: ``WebSocketError/Code/invalidArgument`` for endpoints or hosts that make no sense.
    public convenience init(
        configuration: Configuration = Configuration(),
        @EndpointBuilder endpoints: () -> [Endpoint]
    ) throws {
        try self.init(configuration: configuration, endpoints: endpoints())
    }

    /// The endpoints of a list that is made elsewhere.
    /// - Throws: ``WebSocketError/Code/invalidArgument`` for endpoints or hosts that make no sense.
    public init(configuration: Configuration = Configuration(), endpoints: [Endpoint]) throws {
        self.state = try ServerState(configuration: configuration, endpoints: endpoints)
    }

    /// Waits until the task is cancelled or the service group shuts down, then drains. Nothing has to run for connections to
    /// be accepted.
    public func run() async throws {
        try? await gracefulShutdown()
        await self.drain()
    }

    /// Closes every open socket with 1001, drops what is in a handshake, and waits for the handlers to return, for
    /// ``Configuration/gracefulShutdownTimeout`` at most. No endpoint takes a connection any more.
    ///
    /// Open sockets are closed over ``Configuration/drainDuration``.
    public func drain() async {
        await self.drain(over: self.state.configuration.drainDuration)
    }

    /// Drains as ``drain()`` does, with open sockets closed one after the other, evenly over `duration`: clients that come
    /// again at once do not all come together. Connections that are left are forced to end
    /// ``Configuration/gracefulShutdownTimeout`` after that time. A call of ``drain()`` meanwhile, or of this with another
    /// time, makes it shorter and never longer.
    public func drain(over duration: Duration) async {
        await self.state.drain(over: duration, on: MultiThreadedEventLoopGroup.singleton.any())
    }

    /// Takes no further request on the connections that are there, so that clients come anew with the next one: those of
    /// HTTP/2 get GOAWAY, and further streams of theirs are refused (RFC 9113 section 6.8); those of ordinary HTTP end after
    /// the response that is under way. Handshakes that have begun and open sockets go on. For conditions of new connections,
    /// such as certificates of clients, that are to hold for new sessions too.
    public func retireConnections() { self.state.retireConnections() }

    /// Ends all connections at once: without a close frame, without TLS's close notification, and with the tasks of their
    /// handlers cancelled. For connections that have had their time already; ``drain()`` gives them some. Waits for nothing.
    public func cut() { self.state.force() }

    // MARK: Endpoints

    /// Puts other endpoints in the place of all that there are, at once.
    ///
    /// Each request is looked up among the endpoints that are in force when it comes, on a connection that was accepted
    /// before too. A handshake that has begun, and an open socket, keep the endpoint that they have: its handler, limits
    /// and times. An endpoint that is in force again goes on counting wrong answers where it has the same
    /// ``ServerAuthentication``.
    ///
    /// A connection that was accepted before its dialect was in force is refused, as one of a dialect that no endpoint speaks.
    /// - Throws: ``WebSocketError/Code/invalidArgument`` for endpoints that make no sense; then the old ones stay in force.
    public func replaceEndpoints(@EndpointBuilder _ endpoints: () -> [Endpoint]) throws {
        try self.replaceEndpoints(endpoints())
    }

    /// Puts the endpoints of a list in the place of all that there are, with the effects of the form that takes a builder.
    /// - Throws: ``WebSocketError/Code/invalidArgument`` for endpoints that make no sense; then the old ones stay in force.
    public func replaceEndpoints(_ endpoints: [Endpoint]) throws {
        try self.state.replaceEndpoints(endpoints)
    }

    /// Takes another bound on connections from now on; those that are there stay, and count.
    /// - Parameter connections: in place of ``WebSocketServer/Limits/connections``.
    /// - Throws: ``WebSocketError/Code/invalidArgument`` for a bound below 1.
    public func replaceConnections(_ connections: Int) throws {
        guard connections > 0 else {
            throw WebSocketError(.invalidArgument, "A mount takes one connection at least.")
        }
        self.state.bound(to: connections)
    }

    /// How many connections there are: open sockets, those in a handshake, and those whose first request has not come.
    public var connections: Int { self.state.connections }

    // MARK: Accepting

    /// An accepted connection, once it is known whose it is.
    public enum Accepted<HTTP: Sendable>: Sendable {
        /// An endpoint's, which answers its request. The future succeeds when the connection is closed.
        case webSocket(closed: EventLoopFuture<Void>)
        /// The other framework's, with the outcome of its set-up.
        case http(HTTP)
        /// It has ended before its first request was complete, or that was answered with a refusal at once.
        case ended
    }

    /// When a connection that the other server's HTTP has is looked at again.
    public enum Sharing: Sendable, Hashable {
        /// Before each of its requests: proxies, and some clients, open a WebSocket on a connection that has been used. Our
        /// watch over it finds the ends of requests and responses, for some thousand instructions a request, and lets all
        /// bytes pass. It ends where an end is not certain, and after CONNECT and a change of protocol.
        case everyRequest
        /// Never: what the first request decides holds.
        case firstRequest
    }

    /// Takes a connection from its first byte. All dialects are served, and every answer of an endpoint, redirects and
    /// challenges too, is sent as on a listener of our own.
    ///
    /// A request that names WebSocket in Upgrade, at the path of an endpoint, is served here, as is the
    /// cookie request of Kaazing's clients. For every other one, and for what is no HTTP/1 at all, `http` is called, and gets
    /// all bytes that have come and will come, unchanged; so does a connection for which there is no room here. A head that
    /// is not complete within ``WebSocketServer/Timeouts/opening`` gets 408 from here.
    ///
    /// To be called before the channel reads, from a child channel initializer for instance, which must not wait for the
    /// future: it is done only once the client has sent a request. Behind TLS the channel has a `NIOSSLHandler` already.
    ///
    /// - Parameters:
    ///   - channel: the connection's, without an HTTP codec.
    ///   - isSecure: `true` where clients come by TLS, which goes into locations and the comparison with the origin; `nil`
    ///     where that is so if the pipeline has a `NIOSSLHandler`, and no proxy takes TLS off.
    ///   - sharing: when to look at it again. A WebSocket that is found later is answered after all responses that are owed,
    ///     and the other server's handlers are told that the channel is inactive; `closeFuture` tells its end, as ever.
    ///   - http: sets the other server's HTTP up, in a pipeline without a codec. Called on the event loop. When it fails the
    ///     connection is closed.
    /// - Returns: whose the connection is. Fails with the error of `http`, and where the channel cannot be set up.
    public func accept<HTTP: Sendable>(
        _ channel: any Channel,
        isSecure: Bool? = nil,
        sharing: Sharing = .everyRequest,
        http: @escaping @Sendable (any Channel) -> EventLoopFuture<HTTP>
    ) -> EventLoopFuture<Accepted<HTTP>> {
        let decision = channel.eventLoop.makePromise(of: Accepted<HTTP>.self)
        // The first result counts.
        channel.closeFuture.whenComplete { _ in decision.succeed(.ended) }
        self.onLoop(of: channel) {
            let security = Self.security(of: channel, isSecure)
            let port = SharedPort(sharing, security) { channel in
                let ready = http(channel)
                ready.whenComplete { result in decision.completeWith(result.map { .http($0) }) }
                return ready.map { _ in }
            } isOwn: {
                decision.succeed(.webSocket(closed: channel.closeFuture))
            }
            guard self.state.setUp(channel, security, tls: nil, port: port) else {
                return decision.fail(ChannelError.alreadyClosed)
            }
        }
        return decision.futureResult
    }

    /// Takes a connection that no other framework shares: as on a listener of this library, every request is answered here, and a
    /// connection for which there is no room is refused.
    ///
    /// - Parameters:
    ///   - channel: the connection's, without an HTTP codec, before it reads.
    ///   - isSecure: as for ``accept(_:isSecure:sharing:http:)``.
    /// - Returns: succeeds at once, when the channel is set up. Fails where that cannot be.
    public func accept(_ channel: any Channel, isSecure: Bool? = nil) -> EventLoopFuture<Void> {
        let done = channel.eventLoop.makePromise(of: Void.self)
        self.onLoop(of: channel) {
            let isSetUp = self.state.setUp(channel, Self.security(of: channel, isSecure), tls: nil)
            if isSetUp { done.succeed() } else { done.fail(ChannelError.alreadyClosed) }
        }
        return done.futureResult
    }

    func onLoop(of channel: any Channel, _ body: @escaping @Sendable () -> Void) {
        if channel.eventLoop.inEventLoop { body() } else { channel.eventLoop.execute(body) }
    }

    static func security(of channel: any Channel, _ isSecure: Bool?) -> ServerState.Security {
        let tls = try? channel.pipeline.syncOperations.handler(type: NIOSSLHandler.self)
        return ServerState.Security(
            usesTLS: tls != nil,
            isSecure: isSecure ?? (tls != nil),
            isReady: tls?.tlsVersion != nil
        )
    }
}

extension WebSocketMount: CustomReflectable {
    /// How many connections there are. From their handlers, every connection could be looked into while it works.
    public var customMirror: Mirror { Mirror(self, children: ["connections": self.connections]) }
}
