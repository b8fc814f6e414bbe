// The admin address: a listener of its own on a thread of its own, so that it answers while sessions keep all others busy.

import HTTPTypes
import KHPServer
import Logging
import NIOCore
import NIOPosix
import NIOSSL

final class AdminServer: Sendable {
    let address: SocketAddress
    let isSecure: Bool
    private let socket: ListeningSocket
    private let run: Task<Void, any Error>
    private let group: MultiThreadedEventLoopGroup

    /// Begins to listen.
    /// - Throws: ``ListeningSocket/Failure`` or ``WebSocketError`` where it cannot.
    init(
        _ listen: ListenAddress,
        tls: TLSConfiguration?,
        log: GatewayLog,
        serve: @escaping @Sendable (HTTPExchange) async throws -> Void
    ) async throws {
        let socket = try await ListeningSocket.bound(to: listen, on: MultiThreadedEventLoopGroup.singleton.any())
        var configuration = WebSocketServer.Configuration(address: .boundSocket(try socket.hold()))
        configuration.tls = tls
        configuration.limits.connections = 256
        // It closes after the gateway, which has had its time: a silent client of TLS is not waited for.
        configuration.gracefulShutdownTimeout = .milliseconds(250)
        configuration.logger = Logger(label: "khp.gateway.admin") { _ in LibraryLog(log) }
        configuration.serveHTTP = serve
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let server = WebSocketServer(configuration: configuration, eventLoopGroup: group, endpoints: [])
        let run = Task { try await server.run() }
        do {
            self.address = try await server.boundAddress()
        } catch {
            run.cancel()
            try? await group.shutdownGracefully()
            socket.letGo()
            throw error
        }
        self.socket = socket
        self.isSecure = tls != nil
        self.run = run
        self.group = group
    }

    func close() async {
        self.run.cancel()
        _ = await self.run.result
        self.socket.letGo()
        try? await self.group.shutdownGracefully()
    }
}
