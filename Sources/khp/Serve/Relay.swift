import KHPServer
import NIOCore
import NIOPosix

/// The route `tcp:HOST:PORT`: messages become bytes of a stream, bytes become binary messages.
///
/// Back-pressure holds end to end: the next message is taken when the stream has taken the last one, and the stream is
/// read when the socket has taken what came before.
struct Relay: Sendable {
    let host: String
    let port: Int

    func run(_ socket: WebSocket) async throws {
        let stream: NIOAsyncChannel<ByteBuffer, ByteBuffer>
        do {
            stream = try await connect()
        } catch {
            try await socket.close(code: .badGateway, reason: "the stream behind this path does not answer")
            return
        }
        try await stream.executeThenClose { inbound, outbound in
            await withTaskGroup(of: Bool.self) { group in
                group.addTask { await Self.toStream(socket, outbound) }
                group.addTask { await Self.toSocket(inbound, socket) }
                // Whoever ends first ends the other: the socket by its close, the stream by its half-close.
                for await socketEnded in group {
                    if socketEnded { break }
                    _ = try? await socket.close()
                }
                group.cancelAll()
            }
        }
    }

    private func connect() async throws -> NIOAsyncChannel<ByteBuffer, ByteBuffer> {
        try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(.seconds(10))
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
            .connect(host: host, port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel(
                        wrappingChannelSynchronously: channel,
                        configuration: .init(isOutboundHalfClosureEnabled: true)
                    )
                }
            }
    }

    /// - Returns: true, because the socket's messages have ended.
    private static func toStream(
        _ socket: WebSocket,
        _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    ) async -> Bool {
        do {
            for try await message in socket.messages {
                switch message {
                case .text(let text): try await outbound.write(ByteBuffer(string: text))
                case .binary(let bytes): try await outbound.write(bytes)
                }
            }
        } catch {
            // Either side is gone; the other one is ended below.
        }
        outbound.finish()
        return true
    }

    /// - Returns: false, because the stream has ended.
    private static func toSocket(_ inbound: NIOAsyncChannelInboundStream<ByteBuffer>, _ socket: WebSocket) async -> Bool
    {
        do {
            for try await bytes in inbound { try await socket.send(bytes) }
        } catch {
            // A stream that was reset ends like one that was closed.
        }
        return false
    }
}
