import KHPProtocol
public import NIOCore
public import NIOPosix
public import NIOSSL
public import ServiceLifecycle
import Synchronization

/// A WebSocket server that speaks x-kaazing-handshake.
///
/// ```swift
/// let server = WebSocketServer(
///     configuration: .init(address: .hostname("127.0.0.1", port: 8080))
/// ) {
///     Endpoint("/echo") { socket in
///         for try await message in socket.messages {
///             try await socket.send(message)
///         }
///     }
/// }
/// try await server.run()
/// ```
///
/// It is a `Service`: a `ServiceGroup` shuts it down gracefully. Then it stops accepting, closes every open socket with
/// 1001, drops what is still in a handshake, and forces what is left after ``Configuration/gracefulShutdownTimeout``.
public final class WebSocketServer: Service, Sendable {
    private let configuration: Configuration
    private let eventLoopGroup: any EventLoopGroup

    /// The endpoints, and what serves them once the server runs.
    private struct Serving {
        var endpoints: [Endpoint]
        var mount: WebSocketMount?
        var listener: WebSocketListener?
    }

    private let serving: Mutex<Serving>
    private let bound = BoundAddress()

    /// A server with these endpoints.
    public convenience init(
        configuration: Configuration,
        eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        @EndpointBuilder endpoints: () -> [Endpoint]
    ) {
        self.init(configuration: configuration, eventLoopGroup: eventLoopGroup, endpoints: endpoints())
    }

    /// A server with the endpoints of a list that is made elsewhere.
    public init(
        configuration: Configuration,
        eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        endpoints: [Endpoint]
    ) {
        self.configuration = configuration
        self.eventLoopGroup = eventLoopGroup
        self.serving = Mutex(Serving(endpoints: endpoints))
    }

    /// Serves until the task is cancelled or the service group shuts down, then drains.
    /// - Throws: ``WebSocketError/Code/invalidArgument`` for endpoints or hosts that make no sense and for a second run;
    ///   ``WebSocketError/Code/connectFailed`` for an address that cannot be listened on.
    public func run() async throws {
        try self.bound.start("This server runs or has run already; make another one.")
        let mount: WebSocketMount
        let listener: WebSocketListener
        do {
            (mount, listener) = try self.prepare()
            self.bound.settle(.success(try await listener.listen()))
        } catch {
            self.bound.settle(.failure(error))
            throw error
        }
        await listener.untilClosed()
        await mount.drain()
    }

    private func prepare() throws -> (WebSocketMount, WebSocketListener) {
        try self.serving.withLock { serving in
            let mount = try WebSocketMount(configuration: self.configuration.mount, endpoints: serving.endpoints)
            let listener = WebSocketListener(
                configuration: self.configuration.listener,
                mount: mount,
                eventLoopGroup: self.eventLoopGroup
            )
            serving.mount = mount
            serving.listener = listener
            return (mount, listener)
        }
    }

    // MARK: Endpoints

    /// Replaces all endpoints, with the effects that the function of this name of a ``WebSocketMount`` has. Before the
    /// server runs, this sets the endpoints that it starts with.
    /// - Throws: ``WebSocketError/Code/invalidArgument`` for endpoints that make no sense; then the old ones stay in force.
    public func replaceEndpoints(@EndpointBuilder _ endpoints: () -> [Endpoint]) throws {
        try self.replaceEndpoints(endpoints())
    }

    /// Replaces all endpoints by those of a list, with the effects of the form that takes a builder.
    /// - Throws: ``WebSocketError/Code/invalidArgument`` for endpoints that make no sense; then the old ones stay in force.
    public func replaceEndpoints(_ endpoints: [Endpoint]) throws {
        try self.serving.withLock { serving in
            if let mount = serving.mount {
                try mount.replaceEndpoints(endpoints)
                if self.configuration.tls == nil { mount.state.warnOfUnmaskedText() }
            } else {
                _ = try WebSocketMount(configuration: self.configuration.mount, endpoints: endpoints)
            }
            serving.endpoints = endpoints
        }
    }

    // MARK: Listening

    /// The address that the server is bound to; waits until it is.
    /// - Throws: the error that kept the server from listening.
    public func boundAddress() async throws -> SocketAddress {
        try await self.bound.wait()
    }

    /// The port that the server is bound to, `nil` for a Unix domain socket; waits until it is bound.
    /// - Throws: the error that kept the server from listening.
    public func boundPort() async throws -> Int? {
        try await self.boundAddress().port
    }

    // MARK: TLS

    /// Takes other certificates, or another TLS altogether, for the connections that are accepted from now on; those that
    /// are there keep theirs. As ``WebSocketListener/replaceTLS(_:hosts:)``.
    /// - Throws: ``WebSocketError/Code/invalidArgument`` where the server does not listen, or listens without TLS, and for
    ///   hosts that make no sense; what `NIOSSLContext` throws for certificates and keys that it cannot take. Then the old
    ///   ones stay in force.
    public func replaceTLS(_ tls: TLSConfiguration, hosts: [String: WebSocketListener.TLSIdentity] = [:]) throws {
        guard let listener = self.serving.withLock({ $0.listener }) else {
            throw WebSocketError(.invalidArgument, "This server does not listen yet.")
        }
        try listener.replaceTLS(tls, hosts: hosts)
    }
}

extension WebSocketServer: CustomReflectable {
    /// How it is configured. From the event loops, every connection of the process could be looked into while it works.
    public var customMirror: Mirror {
        let endpoints = self.serving.withLock { $0.endpoints }
        return Mirror(self, children: ["configuration": self.configuration, "endpoints": endpoints])
    }
}
