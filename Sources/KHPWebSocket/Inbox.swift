// Received messages between the event loop and the one task that consumes them: bounded, with back-pressure to the
// socket, and safe to wait on and to cancel from any thread.

public import KHPProtocol
package import NIOCore
import Synchronization

@usableFromInline
package final class Inbox: Sendable {
    private struct State: ~Copyable {
        /// Whole messages are chunks that are first and last.
        var items = MessageQueue()
        var bytes = 0
        var isPaused = false
        /// True while the consumer has taken a message and not come back for the next.
        var isProcessing = false
        /// The mark of the task that waits for a message, or was the last that did; 0 for none.
        var lastConsumer = 0
        /// True while that task waits for the socket's end instead.
        var isConsumerAway = false
        /// True while the event loop waits for the consumer to come back and find nothing.
        var tellsWhenIdle = false
        var end: CloseInfo?
        /// True once the connection has ended; after what it still hands on there is `end`.
        var isOver = false
        /// True once messages were dropped, because this side closes and nobody takes them.
        var hasLost = false
        /// True once a task has got the end.
        var endWasSeen = false
        var consumer: Consumer?
        /// The pieces of the message that is arriving, where whole messages are taken of a socket that delivers pieces.
        var partial: ReceivedMessage?
        /// True where the consumer that waits is the task in which the socket lives.
        var isConsumerOwner = false
        /// True once that task was cancelled.
        var isOwnerCancelled = false
    }

    /// A task that waits for the next item.
    private enum Consumer {
        case continuation(UnsafeContinuation<Arrival, Never>)
        /// The task in which the socket lives, at the gate.
        case gate
    }

    /// The result of a wait. Without the error that may be behind it, which is many times as large: the memory of a task
    /// that waits is most of what its connection takes.
    @usableFromInline
    package enum Arrival: Sendable {
        case item(MessageChunk)
        /// The connection has ended, and all was taken.
        case end
        /// The waiting task was cancelled.
        case cancelled
        /// Another task waits already.
        case second
    }

    private let state = Mutex(State())
    /// True while something may be queued: where it is not, a consumer need not look before it waits.
    private let mayHaveItems = Atomic(false)
    /// The task in which the socket lives; 0 for none.
    private let owner = Atomic(0)
    private let highMessages: Int
    private let highBytes: Int
    private let highWhileClosing: Int
    /// Where the task in which the socket lives waits; `nil` where no task runs on the connection's event loop.
    package let gate: Gate?

    /// - Parameter tasks: runs the task in which the socket lives, where that is the connection's own.
    package init(limits: Limits, tasks: ConnectionExecutor? = nil) {
        self.gate = tasks.map { Gate(tasks: $0) }
        self.highMessages = max(1, limits.inboundQueueMessages)
        self.highBytes = max(1, limits.inboundQueueBytes)
        self.highWhileClosing = max(self.highMessages, 4096)
    }

    /// Event loop: a message arrived.
    /// - Parameter isClosing: `true` once this side has begun to close. Then nobody may be left to take messages, and
    ///   the peer's close frame must be read all the same: what does not fit is dropped.
    /// - Returns: `true` when reading has to stop until the consumer has caught up.
    package func push(_ item: MessageChunk, isClosing: Bool) -> Bool {
        self.push(item.kind, item.bytes, isFirst: item.isFirst, isLast: item.isLast, isClosing: isClosing)
    }

    /// Event loop: a message arrived, in separate arguments, of which only the bytes have a reference count.
    package func push(
        _ kind: MessageKind,
        _ bytes: ByteBuffer,
        isFirst: Bool = true,
        isLast: Bool = true,
        isClosing: Bool
    ) -> Bool {
        if isFirst && isLast, let gate = self.gate, gate.isWaitedAt, self.leavesGate() {
            gate.open(with: ReceivedMessage(kind: kind, bytes: bytes))
            return false
        }
        return self.pushPastGate(kind, bytes, isFirst: isFirst, isLast: isLast, isClosing: isClosing)
    }

    /// Hands an item to a consumer that waits in any other way, or queues it. A function of its own, since its closure copies
    /// the values that it captures.
    @inline(never)
    private func pushPastGate(
        _ kind: MessageKind,
        _ bytes: ByteBuffer,
        isFirst: Bool,
        isLast: Bool,
        isClosing: Bool
    ) -> Bool {
        var consumer: Consumer?
        let pause = self.state.withLock { state in
            if let waiting = state.consumer {
                consumer = waiting
                state.consumer = nil
                state.isProcessing = true
                guard case .gate = waiting else { return false }
            }
            if isClosing && (state.bytes >= self.highBytes || state.items.count >= self.highWhileClosing) {
                state.hasLost = true
                return false
            }
            state.bytes += bytes.readableBytes
            state.items.append(MessageChunk(kind: kind, bytes: bytes, isFirst: isFirst, isLast: isLast))
            self.mayHaveItems.store(true, ordering: .relaxed)
            if state.items.count >= self.highMessages || state.bytes >= self.highBytes { state.isPaused = true }
            return state.isPaused && !isClosing
        }
        switch consumer {
        case .continuation(let continuation):
            let item = MessageChunk(kind: kind, bytes: bytes, isFirst: isFirst, isLast: isLast)
            continuation.resume(returning: .item(item))
        case .gate:
            // A piece is in the queue, where the others of its message follow.
            self.gate?.open(with: nil)
        case nil:
            break
        }
        return pause
    }

    /// - Returns: true where the task at the gate is the consumer; it is none any more, but at work.
    private func leavesGate() -> Bool {
        self.state.withLock { state in
            guard case .gate = state.consumer else { return false }
            state.consumer = nil
            state.isProcessing = true
            return true
        }
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
        switch consumer {
        case .continuation(let continuation): continuation.resume(returning: .end)
        case .gate: self.gate?.open(with: nil)
        case nil: break
        }
    }

    /// Event loop: the connection has ended, and what had arrived before will still be pushed.
    package func noteOver() { self.state.withLock { $0.isOver = true } }

    /// Event loop: true where the consumer has messages to take or is at work on one; it then calls back when it is done.
    /// False for a consumer that waits for the end, which takes none.
    package func isBusy() -> Bool {
        self.state.withLock { state in
            state.tellsWhenIdle = state.isProcessing || !state.items.isEmpty && !state.isConsumerAway
            return state.tellsWhenIdle
        }
    }

    /// True while there are messages to take, and no task is at work on one, or was when it waited last.
    package var isUntouched: Bool {
        self.state.withLock { !$0.items.isEmpty && !$0.isProcessing && $0.consumer == nil }
    }

    /// True while a task waits for the next item.
    package var isAwaited: Bool { self.state.withLock { $0.consumer != nil } }

    /// The current task waits for the end of the socket. Where it is the consumer, it takes no message until it is back,
    /// and is done with the last.
    /// - Returns: `true` when it is the consumer, so that its return has to be told by ``isBack()``.
    package func waitsForEnd() -> Bool {
        guard let task = Self.currentTask else { return false }
        return self.state.withLock { state in
            guard state.lastConsumer == task else { return false }
            state.isProcessing = false
            state.isConsumerAway = true
            return true
        }
    }

    package func isBack() { self.state.withLock { $0.isConsumerAway = false } }

    /// True once the connection has ended.
    package var isOver: Bool { self.state.withLock { $0.isOver } }

    /// True once nothing more will be pushed.
    package var isFinished: Bool { self.info != nil }

    /// The report of the end, once nothing more will be pushed; `nil` before.
    package var info: CloseInfo? { self.state.withLock { $0.end } }

    /// The messages that wait for the consumer, and their bytes.
    package var queued: (messages: Int, bytes: Int) { self.state.withLock { ($0.items.count, $0.bytes) } }

    /// Event loop: a message was dropped that came after this side had begun to close.
    package func noteLost() { self.state.withLock { $0.hasLost = true } }

    /// True once messages were dropped that came after this side had begun to close.
    package var hasLost: Bool { self.state.withLock { $0.hasLost } }

    /// True once a consumer, or a task that waited for the end, has got it.
    package var endWasSeen: Bool { self.state.withLock { $0.endWasSeen } }

    /// Notes that a task other than the consumer has got the end.
    package func noteEndSeen() { self.state.withLock { $0.endWasSeen = true } }

    /// The error for a task that asks for a message after the last.
    package var closedError: WebSocketError {
        self.state.withLock { state in
            state.end.map { .closed($0) } ?? WebSocketError(.closed, "The socket is closed.", phase: .closing)
        }
    }

    /// Consumer: adds a piece to the message that is arriving.
    /// - Returns: the message, where that was the last piece. The connection holds it to the message limit.
    package func join(_ chunk: MessageChunk) -> ReceivedMessage? {
        self.state.withLock { state in
            // A consumer of pieces may have left in the middle of a message: the rest of it is none.
            guard chunk.isFirst || state.partial != nil else { return nil }
            if chunk.isFirst {
                state.partial = ReceivedMessage(kind: chunk.kind, bytes: chunk.bytes)
            } else {
                state.partial?.bytes.writeImmutableBuffer(chunk.bytes)
            }
            return chunk.isLast ? state.partial.take() : nil
        }
    }

    /// Consumer: takes pieces for itself. What was joined of a message is lost to it.
    package func forgetPart() { self.state.withLock { $0.partial = nil } }

    /// The result of a look into the queue.
    package enum TakeResult {
        /// The next item; with `drained`, reading may go on.
        case item(MessageChunk, drained: Bool)
        /// Nothing now: `wait`. With `isAwaited`, the event loop waits to be told that nothing is left.
        case nothing(isAwaited: Bool)
        /// Nothing any more: `wait` tells how it ended.
        case end
    }

    /// Consumer: the next item, if there is one now.
    @inline(__always)
    package func takeQueued() -> TakeResult? {
        self.mayHaveItems.load(ordering: .relaxed) ? self.take() : nil
    }

    /// Consumer: the next item, or the reason that there is none.
    package func take() -> TakeResult {
        self.state.withLock { state in
            if let (item, drained) = self.take(&state) { return .item(item, drained: drained) }
            if state.end != nil { return .end }
            state.isProcessing = false
            defer { state.tellsWhenIdle = false }
            return .nothing(isAwaited: state.tellsWhenIdle)
        }
    }

    /// Removes the first item. `drained` is true where reading may go on now.
    @inline(__always)
    private func take(_ state: inout State) -> (item: MessageChunk, drained: Bool)? {
        guard let item = state.items.popFirst() else {
            self.mayHaveItems.store(false, ordering: .relaxed)
            return nil
        }
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
    nonisolated(nonsending) package func owned<Result>(_ body: nonisolated(nonsending) () async throws -> Result)
        async rethrows -> Result
    {
        self.state.withLock { $0.isOwnerCancelled = false }
        self.owner.store(Self.currentTask ?? 0, ordering: .relaxed)
        defer { self.owner.store(0, ordering: .relaxed) }
        return try await withTaskCancellationHandler {
            try await body()
        } onCancel: {
            self.cancelOwner()
        }
    }

    /// Identifies the current task by its address, which is only compared.
    private static var currentTask: Int? {
        withUnsafeCurrentTask { $0.map { unsafeBitCast($0, to: Int.self) } }
    }

    private func cancelOwner() {
        self.cancel(
            self.state.withLock { state in
                state.isOwnerCancelled = true
                return state.isConsumerOwner ? state.consumer.take() : nil
            }
        )
    }

    /// Another task was cancelled, whichever waits.
    private func cancelWait(of mark: Int) {
        self.cancel(
            self.state.withLock { state in
                !state.isConsumerOwner && state.lastConsumer == mark ? state.consumer.take() : nil
            }
        )
    }

    private func cancel(_ consumer: Consumer?) {
        switch consumer {
        case .continuation(let continuation): continuation.resume(returning: .cancelled)
        case .gate: self.gate?.openFromAnywhere()
        case nil: break
        }
    }

    /// The item of a wait that is over; `nil` after a clean close.
    /// - Throws: the error that ended the connection, or ``WebSocketError/Code/cancelled``.
    package func item(of arrival: Arrival) throws(WebSocketError) -> MessageChunk? {
        switch arrival {
        case .item(let item):
            return item
        case .end:
            if let error = self.state.withLock({ $0.end?.error }) { throw error }
            return nil
        case .cancelled:
            // The typed form of `CancellationError`.
            throw WebSocketError(.cancelled, "The task that takes the messages was cancelled.")
        case .second:
            throw WebSocketError(
                .invalidArgument,
                "The messages of a socket have one consumer; a second task is already waiting."
            )
        }
    }

    /// The mark of the task in which the socket lives; 0 for none.
    @inline(__always)
    var ownerMark: Int { self.owner.load(ordering: .relaxed) }

    /// Consumer: the gate at which the current task is to wait, at once: the task in which the socket lives, where it runs
    /// as a task of the connection. `nil` for all others, and where there is something to be taken, or told: then
    /// ``wait(_:)`` is to be called. On the event loop only.
    @inline(__always)
    func gateToWaitAt() -> Gate? {
        let mark = self.ownerMark
        guard let gate = self.gate, gate.isReached(by: mark) else { return nil }
        let waits = self.state.withLock { state in
            guard state.consumer == nil, !state.tellsWhenIdle, state.items.isEmpty, state.end == nil,
                !state.isOwnerCancelled
            else { return false }
            state.lastConsumer = mark
            state.consumer = .gate
            state.isConsumerOwner = true
            state.isProcessing = false
            return true
        }
        return waits ? gate : nil
    }

    /// Consumer: waits for the next item.
    /// - Parameter tell: called when reading may go on, with `false`, or when the event loop waits to be told that
    ///   nothing is left, with `true`.
    @inline(__always)
    nonisolated(nonsending) package func wait(_ tell: (_ isIdle: Bool) -> Void) async -> Arrival {
        // Only the owner itself can find its own mark, so no order with other memory is needed.
        if let task = Self.currentTask, task == self.owner.load(ordering: .relaxed) {
            return await self.suspend(isOwner: true, tell)
        }
        return await self.waitUnowned(tell)
    }

    /// A wait of any other task. Apart, so that the owner's frame stays small.
    @inline(never)
    nonisolated(nonsending) private func waitUnowned(_ tell: (_ isIdle: Bool) -> Void) async -> Arrival {
        let mark = Self.currentTask ?? 0
        return await withTaskCancellationHandler {
            await self.suspend(isOwner: false, tell)
        } onCancel: {
            self.cancelWait(of: mark)
        }
    }

    @inline(__always)
    nonisolated(nonsending) private func suspend(isOwner: Bool, _ tell: (_ isIdle: Bool) -> Void) async -> Arrival {
        await withUnsafeContinuation { (continuation: UnsafeContinuation<Arrival, Never>) in
            self.enter(continuation, isOwner: isOwner, tell)
        }
    }

    /// Makes the consumer wait, or resumes it at once.
    @inline(never)
    private func enter(
        _ continuation: UnsafeContinuation<Arrival, Never>,
        isOwner: Bool,
        _ tell: (_ isIdle: Bool) -> Void
    ) {
        enum Now { case go(Arrival, drained: Bool), wait(isAwaited: Bool) }
        let mark = isOwner ? self.ownerMark : Self.currentTask ?? 0
        let now: Now = self.state.withLock { state in
            if let (item, drained) = self.take(&state) {
                state.lastConsumer = mark
                return .go(.item(item), drained: drained)
            }
            if state.end != nil {
                state.endWasSeen = true
                return .go(.end, drained: false)
            }
            // Checked under the lock: a cancellation after this finds the consumer.
            if isOwner ? state.isOwnerCancelled : Task.isCancelled { return .go(.cancelled, drained: false) }
            if state.consumer != nil { return .go(.second, drained: false) }
            state.lastConsumer = mark
            state.consumer = .continuation(continuation)
            state.isConsumerOwner = isOwner
            state.isProcessing = false
            defer { state.tellsWhenIdle = false }
            return .wait(isAwaited: state.tellsWhenIdle)
        }
        switch now {
        case .go(let arrival, let drained):
            if drained { tell(false) }
            continuation.resume(returning: arrival)
        case .wait(let isAwaited):
            if isAwaited { tell(true) }
        }
    }
}
