import KHPClient
import KHPGateway
import NIOCore

/// The tunnel while it runs: each byte stream that is accepted goes over a WebSocket of its own.
struct Tunnel: Sendable {
    let listener: ByteListener
    let relay: StreamRelay
    /// Of the streams, and of the client.
    let eventLoop: any EventLoop
    let client: WebSocketClient
    let url: String
    let subprotocols: [String]
    /// How long the streams may take to end once the tunnel shall.
    let drain: Duration
    let console: Console

    /// Returns after the first of these signals, when every stream has ended or the time to drain is over.
    func run(until signals: AsyncStream<Int32>) async {
        let (done, isDone) = AsyncStream.makeStream(of: Void.self)
        let carrying = Task {
            await self.carryAll()
            isDone.finish()
        }
        for await _ in signals { break }
        self.listener.close()
        // A socket is closed with 1001, and what was sent on it arrives.
        carrying.cancel()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { for await _ in done {} }
            group.addTask { try? await Task.sleep(for: self.drain) }
            await group.next()
            group.cancelAll()
        }
    }

    private func carryAll() async {
        await withDiscardingTaskGroup { group in
            for await (stream, peer) in self.listener.streams {
                group.addTask { await self.carry(stream, from: peer) }
            }
        }
    }

    /// One stream, to the end of both sides.
    private func carry(_ stream: BackendLink, from peer: String) async {
        let socket = Task {
            try await self.client.run(to: self.url, subprotocols: self.subprotocols) {
                self.relay.handler(
                    for: stream,
                    on: self.eventLoop,
                    closed: { self.tell($0, peer) },
                    refused: { self.console.report(.note("khp: \(peer): \($0)")) }
                )
            }
        }
        // Nobody waits for a socket any longer once the stream is gone.
        stream.whenGoneUntaken { socket.cancel() }
        await withTaskCancellationHandler {
            switch await socket.result {
            // Told of already; and a stream that left before is no news, nor is the end of the tunnel.
            case .success, .failure(_ as CancellationError): break
            case .failure(let error): self.tell(error, peer)
            }
        } onCancel: {
            socket.cancel()
        }
        await stream.release()
    }

    /// Tells why a stream got no socket.
    private func tell(_ error: any Error, _ peer: String) {
        let offers = self.client.configuration.extended.policy == .preferred
        let failure = CommandFailure(any: error, offered: offers)
        self.console.report(.note("khp: \(peer): \(failure.sentence)"))
    }

    /// Tells of a socket that did not end well: the peer closed it, or did what the library closes it for.
    private func tell(_ info: CloseInfo, _ peer: String) {
        guard info.initiator == .peer || info.error != nil, let failure = CommandFailure(info) else { return }
        self.console.report(.note("khp: \(peer): \(failure.sentence)"))
    }
}
