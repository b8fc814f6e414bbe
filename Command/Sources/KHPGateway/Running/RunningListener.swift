// A listener at work: its address, and the endpoints of those services that are reached through it.

import KHPServer
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

final class RunningListener: Sendable {
    let rules: GatewayConfiguration.Listener
    let address: SocketAddress
    private let inForce: Mutex<[Endpoint]>
    private let server: WebSocketServer
    private let run: Task<Void, any Error>

    /// Begins to listen.
    /// - Throws: ``WebSocketError`` where it cannot, or where endpoints make no sense.
    init(
        _ rules: GatewayConfiguration.Listener,
        tls: TLSConfiguration?,
        endpoints: [Endpoint],
        bounds: ListenerBounds,
        log: GatewayLog,
        watch: HandshakeWatch,
        on group: any EventLoopGroup
    ) async throws {
        var configuration = WebSocketServer.Configuration(address: rules.listen.bind)
        configuration.tls = tls
        configuration.limits = bounds.limits(rules)
        configuration.timeouts.stalledWrite = bounds.stalledWrite
        configuration.gracefulShutdownTimeout = .seconds(10)
        if rules.forwarded != .off {
            configuration.clientAddress = .forwarded(
                rules.forwarded == .forwarded ? .forwarded : .xForwardedFor,
                trusted: rules.trust.map(\.description)
            )
        }
        configuration.logger = Logger(label: "khp.gateway") { _ in LibraryLog(log) }
        configuration.instruments = [watch]
        let server = WebSocketServer(configuration: configuration, eventLoopGroup: group, endpoints: endpoints)
        let run = Task { try await server.run() }
        do {
            self.address = try await server.boundAddress()
        } catch {
            run.cancel()
            throw error
        }
        self.rules = rules
        self.inForce = Mutex(endpoints)
        self.server = server
        self.run = run
    }

    /// The endpoints that are in force.
    var endpoints: [Endpoint] { self.inForce.withLock { $0 } }

    func replaceEndpoints(_ endpoints: [Endpoint]) throws {
        try self.server.replaceEndpoints(endpoints)
        self.inForce.withLock { $0 = endpoints }
    }

    /// Closes the listener, and what is left of its connections.
    func close() async {
        self.run.cancel()
        _ = await self.run.result
    }
}

/// The bounds that a listener takes from its services: the largest, since a connection has to fit them before its service is
/// known.
struct ListenerBounds: Sendable {
    private var buffer = 4096
    private var stalled = Duration.seconds(20)

    init(_ services: [GatewayConfiguration.Service]) {
        for service in services {
            self.buffer = max(self.buffer, service.rules.relay.buffer)
            self.stalled = max(self.stalled, service.rules.relay.stalled)
        }
    }

    func limits(_ rules: GatewayConfiguration.Listener) -> WebSocketServer.Limits {
        var limits = WebSocketServer.Limits()
        limits.sendBufferHighMark = self.buffer
        limits.sendBufferLowMark = self.buffer / 2
        limits.connections = rules.connections
        return limits
    }

    /// Longer than a relay waits: it says which side took nothing.
    var stalledWrite: Duration { self.stalled + .seconds(10) }
}

extension ListenAddress {
    var bind: WebSocketServer.BindAddress {
        switch self {
        case .host(let host, let port): .hostname(host, port: port)
        case .unix(let path): .unixDomainSocket(path: path)
        }
    }
}
