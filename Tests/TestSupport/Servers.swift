// Servers for tests: on a free loopback port, alive exactly as long as the body runs.

package import KHPServer
package import NIOCore
import NIOPosix
import Synchronization

/// Runs a server of ours around `body`.
@discardableResult
package func withServer<Result: Sendable>(
    _ configure: (inout WebSocketServer.Configuration) -> Void = { _ in },
    @EndpointBuilder endpoints: () -> [Endpoint],
    body: (Int) async throws -> Result
) async throws -> Result {
    var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
    configuration.gracefulShutdownTimeout = .seconds(2)
    configure(&configuration)
    let server = WebSocketServer(configuration: configuration, endpoints: endpoints)
    let run = Task { try await server.run() }
    do {
        let port = try await server.boundAddress().port ?? 0
        let result = try await body(port)
        run.cancel()
        try await run.value
        return result
    } catch {
        run.cancel()
        _ = try? await run.value
        throw error
    }
}

/// An endpoint that sends every message back.
package func echo(_ path: String = "/echo") -> Endpoint {
    Endpoint(path) { socket in
        for try await message in socket.messages { try await socket.send(message) }
    }
}

/// A raw TCP server around `body`: `handle` runs for each connection with the arriving bytes and a way to write.
@discardableResult
package func withRawServer<Result: Sendable>(
    _ handle: @escaping @Sendable (NIOAsyncChannel<ByteBuffer, ByteBuffer>) async throws -> Void,
    body: (Int) async throws -> Result
) async throws -> Result {
    // Each connection has its task from the moment it is accepted: without one it would never be finished.
    let tasks = Mutex<[Task<Void, Never>]>([])
    let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
        .childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                let connection = try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                let task = Task { _ = try? await handle(connection) }
                tasks.withLock { $0.append(task) }
            }
        }
        .bind(host: "127.0.0.1", port: 0)
        .get()
    defer {
        listener.close(promise: nil)
        for task in tasks.withLock({ $0 }) { task.cancel() }
    }
    return try await body(listener.localAddress?.port ?? 0)
}
