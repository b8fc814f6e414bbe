import KHPProtocol
import KHPWebSocket
import Logging
public import NIOCore
public import NIOPosix
import NIOSSL
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
        try self.bound.start()
        let mount: WebSocketMount
        let listener: any Channel
        do {
            mount = try self.mount()
            if self.configuration.tls == nil { mount.state.warnOfUnmaskedText() }
            listener = try await self.listen(mount.state)
        } catch {
            self.bound.settle(.failure(error))
            throw error
        }
        guard let address = listener.localAddress else {
            let error = WebSocketError(.connectFailed, "The listener has no address.")
            self.bound.settle(.failure(error))
            throw error
        }
        self.bound.settle(.success(address))
        mount.state.log(.info, "listening", ["address": "\(address.peerName)"])
        await withTaskCancellationOrGracefulShutdownHandler {
            try? await listener.closeFuture.get()
        } onCancelOrGracefulShutdown: {
            listener.close(promise: nil)
        }
        await mount.drain()
    }

    private func mount() throws -> WebSocketMount {
        try self.serving.withLock { serving in
            let mount = try WebSocketMount(configuration: self.configuration.mount, endpoints: serving.endpoints)
            serving.mount = mount
            return mount
        }
    }

    // MARK: Endpoints

    /// Puts other endpoints in the place of all that there are, as ``WebSocketMount`` has it for its own:
    /// does; before the server runs, those that it starts with.
    /// - Throws: ``WebSocketError/Code/invalidArgument`` for endpoints that make no sense; then the old ones stay in force.
    public func replaceEndpoints(@EndpointBuilder _ endpoints: () -> [Endpoint]) throws {
        try self.replaceEndpoints(endpoints())
    }

    /// The same for the endpoints of a list that is made elsewhere.
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
    /// - Throws: what kept the server from listening.
    public func boundAddress() async throws -> SocketAddress {
        try await self.bound.wait()
    }

    /// The port that the server is bound to, `nil` for a Unix domain socket; waits until it is bound.
    /// - Throws: what kept the server from listening.
    public func boundPort() async throws -> Int? {
        try await self.boundAddress().port
    }

    private func listen(_ state: ServerState) async throws -> any Channel {
        do {
            return try await self.bind(state)
        } catch let error as WebSocketError {
            throw error
        } catch {
            let reason = TransportFailure.reason(error)
            throw WebSocketError(
                .connectFailed,
                "The server cannot listen on \(self.configuration.address): \(reason).",
                phase: .connect
            )
        }
    }

    private func bind(_ state: ServerState) async throws -> any Channel {
        let tls = try self.configuration.tls.map { configuration in
            try NIOSSLContext(configuration: configuration.decidedForServer)
        }
        let security = tls == nil ? ServerState.Security.none : .tls
        // Accepted sockets inherit TCP_NODELAY from the listener, where the bootstrap sets it.
        let bootstrap = ServerBootstrap(group: self.eventLoopGroup)
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let acceptor = Acceptor {
                        state.setUp($0, security, tls: tls)
                    } cannotAccept: { error in
                        state.log(.notice, "cannot accept connections", ["error": "\(error)"])
                    }
                    try channel.pipeline.syncOperations.addHandler(acceptor)
                }
            }
        switch self.configuration.address {
        case .hostname(let host, let port):
            return
                try await bootstrap
                .noticingVanishedPeers(SocketLiveness(stalledWrite: state.configuration.timeouts.stalledWrite))
                .bind(host: host, port: port).get()
        case .unixDomainSocket(let path):
            return try await bootstrap.bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
        }
    }
}

extension WebSocketServer: CustomReflectable {
    /// How it is configured. From the event loops, every connection of the process could be looked into while it works.
    public var customMirror: Mirror {
        let endpoints = self.serving.withLock { $0.endpoints }
        return Mirror(self, children: ["configuration": self.configuration, "endpoints": endpoints])
    }
}
