import KHPProtocol
import KHPServer
import NIOCore

/// The route `tcp:HOST:PORT`: messages become bytes of a stream, bytes become binary messages.
///
/// Back-pressure holds end to end: the next message is taken when the stream has taken the last one, and the stream is
/// read when the socket has taken what came before. The end of one side is the end of the other, after its bytes:
///
/// | first to end                                      | the other side                                              |
/// |---------------------------------------------------|-------------------------------------------------------------|
/// | socket, with a close frame that says no failure   | gets all that was sent, then the end                        |
/// | socket, otherwise                                 | is reset                                                    |
/// | stream, in good order                             | gets all that was sent, then close 1000                     |
/// | stream, reset, or taking nothing for ``patience`` | gets all that was sent, then close 1014                     |
/// | the relay is cancelled                            | is reset; the socket is the server's to close               |
struct Relay: Sendable {
    let host: String
    let port: Int
    /// How long the stream may take nothing of what is written to it: as long as a peer may.
    var patience = WebSocketServer.Timeouts().stalledWrite

    /// How long it may take to connect, the resolution of the name included.
    private static let connectLimit = TimeAmount.seconds(10)

    func run(_ socket: WebSocket) async throws {
        let stream: BackendStream
        do {
            stream = try await self.connect(for: socket)
        } catch {
            try await socket.close(code: .badGateway, reason: "the stream behind this path does not answer")
            return
        }
        // Whatever was not finished by then is broken off.
        defer { stream.reset() }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await Self.toSocket(stream, socket) }
            group.addTask {
                // Nobody waits for a stream on behalf of a peer that is gone. One that has closed is owed its bytes.
                guard let end = try? await socket.closed() else { return }
                if !end.clean { stream.reset() }
            }
            await Self.toStream(socket, stream)
            group.cancelAll()
        }
    }

    /// Not waited for any longer once the peer is gone; one that has closed may have sent what is to be delivered.
    private func connect(for socket: WebSocket) async throws -> BackendStream {
        let (host, port, patience) = (host, port, TimeAmount(patience))
        return try await withThrowingTaskGroup(of: BackendStream?.self) { group in
            defer { group.cancelAll() }
            group.addTask {
                try await BackendStream.connect(
                    host: host,
                    port: port,
                    within: Self.connectLimit,
                    patience: patience
                )
            }
            group.addTask {
                if try await socket.closed().clean { return nil }
                throw BackendStream.Failure.abandoned
            }
            for try await stream in group {
                if let stream { return stream }
            }
            throw BackendStream.Failure.abandoned
        }
    }

    private static func toStream(_ socket: WebSocket, _ stream: BackendStream) async {
        do {
            for try await message in socket.messages {
                switch message {
                case .text(let text): try await stream.write(ByteBuffer(string: text))
                case .binary(let bytes): try await stream.write(bytes)
                }
            }
            let end = try await socket.closed()
            if end.saysNoFailure, !socket.hasLostMessages { try await stream.finish() }
        } catch let failure as BackendStream.Failure {
            await say(failure, socket)
        } catch {
            // The socket is gone, or the task is cancelled.
        }
    }

    private static func toSocket(_ stream: BackendStream, _ socket: WebSocket) async {
        do {
            while let bytes = try await stream.next() { try await socket.send(bytes) }
            try await socket.close()
        } catch let failure as BackendStream.Failure {
            await say(failure, socket)
        } catch {
            // The socket is gone, or the task is cancelled.
        }
    }

    private static func say(_ failure: BackendStream.Failure, _ socket: WebSocket) async {
        let reason =
            switch failure {
            case .stalled: "the stream behind this path takes nothing"
            case .reset, .unreachable, .abandoned: "the stream behind this path was reset"
            }
        _ = try? await socket.close(code: .badGateway, reason: reason)
    }
}

extension CloseInfo {
    /// True where the peer has said all that it had to, and ended because of that.
    fileprivate var saysNoFailure: Bool {
        guard self.clean else { return false }
        guard let code else { return true }
        return code == .normalClosure || code == .goingAway || code.rawValue >= 3000
    }
}
