// Received messages between the event loop and the one task that consumes them: bounded, with back-pressure to the
// socket, and safe to wait on and to cancel from any thread.

package import KHPProtocol
package import NIOCore
import Synchronization

package final class Inbox: Sendable {
    private struct State: ~Copyable {
        /// Whole messages are chunks that are first and last.
        var items = MessageQueue()
        var bytes = 0
        var isPaused = false
        /// True while the consumer has taken a message and not come back for the next.
        var isProcessing = false
        /// True while the event loop waits for the consumer to come back and find nothing.
        var tellsWhenIdle = false
        var end: CloseInfo?
        /// True once the connection has ended; behind what it still hands on there is `end`.
        var isOver = false
        /// True once messages were dropped, because this side closes and nobody takes them.
        var hasLost = false
        /// True once somebody was told of the end.
        var endWasSeen = false
        var consumer: UnsafeContinuation<Received, Never>?
        /// The pieces of the message that is arriving, where whole messages are taken of a socket that delivers pieces.
        var partial: ReceivedMessage?
        /// True where the consumer that waits is the task in which the socket lives.
        var isConsumerOwner = false
    }

    /// The result of a wait: typed, which a continuation that throws is not.
    private typealias Received = Result<MessageChunk?, WebSocketError>

    private let state = Mutex(State())
    /// The task in which the socket lives; 0 for none.
    private let owner = Atomic(0)
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
        self.push(item.kind, item.bytes, isFirst: item.isFirst, isLast: item.isLast, isClosing: isClosing)
    }

    /// The same in parts, of which only the bytes are counted references: a closure copies what it captures.
    package func push(
        _ kind: MessageKind,
        _ bytes: ByteBuffer,
        isFirst: Bool = true,
        isLast: Bool = true,
        isClosing: Bool
    ) -> Bool {
        var consumer: UnsafeContinuation<Received, Never>?
        let pause = self.state.withLock { state in
            if let waiting = state.consumer {
                consumer = waiting
                state.consumer = nil
                state.isProcessing = true
                return false
            }
            if isClosing && (state.bytes >= self.highBytes || state.items.count >= self.highWhileClosing) {
                state.hasLost = true
                return false
            }
            state.bytes += bytes.readableBytes
            state.items.append(MessageChunk(kind: kind, bytes: bytes, isFirst: isFirst, isLast: isLast))
            if state.items.count >= self.highMessages || state.bytes >= self.highBytes { state.isPaused = true }
            return state.isPaused && !isClosing
        }
        consumer?.resume(returning: .success(MessageChunk(kind: kind, bytes: bytes, isFirst: isFirst, isLast: isLast)))
        return pause
    }

    /// Event loop: nothing more will arrive. What is queued can still be taken.
    package func finish(_ info: CloseInfo) {
        let consumer = self.state.withLock { state in
            state.end = info
            state.isOver = true
            state.endWasSeen = state.endWasSeen || state.consumer != nil
            defer { state.consumer = nil }
            return state.consumer
        }
        consumer?.resume(returning: Self.received(atEnd: info))
    }

    /// Event loop: the connection has ended, and what had arrived before will still be pushed.
    package func noteOver() { self.state.withLock { $0.isOver = true } }

    /// Event loop: whether the consumer has messages to take or is at work on one; it then tells when it is done.
    package func isBusy() -> Bool {
        self.state.withLock { state in
            state.tellsWhenIdle = !state.items.isEmpty || state.isProcessing
            return state.tellsWhenIdle
        }
    }

    /// True once the connection has ended.
    package var isOver: Bool { self.state.withLock { $0.isOver } }

    /// True once nothing more will be pushed.
    package var isFinished: Bool { self.state.withLock { $0.end != nil } }

    /// How much waits for the consumer.
    package var queued: (messages: Int, bytes: Int) { self.state.withLock { ($0.items.count, $0.bytes) } }

    /// True once messages were dropped that came after this side had begun to close.
    package var hasLost: Bool { self.state.withLock { $0.hasLost } }

    /// True once a consumer, or whoever waited for it, has met the end.
    package var endWasSeen: Bool { self.state.withLock { $0.endWasSeen } }

    /// Somebody else has met the end.
    package func noteEndSeen() { self.state.withLock { $0.endWasSeen = true } }

    private static func received(atEnd info: CloseInfo) -> Received {
        if let error = info.error { .failure(error) } else { .success(nil) }
    }

    /// The error of whoever asks for one more message behind the last.
    package var closedError: WebSocketError {
        self.state.withLock { state in
            state.end.map { .closed($0) } ?? WebSocketError(.closed, "The socket is closed.", phase: .closing)
        }
    }

    /// Consumer: adds a piece to the message that is arriving.
    /// - Returns: the message, where that was the last piece. The connection holds it to the message limit.
    package func join(_ chunk: MessageChunk) -> ReceivedMessage? {
        self.state.withLock { state in
            // A consumer of pieces may have left in the middle of a message: the next one begins anew.
            if chunk.isFirst || state.partial == nil {
                state.partial = ReceivedMessage(kind: chunk.kind, bytes: chunk.bytes)
            } else {
                state.partial?.bytes.writeImmutableBuffer(chunk.bytes)
            }
            return chunk.isLast ? state.partial.take() : nil
        }
    }

    /// The result of a look into the queue.
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

    // MARK: Waiting

    /// Runs `body`, the task in which the socket lives. Waiting within it needs no cancellation handler each time, which
    /// costs as much as ten small messages: the one installed here does for all.
    nonisolated(nonsending) package func owned<Result>(_ body: () async throws -> Result) async rethrows -> Result {
        self.owner.store(Self.currentTask ?? 0, ordering: .relaxed)
        defer { self.owner.store(0, ordering: .relaxed) }
        return try await withTaskCancellationHandler {
            try await body()
        } onCancel: {
            self.cancel(isOwner: true)
        }
    }

    /// The mark that tells the current task from all others that live: its address, which is only ever compared.
    private static var currentTask: Int? {
        withUnsafeCurrentTask { $0.map { unsafeBitCast($0, to: Int.self) } }
    }

    private func cancel(isOwner: Bool) {
        let consumer = self.state.withLock { state in
            state.isConsumerOwner == isOwner ? state.consumer.take() : nil
        }
        consumer?.resume(returning: .failure(Self.cancelled))
    }

    /// The typed form of `CancellationError`.
    private static let cancelled = WebSocketError(.cancelled, "The task that takes the messages was cancelled.")

    /// Consumer: waits for the next item; `nil` after a clean close.
    /// - Parameter drained: called when reading may go on.
    /// - Throws: the error that ended the connection, or ``WebSocketError/Code/cancelled``.
    @inline(__always)
    nonisolated(nonsending) package func wait(drained: () -> Void) async throws(WebSocketError) -> MessageChunk? {
        // Only the owner itself can find its own mark, so no order with other memory is needed.
        if let task = Self.currentTask, task == self.owner.load(ordering: .relaxed) {
            return try await self.suspend(isOwner: true, drained: drained).get()
        }
        return try await self.waitUnowned(drained: drained)
    }

    /// A wait of any other task. Apart, so that the owner's frame stays small.
    @inline(never)
    nonisolated(nonsending) private func waitUnowned(drained: () -> Void) async throws(WebSocketError) -> MessageChunk?
    {
        try await withTaskCancellationHandler {
            await self.suspend(isOwner: false, drained: drained)
        } onCancel: {
            self.cancel(isOwner: false)
        }.get()
    }

    @inline(__always)
    nonisolated(nonsending) private func suspend(isOwner: Bool, drained: () -> Void) async -> Received {
        await withUnsafeContinuation { (continuation: UnsafeContinuation<Received, Never>) in
            enum Now { case item(MessageChunk, drained: Bool), end(CloseInfo), cancelled, second, wait }
            let now: Now = self.state.withLock { state in
                if let (item, drained) = self.take(&state) { return .item(item, drained: drained) }
                if let end = state.end {
                    state.endWasSeen = true
                    return .end(end)
                }
                // Checked under the lock: a cancellation after this finds the consumer.
                if Task.isCancelled { return .cancelled }
                if state.consumer != nil { return .second }
                state.consumer = continuation
                state.isConsumerOwner = isOwner
                return .wait
            }
            switch now {
            case .item(let item, let isDrained):
                if isDrained { drained() }
                continuation.resume(returning: .success(item))
            case .end(let info): continuation.resume(returning: Self.received(atEnd: info))
            case .cancelled: continuation.resume(returning: .failure(Self.cancelled))
            case .second:
                let error = WebSocketError(
                    .invalidArgument,
                    "The messages of a socket have one consumer; a second task is already waiting."
                )
                continuation.resume(returning: .failure(error))
            case .wait: break
            }
        }
    }
}
