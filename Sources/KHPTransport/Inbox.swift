// Received messages between the event loop and the one task that consumes them: bounded, with back-pressure to the
// socket, and safe to wait on and to cancel from any thread.

package import KHPProtocol
import NIOCore
import Synchronization

package final class Inbox: Sendable {
    private struct State: ~Copyable {
        /// Whole messages are chunks that are first and last.
        var items = MessageQueue()
        var bytes = 0
        var isPaused = false
        /// Whether the consumer has taken a message and not come back for the next.
        var isProcessing = false
        /// Whether the event loop waits for the consumer to come back and find nothing.
        var tellsWhenIdle = false
        var end: CloseInfo?
        var consumer: UnsafeContinuation<MessageChunk?, any Error>?
    }

    private let state = Mutex(State())
    private let highMessages: Int
    private let highBytes: Int
    private let highWhileClosing: Int

    package init(limits: Limits) {
        self.highMessages = max(1, limits.inboundQueueMessages)
        self.highBytes = max(1, limits.inboundQueueBytes)
        self.highWhileClosing = max(self.highMessages, 4096)
    }

    /// Event loop: a message arrived.
    /// - Parameter isClosing: whether this side has begun to close. Then nobody may be left to take messages, and the
    ///   peer's close frame must be read all the same: what does not fit is dropped.
    /// - Returns: whether to stop reading until the consumer has caught up.
    package func push(_ item: MessageChunk, isClosing: Bool) -> Bool {
        var consumer: UnsafeContinuation<MessageChunk?, any Error>?
        let pause = self.state.withLock { state in
            if let waiting = state.consumer {
                consumer = waiting
                state.consumer = nil
                state.isProcessing = true
                return false
            }
            if isClosing && (state.bytes >= self.highBytes || state.items.count >= self.highWhileClosing) {
                return false
            }
            state.bytes += item.bytes.readableBytes
            state.items.append(item)
            if state.items.count >= self.highMessages || state.bytes >= self.highBytes { state.isPaused = true }
            return state.isPaused && !isClosing
        }
        consumer?.resume(returning: item)
        return pause
    }

    /// Event loop: nothing more will arrive. What is queued can still be taken.
    package func finish(_ info: CloseInfo) {
        let consumer = self.state.withLock { state in
            state.end = info
            defer { state.consumer = nil }
            return state.consumer
        }
        Self.resume(consumer, atEnd: info)
    }

    /// Event loop: whether the consumer has messages to take or is at work on one; it then tells when it is done.
    package func isBusy() -> Bool {
        self.state.withLock { state in
            state.tellsWhenIdle = !state.items.isEmpty || state.isProcessing
            return state.tellsWhenIdle
        }
    }

    /// Whether nothing more will arrive.
    package var isFinished: Bool { self.state.withLock { $0.end != nil } }

    private static func resume(_ consumer: UnsafeContinuation<MessageChunk?, any Error>?, atEnd info: CloseInfo) {
        guard let consumer else { return }
        if let error = info.error { consumer.resume(throwing: error) } else { consumer.resume(returning: nil) }
    }

    /// What a consumer finds.
    package enum Found {
        /// The next item; with `drained`, reading may go on.
        case item(MessageChunk, drained: Bool)
        /// Nothing now: `wait`. With `isAwaited`, the event loop waits to be told that nothing is left.
        case nothing(isAwaited: Bool)
        /// Nothing any more: `wait` tells how it ended.
        case end
    }

    /// Consumer: the next item, if there is one now.
    package func take() -> Found {
        self.state.withLock { state in
            if let (item, drained) = self.take(&state) { return .item(item, drained: drained) }
            if state.end != nil { return .end }
            state.isProcessing = false
            defer { state.tellsWhenIdle = false }
            return .nothing(isAwaited: state.tellsWhenIdle)
        }
    }

    /// The first item, and whether reading may go on now that it is gone.
    @inline(__always)
    private func take(_ state: inout State) -> (item: MessageChunk, drained: Bool)? {
        guard let item = state.items.popFirst() else { return nil }
        state.bytes -= item.bytes.readableBytes
        state.isProcessing = true
        guard state.isPaused, state.items.count * 2 <= self.highMessages, state.bytes * 2 <= self.highBytes else {
            return (item, false)
        }
        state.isPaused = false
        return (item, true)
    }

    /// Consumer: waits for the next item; `nil` after a clean close.
    /// - Parameter drained: called when reading may go on.
    /// - Throws: the error that ended the connection, or `CancellationError`.
    nonisolated(nonsending) package func wait(drained: () -> Void) async throws -> MessageChunk? {
        try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { (continuation: UnsafeContinuation<MessageChunk?, any Error>) in
                enum Now { case item(MessageChunk, drained: Bool), end(CloseInfo), cancelled, second, wait }
                let now: Now = self.state.withLock { state in
                    if let (item, drained) = self.take(&state) { return .item(item, drained: drained) }
                    if let end = state.end { return .end(end) }
                    // Checked under the lock: a cancellation after this finds the consumer.
                    if Task.isCancelled { return .cancelled }
                    if state.consumer != nil { return .second }
                    state.consumer = continuation
                    return .wait
                }
                switch now {
                case .item(let item, let isDrained):
                    if isDrained { drained() }
                    continuation.resume(returning: item)
                case .end(let info): Self.resume(continuation, atEnd: info)
                case .cancelled: continuation.resume(throwing: CancellationError())
                case .second:
                    continuation.resume(
                        throwing: WebSocketError(
                            .invalidArgument,
                            "The messages of a socket have one consumer; a second task is already waiting."
                        )
                    )
                case .wait: break
                }
            }
        } onCancel: {
            let consumer = self.state.withLock { state in
                defer { state.consumer = nil }
                return state.consumer
            }
            consumer?.resume(throwing: CancellationError())
        }
    }
}
