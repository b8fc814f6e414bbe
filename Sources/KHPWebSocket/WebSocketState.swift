// readyState and bufferedAmount of the WebSocket API (W10-13), for programs that show them or wait for them.

import KHPProtocol
import NIOCore

/// Where a socket is in its life: the ready states of the WebSocket API.
public enum WebSocketState: Sendable, Hashable {
    /// The handshakes run. A socket is handed out when they are complete, so only its waiters see this state.
    case connecting
    /// Messages flow.
    case open
    /// One side has begun to close; nothing can be sent any more.
    case closing
    /// It is over.
    /// - Parameter wasClean: `true` when both sides closed, as ``CloseInfo/clean``.
    case closed(wasClean: Bool)
}

extension WebSocket {
    /// Where the socket is in its life, now.
    public var state: WebSocketState {
        get async { await self.onHandler({ $0.state }, orElse: .closed(wasClean: self.inbox.info?.clean ?? false)) }
    }

    /// The state now and each later one, ending with ``WebSocketState/closed(wasClean:)``.
    public var states: AsyncStream<WebSocketState> {
        let (stream, continuation) = AsyncStream.makeStream(of: WebSocketState.self)
        let watcher = StateWatcher(continuation)
        nonisolated(unsafe) let handler = self.handler
        let eventLoop = self.eventLoop
        continuation.onTermination = { reason in
            guard case .cancelled = reason else { return }
            eventLoop.execute { handler.unwatch(watcher) }
        }
        let inbox = self.inbox
        self.onEventLoop {
            $0.watch(watcher)
        } orElse: {
            continuation.yield(.closed(wasClean: inbox.info?.clean ?? false))
            continuation.finish()
        }
        return stream
    }

    /// Bytes of messages that were sent and have not been handed to the network: UTF-8 and binary payload. While a part
    /// of them has left, headers of frames may be counted in; it is 0 when everything has left.
    public var bufferedAmount: Int {
        get async { await self.onHandler({ $0.bufferedAmount }, orElse: 0) }
    }

    /// - Parameter orElse: the result where the event loop is shut down.
    func onHandler<Result: Sendable>(
        _ body: @escaping @Sendable (ConnectionHandler) -> Result,
        orElse: @escaping @autoclosure @Sendable () -> Result
    ) async -> Result {
        await withUnsafeContinuation { continuation in
            self.onEventLoop {
                continuation.resume(returning: body($0))
            } orElse: {
                continuation.resume(returning: orElse())
            }
        }
    }
}

/// One reader of ``WebSocket/states``.
final class StateWatcher: Sendable {
    let continuation: AsyncStream<WebSocketState>.Continuation

    init(_ continuation: AsyncStream<WebSocketState>.Continuation) {
        self.continuation = continuation
    }
}

extension ConnectionHandler {
    /// The watchers of the state, and the values that they know.
    struct StateWatch {
        var watchers: [StateWatcher] = []
        var told = WebSocketState.open
    }

    var state: WebSocketState {
        if let info = self.closeInfo { return .closed(wasClean: info.clean) }
        return self.connection.isClosing || self.connection.socket.heldClose != nil ? .closing : .open
    }

    func watch(_ watcher: StateWatcher) {
        watcher.continuation.yield(self.state)
        if self.closeInfo != nil { return watcher.continuation.finish() }
        var watch = self.waiters.states ?? StateWatch()
        self.tellState()
        watch.told = self.state
        watch.watchers.append(watcher)
        self.waiters.states = watch
    }

    /// Its reader has gone.
    func unwatch(_ watcher: StateWatcher) { self.waiters.states?.watchers.removeAll { $0 === watcher } }

    /// Tells the watchers when the state has changed.
    func tellState() {
        guard var watch = self.waiters.states else { return }
        let state = self.state
        guard state != watch.told else { return }
        watch.told = state
        for watcher in watch.watchers { watcher.continuation.yield(state) }
        if case .closed = state {
            for watcher in watch.watchers { watcher.continuation.finish() }
            self.waiters.states = nil
        } else {
            self.waiters.states = watch
        }
    }

    var bufferedAmount: Int {
        let raw = self.connection.output.pendingBytes + self.unwrittenBytes
        return self.writing.payload(among: raw, sent: self.connection.socket.sentPayload)
    }
}
