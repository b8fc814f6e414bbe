import KHPClient
import NIOCore
import Synchronization

/// The tunnel while it runs: each byte stream that is accepted goes over a WebSocket of its own.
struct Tunnel: Sendable {
    let listener: ByteListener
    let client: WebSocketClient
    let url: String
    let subprotocols: [String]
    let messages: ByteRelay.Messages
    /// How long the streams may take to end once the tunnel shall.
    let drain: Duration
    let console: Console

    /// Returns after the first of these signals, when every stream has ended or the time to drain is over.
    func run(until signals: AsyncStream<Int32>) async {
        let open = OpenStreams()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.carryAll(open) }
            group.addTask {
                for await number in signals {
                    self.listener.close()
                    open.interrupt(.signal(number))
                    // Ends at once with the last stream.
                    try? await Task.sleep(for: self.drain)
                    return
                }
            }
            await group.next()
            group.cancelAll()
        }
    }

    private func carryAll(_ open: OpenStreams) async {
        await withDiscardingTaskGroup { group in
            for await (stream, peer) in self.listener.streams {
                let interruption = open.add()
                group.addTask {
                    await self.carry(stream, from: peer, interruption)
                    open.remove(interruption)
                }
            }
        }
    }

    /// One stream, to the end of both sides.
    private func carry(_ stream: ByteStream, from peer: String, _ interruption: Interruption) async {
        defer { stream.reset() }
        do {
            try await interruption.cancelling {
                let socket = try await self.connect(for: stream)
                let goAway: @Sendable () -> Void = { Task { _ = try? await socket.close(code: .goingAway) } }
                await interruption.closing(goAway) {
                    let relay = ByteRelay(
                        stream: stream,
                        socket: socket,
                        streamName: "the stream that is tunnelled",
                        messages: self.messages
                    )
                    await relay.run()
                }
                self.tell(try await socket.close(), peer)
            }
        } catch {
            self.tell(error, peer, interruption)
        }
    }

    /// A socket for a stream: not waited for any longer once the stream is gone.
    private func connect(for stream: ByteStream) async throws -> WebSocket {
        try await withThrowingTaskGroup(of: WebSocket?.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await self.client.connect(to: self.url, subprotocols: self.subprotocols) }
            group.addTask {
                try await stream.failed()
                throw ByteStream.Failure.reset
            }
            for try await socket in group {
                if let socket { return socket }
            }
            throw CancellationError()
        }
    }

    /// Tells why a stream got no socket. One that left before, or that the end of the tunnel met, is no news.
    private func tell(_ error: any Error, _ peer: String, _ interruption: Interruption) {
        guard interruption.cause == nil, !(error is ByteStream.Failure), !(error is CancellationError) else { return }
        let offers = self.client.configuration.extended.policy == .preferred
        let failure = CommandFailure(any: error, offered: offers)
        self.console.report(.note("khp: \(peer): \(failure.sentence)"))
    }

    /// Tells of a socket that did not end well.
    private func tell(_ info: CloseInfo, _ peer: String) {
        guard info.initiator == .peer, let failure = CommandFailure(info) else { return }
        self.console.report(.note("khp: \(peer): \(failure.sentence)"))
    }
}

/// The streams that are carried, each with the way to end it.
private final class OpenStreams: Sendable {
    private struct State {
        var open: [ObjectIdentifier: Interruption] = [:]
        var cause: Interruption.Cause?
    }

    private let state = Mutex(State())

    func add() -> Interruption {
        let interruption = Interruption()
        let cause = self.state.withLock { state in
            state.open[ObjectIdentifier(interruption)] = interruption
            return state.cause
        }
        // Accepted while the tunnel ended.
        if let cause { interruption.interrupt(cause) }
        return interruption
    }

    func remove(_ interruption: Interruption) {
        self.state.withLock { $0.open[ObjectIdentifier(interruption)] = nil }
    }

    func interrupt(_ cause: Interruption.Cause) {
        let all = self.state.withLock { state in
            state.cause = cause
            return Array(state.open.values)
        }
        for interruption in all { interruption.interrupt(cause) }
    }
}
