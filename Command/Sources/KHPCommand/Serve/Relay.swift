import KHPProtocol
import KHPServer
import NIOCore

/// The route `tcp:HOST:PORT`: messages become bytes of a stream, bytes become binary messages.
///
/// One that does not answer ends the socket with 1014; how the rest ends is said at ``ByteRelay``.
struct Relay: Sendable {
    let host: String
    let port: Int
    /// How long the stream may take nothing of what is written to it: as long as a peer may.
    var patience = WebSocketServer.Timeouts().stalledWrite

    /// How long it may take to connect, the resolution of the name included.
    private static let connectLimit = TimeAmount.seconds(10)

    func run(_ socket: WebSocket) async throws {
        let stream: ByteStream
        do {
            stream = try await self.connect(for: socket)
        } catch {
            try await socket.close(code: .badGateway, reason: "the stream behind this path does not answer")
            return
        }
        await ByteRelay(stream: stream, socket: socket, streamName: "the stream behind this path").run()
    }

    /// Not waited for any longer once the peer is gone; one that has closed may have sent what is to be delivered.
    private func connect(for socket: WebSocket) async throws -> ByteStream {
        let (host, port, patience) = (host, port, TimeAmount(patience))
        return try await withThrowingTaskGroup(of: ByteStream?.self) { group in
            defer { group.cancelAll() }
            group.addTask {
                try await ByteStream.connect(
                    host: host,
                    port: port,
                    within: Self.connectLimit,
                    patience: patience
                )
            }
            group.addTask {
                if try await socket.closed().clean { return nil }
                throw ByteStream.Failure.abandoned
            }
            for try await stream in group {
                if let stream { return stream }
            }
            throw ByteStream.Failure.abandoned
        }
    }
}
