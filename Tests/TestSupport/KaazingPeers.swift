// The stand-ins for deployed Kaazing clients and gateways, on sockets.

package import KHPTesting
package import NIOCore
import NIOPosix

/// Connects a stand-in client and lets it talk until `isDone` says so or the stream ends.
/// - Parameter greeting: sent once the socket is open.
@discardableResult
package func converse(
    _ client: ScriptedKaazingClient,
    port: Int,
    greeting: [ByteBuffer] = [],
    until isDone: @escaping @Sendable (ScriptedKaazingClient) -> Bool
) async throws -> ScriptedKaazingClient {
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .connect(host: "127.0.0.1", port: port) { channel in
            channel.eventLoop.makeCompletedFuture {
                try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
            }
        }
    return try await channel.executeThenClose { inbound, outbound in
        var client = client
        var hasGreeted = false
        try await outbound.write(client.start())
        for try await bytes in inbound {
            let said = client.receive(bytes)
            if said.readableBytes > 0 { try await outbound.write(said) }
            if case .open = client.state, !hasGreeted {
                hasGreeted = true
                for frame in greeting { try await outbound.write(frame) }
            }
            if isDone(client) { break }
        }
        return client
    }
}

/// A stand-in gateway around `body`: one for each connection.
@discardableResult
package func withGateway<Result: Sendable>(
    _ service: @escaping @Sendable () -> ScriptedKaazingGateway.Service = { ScriptedKaazingGateway.Service() },
    seen: @escaping @Sendable (ScriptedKaazingGateway) -> Void = { _ in },
    body: (Int) async throws -> Result
) async throws -> Result {
    try await withRawServer { channel in
        try await channel.executeThenClose { inbound, outbound in
            var gateway = ScriptedKaazingGateway(service())
            for try await bytes in inbound {
                for output in gateway.receive(bytes) {
                    switch output {
                    case .send(let bytes): try await outbound.write(bytes)
                    case .end:
                        seen(gateway)
                        return
                    }
                }
            }
            seen(gateway)
        }
    } body: { port in
        try await body(port)
    }
}
