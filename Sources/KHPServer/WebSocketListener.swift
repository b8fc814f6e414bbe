import KHPProtocol
import KHPWebSocket
import Logging
public import NIOCore
public import NIOPosix
public import NIOSSL
public import ServiceLifecycle
import Synchronization

/// A listener for the endpoints of a mount. Several can serve one mount, each with an address, a TLS and a rule for clients'
/// addresses of its own, and each can be opened and closed while the others go on; endpoints, limits and the drain are the
/// mount's.
///
/// ```swift
/// var inside = WebSocketListener.Configuration(
///     address: .unixDomainSocket(path: "/run/orders.sock")
/// )
/// inside.name = "inside"
/// var outside = WebSocketListener.Configuration(
///     address: .hostname("0.0.0.0", port: 8443)
/// )
/// outside.name = "outside"
/// outside.tls = tls
/// outside.connections = 5000
/// let services: [any Service] = [
///     mount,
///     WebSocketListener(configuration: inside, mount: mount),
///     WebSocketListener(configuration: outside, mount: mount),
/// ]
/// ```
///
/// It is a `Service`: a `ServiceGroup` shuts it down gracefully. Then it accepts nothing any more; the connections that have
/// come in by it end with the mount. A ``WebSocketServer`` is a mount with one listener.
public final class WebSocketListener: Service, Sendable {
    private struct State {
        var entrance: Entrance?
        var tls: ServerTLS?
        var channel: (any Channel)?
        var isClosed = false
    }

    private let configuration: Configuration
    private let mount: WebSocketMount
    private let eventLoopGroup: any EventLoopGroup
    private let bound = BoundAddress()
    private let state = Mutex(State())

    /// A listener that does not listen yet.
    public init(
        configuration: Configuration,
        mount: WebSocketMount,
        eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) {
        self.configuration = configuration
        self.mount = mount
        self.eventLoopGroup = eventLoopGroup
    }

    /// The name that requests and logs know it by.
    public var name: String { self.configuration.name ?? "\(self.configuration.address)" }

    // MARK: Running

    /// Listens until the task is cancelled, the service group shuts down, or ``close()`` is called.
    /// - Throws: as ``listen()``.
    public func run() async throws {
        try await self.listen()
        await self.untilClosed()
    }

    /// Begins to listen; for those who do not ``run()`` it. It listens once.
    /// - Returns: the address that it is bound to.
    /// - Throws: ``WebSocketError/Code/invalidArgument`` for a configuration that makes no sense and for a second time;
    ///   ``WebSocketError/Code/connectFailed`` for an address that cannot be listened on; what `NIOSSLContext` throws for
    ///   certificates and keys that it cannot take.
    @discardableResult
    public func listen() async throws -> SocketAddress {
        try self.bound.start("This listener listens or has listened already; make another one.")
        do {
            let channel = try await self.bind()
            let isClosed = self.state.withLock { state in
                state.channel = channel
                return state.isClosed
            }
            if isClosed { channel.close(promise: nil) }
            guard !isClosed, let address = channel.localAddress else {
                throw WebSocketError(.connectFailed, "The listener has no address.", phase: .connect)
            }
            self.bound.settle(.success(address))
            self.mount.state.log(.info, "listening", ["address": "\(address.peerName)", "listener": "\(self.name)"])
            return address
        } catch {
            self.bound.settle(.failure(error))
            throw error
        }
    }

    /// Accepts no more connections, and releases the address; the file of a Unix domain socket is removed. Connections that
    /// have come in stay, with the mount.
    public func close() async {
        let channel = self.state.withLock { state in
            state.isClosed = true
            return state.channel
        }
        guard let channel else { return }
        if (try? await channel.setOption(.autoRead, value: false).get()) != nil { await self.untilTakenIn(channel) }
        try? await channel.close().get()
    }

    /// How long a close waits for connections that have been accepted, where an event loop is busy.
    private static let takingIn = TimeAmount.seconds(1)

    /// Waits until those that have been accepted have come in: each goes to its event loop and back to the listener's, which
    /// drops it where the listener has closed meanwhile.
    private func untilTakenIn(_ channel: any Channel) async {
        let own = channel.eventLoop
        let done = own.makePromise(of: Void.self)
        let late = own.scheduleTask(in: Self.takingIn) { done.succeed() }
        let turns = self.eventLoopGroup.makeIterator().map { $0.submit {} }
        EventLoopFuture.andAllComplete(turns, on: own).flatMap { own.submit {} }.whenComplete { _ in
            late.cancel()
            done.succeed()
        }
        try? await done.futureResult.get()
    }

    func untilClosed() async {
        guard let channel = self.state.withLock({ $0.channel }) else { return }
        await withTaskCancellationOrGracefulShutdownHandler {
            try? await channel.closeFuture.get()
        } onCancelOrGracefulShutdown: {
            channel.close(promise: nil)
        }
    }

    // MARK: Asking

    /// The address that it is bound to; waits until it is.
    /// - Throws: the error that kept it from listening.
    public func boundAddress() async throws -> SocketAddress {
        try await self.bound.wait()
    }

    /// How many connections have come in here.
    public var counts: Counts {
        guard let entrance = self.state.withLock({ $0.entrance }) else { return Counts() }
        return self.mount.state.counts(of: entrance)
    }

    // MARK: TLS

    /// Takes other certificates, or another TLS altogether, for the connections that are accepted from now on; those that
    /// are there keep theirs.
    /// - Parameters:
    ///   - tls: in place of ``Configuration/tls``.
    ///   - hosts: in place of ``Configuration/tlsHosts``.
    /// - Throws: ``WebSocketError/Code/invalidArgument`` where it does not listen, or listens without TLS, and for hosts
    ///   that make no sense; what `NIOSSLContext` throws for certificates and keys that it cannot take. Then the old ones
    ///   stay in force.
    public func replaceTLS(_ tls: TLSConfiguration, hosts: [String: TLSIdentity] = [:]) throws {
        guard let inForce = self.state.withLock({ $0.tls }) else {
            throw WebSocketError(.invalidArgument, "This listener does not listen yet.")
        }
        try inForce.replace(tls, hosts)
    }

    // MARK: Connections

    /// Takes another bound for the connections that come in here from now on; those that are there stay, and count.
    /// - Parameter connections: in place of ``Configuration/connections``.
    /// - Throws: ``WebSocketError/Code/invalidArgument`` where it does not listen, and for a bound below 1.
    public func replaceConnections(_ connections: Int?) throws {
        guard let entrance = self.state.withLock({ $0.entrance }) else {
            throw WebSocketError(.invalidArgument, "This listener does not listen yet.")
        }
        guard connections ?? 1 > 0 else {
            throw WebSocketError(.invalidArgument, "The listener \(self.name) may have no connections.")
        }
        self.mount.state.bound(entrance, to: connections)
    }

    // MARK: Binding

    /// Connections that wait to be accepted.
    private static let backlog: Int32 = 4096

    /// Connections that are accepted in one turn of the event loop. In a turn all connections that have said something are
    /// served too: with SwiftNIO's 4 the last of a thousand that come at once waits for 250 turns, each longer than the one
    /// before, while a flood of connections that are turned away is to leave most of each turn to the others.
    private static let acceptedAtOnce: UInt = 16

    private func bind() async throws -> any Channel {
        let state = self.mount.state
        let configuration = self.configuration
        let tls = try ServerTLS(configuration, state.configuration.streams)
        let entrance = try state.entrance(of: configuration, named: self.name)
        self.state.withLock {
            $0.tls = tls
            $0.entrance = entrance
        }
        if configuration.tls == nil { state.warnOfUnmaskedText() }
        let security = configuration.tls == nil ? ServerState.Security.none : .tls
        // Accepted sockets inherit TCP_NODELAY from the listener, where the bootstrap sets it.
        let bootstrap = ServerBootstrap(group: self.eventLoopGroup)
            .serverChannelOption(.backlog, value: Self.backlog)
            .serverChannelOption(.maxMessagesPerRead, value: Self.acceptedAtOnce)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let acceptor = Acceptor {
                        state.setUp($0, security, tls: tls.context, entrance: entrance)
                    } cannotAccept: { error in
                        state.log(.notice, "cannot accept connections", ["error": "\(error)"])
                    }
                    try channel.pipeline.syncOperations.addHandler(acceptor)
                }
            }
        do {
            return try await self.bind(bootstrap)
        } catch let error as WebSocketError {
            throw error
        } catch {
            let reason = TransportFailure.reason(error)
            throw WebSocketError(
                .connectFailed,
                "The server cannot listen on \(configuration.address): \(reason).",
                detail: TransportFailure.isAddressInUse(error) ? .addressInUse : nil,
                phase: .connect
            )
        }
    }

    private func bind(_ bootstrap: ServerBootstrap) async throws -> any Channel {
        let liveness = SocketLiveness(stalledWrite: self.mount.state.configuration.timeouts.stalledWrite)
        switch self.configuration.address {
        case .hostname(let host, let port):
            return try await bootstrap.noticingVanishedPeers(liveness).bind(host: host, port: port).get()
        case .unixDomainSocket(let path):
            let isLeftOver = await self.isLeftOver(path)
            return try await bootstrap.bind(unixDomainSocketPath: path, cleanupExistingSocketFile: isLeftOver).get()
        case .boundSocket(let descriptor):
            let isTCP = try BoundSocket(descriptor, backlog: Self.backlog).isTCP
            return try await (isTCP ? bootstrap.noticingVanishedPeers(liveness) : bootstrap)
                .withBoundSocket(descriptor).get()
        }
    }

    /// True where no process listens at the file of the socket any more: a process that was killed leaves its file behind.
    private func isLeftOver(_ path: String) async -> Bool {
        do {
            let probe = try await ClientBootstrap(group: self.eventLoopGroup).connect(unixDomainSocketPath: path).get()
            try? await probe.close().get()
            return false
        } catch {
            return TransportFailure.describe(error).detail == .connectionRefused
        }
    }
}

extension WebSocketListener: CustomReflectable {
    /// How it is configured. From the event loops, every connection of the process could be looked into while it works.
    public var customMirror: Mirror {
        Mirror(self, children: ["configuration": self.configuration])
    }
}
