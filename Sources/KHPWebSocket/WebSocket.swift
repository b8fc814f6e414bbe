// The open socket as applications hold it, client and server alike.

public import KHPProtocol
public import NIOCore

/// An open WebSocket: both handshakes are complete.
///
/// ```swift
/// for try await message in socket.messages { try await socket.send(message) }
/// ```
///
/// It can be used from any task. Messages are taken by one consumer; sending is ordered per caller, and each message is
/// whole whoever else sends at the same time.
public final class WebSocket: Sendable {
    /// The outcome of both handshakes.
    public let negotiated: HandshakeSummary
    /// The peer's address, as `host:port`.
    public var peer: String { self.address?.peerName ?? "" }

    private let address: SocketAddress?
    /// Touched on `eventLoop` only; each use is behind a check of its own, where `NIOLoopBound` would check once more.
    nonisolated(unsafe) let handler: ConnectionHandler
    let eventLoop: any EventLoop
    let inbox: Inbox

    package init(handler: ConnectionHandler, inbox: Inbox, negotiated: HandshakeSummary, address: SocketAddress?) {
        self.handler = handler
        self.eventLoop = handler.eventLoop
        self.inbox = inbox
        self.negotiated = negotiated
        self.address = address
    }

    deinit {
        guard !self.inbox.isFinished else { return }
        nonisolated(unsafe) let handler = self.handler
        self.eventLoop.execute { handler.abandoned() }
    }

    /// Runs `body` in the task in which the socket lives, where waiting for messages costs least.
    nonisolated(nonsending) package func withOwner<Result>(
        _ body: nonisolated(nonsending) (WebSocket) async throws -> Result
    ) async throws -> Result {
        do {
            return try await self.inbox.owned { try await body(self) }
        } catch let error as WebSocketError where error.code == .cancelled && Task.isCancelled {
            // A sequence has one type of error, and the task ends with the one that says so everywhere.
            throw CancellationError()
        }
    }

    // MARK: Receiving

    /// The messages in order. Ends after a clean close, whatever its code: see ``closed()``; throws the
    /// ``WebSocketError`` that ended the connection otherwise. Nothing is read from the peer while the consumer falls
    /// behind by more than the inbound limits.
    ///
    /// There is one consumer at a time: a second one that waits gets ``WebSocketError/Code/invalidArgument``. One that
    /// stops, or is cancelled, can be followed by another. The sequence throws nothing but ``WebSocketError``, so a
    /// cancelled task gets ``WebSocketError/Code/cancelled`` from it, where methods throw `CancellationError`.
    public var messages: WebSocketMessages { WebSocketMessages(socket: self) }

    /// The pieces of messages as they arrive, for a socket configured with ``MessageDelivery/chunks``.
    public var chunks: WebSocketChunks { WebSocketChunks(socket: self) }

    /// The next message, for those who ask and then wait for the answer: ``messages`` without a loop.
    ///
    /// A task that is cancelled takes no message; the next call does.
    /// - Throws: ``WebSocketError/Code/closed`` after a clean close, the ``WebSocketError`` that ended the connection
    ///   otherwise, and `CancellationError` when the task is cancelled while it waits.
    nonisolated(nonsending) public func receive() async throws -> WebSocketMessage {
        do throws(WebSocketError) {
            if let message = try await self.nextMessage() { return message }
        } catch {
            if error.code == .cancelled, Task.isCancelled { throw CancellationError() }
            throw error
        }
        throw self.inbox.closedError
    }

    /// The next message; `nil` after a clean close.
    nonisolated(nonsending) func nextMessage() async throws(WebSocketError) -> WebSocketMessage? {
        if let message = self.takeMessage() { return message }
        if let gate = self.gate(), let message = await gate.pass() { return message }
        return try self.message(of: await self.waitForMessage())
    }

    /// The result of a wait for a message, without the error that may be behind it.
    @usableFromInline
    enum Arrival: Sendable {
        case message(WebSocketMessage)
        case end
        case cancelled
        case second
    }

    @usableFromInline
    func message(of arrival: Arrival) throws(WebSocketError) -> WebSocketMessage? {
        switch arrival {
        case .message(let message): return message
        case .end: _ = try self.inbox.item(of: .end)
        case .cancelled: _ = try self.inbox.item(of: .cancelled)
        case .second: _ = try self.inbox.item(of: .second)
        }
        return nil
    }

    /// The next message, if it is there whole.
    @usableFromInline
    func takeMessage() -> WebSocketMessage? {
        while let item = self.takeItem() {
            if let message = self.message(in: item) { return message }
        }
        return nil
    }

    /// The gate at which the current task is to wait; see ``Inbox/gateToWaitAt()``.
    @usableFromInline
    func gate() -> Gate? { self.eventLoop.inEventLoop ? self.inbox.gateToWaitAt() : nil }

    /// The end of a wait: a message, or `nil` where the one that was begun is not complete.
    @usableFromInline
    func message(after arrival: Inbox.Arrival) -> Arrival? {
        switch arrival {
        case .item(let item): (self.message(in: item) ?? self.takeMessage()).map { .message($0) }
        case .end: .end
        case .cancelled: .cancelled
        case .second: .second
        }
    }

    /// Waits for the next message; `nil` after a clean close.
    @usableFromInline
    nonisolated(nonsending) func waitForMessage() async -> Arrival {
        while true {
            let arrival = await self.inbox.wait { self.caughtUp(isIdle: $0) }
            if let result = self.message(after: arrival) { return result }
        }
    }

    /// The message that ends with `item`. Pieces, on a socket configured for them, are joined up to the message limit.
    private func message(in item: MessageChunk) -> WebSocketMessage? {
        if item.isFirst && item.isLast { return ReceivedMessage(kind: item.kind, bytes: item.bytes).message }
        return self.inbox.join(item)?.message
    }

    /// The next message or piece, if there is one now; otherwise `waitForItem`. What needs no waiting is kept out of
    /// asynchronous functions, since calling one costs as much as decoding a frame.
    func takeItem() -> MessageChunk? {
        switch self.inbox.takeQueued() {
        case .item(let item, let drained):
            if drained { self.caughtUp(isIdle: false) }
            return item
        case .nothing(let isAwaited):
            if isAwaited { self.caughtUp(isIdle: true) }
            return nil
        case .end, nil:
            return nil
        }
    }

    /// Waits for the next message or piece; `nil` after a clean close.
    nonisolated(nonsending) func waitForItem() async throws(WebSocketError) -> MessageChunk? {
        let arrival = await self.inbox.wait { self.caughtUp(isIdle: $0) }
        return try self.inbox.item(of: arrival)
    }

    /// Has the event loop read on.
    private func caughtUp(isIdle: Bool) {
        let inbox = self.inbox
        self.onEventLoop {
            $0.caughtUp(isIdle: isIdle)
        } orElse: {
            // The event loop is shut down: no handler would report the end.
            if !inbox.isFinished { inbox.finish(.ofLoop) }
        }
    }

    // MARK: Sending

    /// Sends a text message.
    /// - Throws: ``WebSocketError`` when the socket is closed.
    nonisolated(nonsending) public func send(_ text: String) async throws {
        try await self.send(.text(text))
    }

    /// Sends a binary message.
    /// - Throws: ``WebSocketError`` when the socket is closed, and with the code
    ///   ``WebSocketError/Code/invalidArgument`` in a dialect without binary messages.
    nonisolated(nonsending) public func send(_ bytes: ByteBuffer) async throws {
        try await self.send(.binary(bytes))
    }

    /// Sends a message. Waits while the peer does not keep up, that is while more waits to be written than the send
    /// buffer's high-water mark, and returns when the message is queued. What was accepted is not lost by a proper
    /// `close`; a task that waits when the socket begins to close gets its error at once.
    ///
    /// A message whose `send` throws has not been sent, and will not be.
    /// - Throws: ``WebSocketError/Code/closed`` when the socket is closing or closed,
    ///   ``WebSocketError/Code/invalidArgument`` while another message is being streamed, what an extension refuses the
    ///   message with, and `CancellationError` when the task is cancelled while it waits.
    @inlinable
    @inline(__always)
    nonisolated(nonsending) public func send(_ message: WebSocketMessage) async throws {
        // A message that need not wait needs no asynchronous call either.
        switch try self.sendAtOnce(message) {
        case .sent: return
        case .notNow: try await self.sendLater(message)
        }
    }

    /// Sends a message with options, such as not to compress it.
    /// - Throws: as the plain form.
    nonisolated(nonsending) public func send(_ message: WebSocketMessage, options: SendOptions) async throws {
        try await self.sendWhenWritable { handler throws(WebSocketError) in
            try handler.sendMessage(message, options: options)
        }
    }

    @usableFromInline
    enum Sending {
        case sent
        /// This is not the event loop, or the peer does not keep up.
        case notNow
    }

    @usableFromInline
    func sendAtOnce(_ message: WebSocketMessage) throws -> Sending {
        guard self.eventLoop.inEventLoop, self.handler.isWritable else { return .notNow }
        if case .binary(let bytes) = message {
            try self.handler.sendMessage(.binary, bytes)
        } else {
            try self.handler.sendMessage(message)
        }
        return .sent
    }

    @usableFromInline
    nonisolated(nonsending) func sendLater(_ message: WebSocketMessage) async throws {
        try await self.sendWhenWritable { handler throws(WebSocketError) in try handler.sendMessage(message) }
    }

    /// Sends one message in pieces, so that it is never whole in memory.
    ///
    /// No other message can be sent until `body` returns; text may be cut anywhere but must be valid UTF-8 as a whole.
    /// In ``Dialect/hixie75`` and ``Dialect/hixie76`` text alone can be sent so; in ``Dialect/whatwg2010`` nothing can,
    /// since its frames begin with their length. Where the peer or an extension takes whole messages only, the pieces are
    /// collected up to the message limit.
    /// - Parameters:
    ///   - kind: text or binary.
    ///   - options: how it is to be sent. Where it is compressed, the peer can read each write at once; few large pieces
    ///     compress better than many small ones.
    ///   - body: writes the pieces.
    /// - Throws: ``WebSocketError`` when the socket is closed, ``WebSocketError/Code/invalidArgument`` where the dialect
    ///   cannot, ``WebSocketError/Code/messageTooBig`` for more than can be collected, `CancellationError` when the task
    ///   is cancelled while it waits for the peer to keep up; and what `body` throws. Once a part of the message has gone
    ///   out, that closes the socket with 1011, since half a message cannot be taken back; before, it leaves the socket as
    ///   it was.
    nonisolated(nonsending) public func stream(
        _ kind: MessageKind,
        options: SendOptions = [],
        _ body: (MessageStream) async throws -> Void
    ) async throws {
        let message = StreamedMessage()
        try await self.sendChunk(
            MessageChunk(kind: kind, bytes: ByteBuffer(), isFirst: true, isLast: false),
            of: message,
            options: options
        )
        do {
            try await body(MessageStream(socket: self, kind: kind, message: message))
            let end = MessageChunk(kind: kind, bytes: ByteBuffer(), isFirst: false, isLast: true)
            try await self.sendChunk(end, of: message)
        } catch {
            if await !self.onHandler({ $0.takeBackStream(of: message) }, orElse: false) {
                _ = try? await self.close(code: .internalError, reason: "a streamed message was abandoned")
            }
            throw error
        }
    }

    nonisolated(nonsending) func sendChunk(
        _ chunk: MessageChunk,
        of message: StreamedMessage,
        options: SendOptions = []
    ) async throws {
        try await self.sendWhenWritable { handler throws(WebSocketError) in
            try handler.sendChunk(chunk, of: message, options: options)
        }
    }

    /// Sends once the peer keeps up.
    nonisolated(nonsending) private func sendWhenWritable(_ body: @escaping ConnectionHandler.SendOperation)
        async throws
    {
        if self.eventLoop.inEventLoop, self.handler.isWritable { return try body(self.handler) }
        let inbox = self.inbox
        try await self.waiting { wait in
            try await withUnsafeThrowingContinuation { (continuation: UnsafeContinuation<Void, any Error>) in
                self.onEventLoop {
                    $0.whenWritable(wait, continuation, send: body)
                } orElse: {
                    continuation.resume(throwing: inbox.closedError)
                }
            }
        }
    }

    /// A wait that ends when the task is cancelled.
    nonisolated(nonsending) private func waiting<Result>(
        _ body: nonisolated(nonsending) (TaskWait) async throws -> Result
    ) async rethrows -> Result {
        let wait = TaskWait()
        return try await withTaskCancellationHandler {
            try await body(wait)
        } onCancel: {
            wait.giveUp()
            self.onEventLoop { $0.giveUp(wait) }
        }
    }

    // MARK: Pings

    /// Sends a ping and waits for its pong (RFC 6455 section 5.5.2), or for that of a later ping, which answers all before
    /// it. Of several pings with the same payload each pong answers the oldest.
    /// - Parameter payload: at most 125 bytes; by default a number that no other ping of this socket has.
    /// - Returns: the round-trip time.
    /// - Throws: ``WebSocketError`` when the socket closes first, ``WebSocketError/Code/invalidArgument`` for a longer
    ///   payload and in the dialects before RFC 6455, which have no pings, `CancellationError` when the task is cancelled:
    ///   the ping may have gone out by then.
    nonisolated(nonsending) public func ping(_ payload: ByteBuffer? = nil) async throws -> Duration {
        let inbox = self.inbox
        return try await self.waiting { wait in
            try await withUnsafeThrowingContinuation { continuation in
                self.onEventLoop {
                    $0.sendPing(payload, wait, continuation)
                } orElse: {
                    continuation.resume(throwing: inbox.closedError)
                }
            }
        }
    }

    /// Sends a pong that nobody asked for (RFC 6455 section 5.5.3): a sign of life, which is not answered. The peer's pings
    /// are answered without it.
    /// - Parameter payload: at most 125 bytes.
    /// - Throws: as ``send(_:)-(WebSocketMessage)``, and ``WebSocketError/Code/invalidArgument`` for a longer payload and in
    ///   the dialects before RFC 6455.
    nonisolated(nonsending) public func pong(_ payload: ByteBuffer = ByteBuffer()) async throws {
        try await self.sendWhenWritable { handler throws(WebSocketError) in try handler.sendPong(payload) }
    }

    // MARK: Closing

    /// Closes the socket: everything sent before leaves first, then the closing handshake runs, bounded by the close
    /// timeout.
    ///
    /// From its beginning nothing more can be sent: tasks that wait to send get ``WebSocketError/Code/closed``. It is not
    /// cut short when the task is cancelled.
    ///
    /// The dialects before RFC 6455 carry neither code nor reason.
    ///
    /// Messages that are under way still arrive, but none after a close with 1008
    /// (``WebSocketCloseCode/policyViolation``), which takes the peer's right to be heard, as the end of a session does.
    /// - Parameters:
    ///   - code: 1000 to 1014 without the reserved ones, or 3000 to 4999.
    ///   - reason: at most 123 bytes of UTF-8.
    /// - Returns: how it ended, also when it was closed already.
    /// - Throws: ``WebSocketError/Code/invalidArgument`` for a code or reason that must not go on the wire.
    @discardableResult
    nonisolated(nonsending) public func close(
        code: WebSocketCloseCode = .normalClosure,
        reason: String = ""
    ) async throws -> CloseInfo {
        guard code.isValidOnWire else {
            throw WebSocketError(
                .invalidArgument,
                "Close code \(code.rawValue) must not be sent; use 1000, 1001 or 3000 to 4999."
            )
        }
        guard reason.utf8.count <= 123 else {
            throw WebSocketError(
                .invalidArgument,
                "The close reason has \(reason.utf8.count) bytes of UTF-8; at most 123 fit a close frame."
            )
        }
        return await self.end {
            $0.close(code: code, reason: reason)
            $0.resumeReading()
        }
    }

    /// Waits until the socket has closed, whoever closes it: also while messages that had arrived are still to be taken.
    ///
    /// The peer's close is answered once the messages before it have been taken, at the latest after
    /// `timeouts.closeHold`. A task that has waited for messages and now waits here takes none, so it keeps nobody waiting;
    /// and where no task has begun to take messages, none is waited for longer than a tenth of a second. Messages that
    /// nobody has taken stay to be taken behind the end.
    ///
    /// Nothing is read from a peer whose messages fill the queue for them, its close frame neither: its end is noticed
    /// when it ends the stream.
    /// - Returns: how it ended.
    /// - Throws: `CancellationError` when the task is cancelled while it waits; the socket goes on.
    nonisolated(nonsending) public func closed() async throws(CancellationError) -> CloseInfo {
        let isConsumer = self.inbox.waitsForEnd()
        defer { if isConsumer { self.inbox.isBack() } }
        let inbox = self.inbox
        let end = await self.waiting { wait in
            await withUnsafeContinuation { continuation in
                self.onEventLoop {
                    $0.whenClosed(wait, continuation)
                } orElse: {
                    continuation.resume(returning: inbox.info ?? .ofLoop)
                }
            }
        }
        guard let end else { throw CancellationError() }
        if self.inbox.isOver { self.inbox.noteEndSeen() }
        return end
    }

    /// Waits until the socket has closed; a task that is cancelled closes it with 1001, and waits for that.
    nonisolated(nonsending) package func closedOrCancelled() async -> CloseInfo {
        await withTaskCancellationHandler {
            await self.end { _ in }
        } onCancel: {
            self.onEventLoop { $0.abandoned() }
        }
    }

    /// Does something, and waits for the socket's end whatever becomes of the task.
    nonisolated(nonsending) private func end(_ first: @escaping @Sendable (ConnectionHandler) -> Void) async
        -> CloseInfo
    {
        let inbox = self.inbox
        return await withUnsafeContinuation { continuation in
            self.onEventLoop {
                first($0)
                $0.whenClosed(continuation)
            } orElse: {
                continuation.resume(returning: inbox.info ?? .ofLoop)
            }
        }
    }

    /// True once the connection has ended.
    package var hasEnded: Bool { self.inbox.isOver }

    /// True once messages that came after this side had begun to close were dropped: they found no room, or it closed with 1008.
    ///
    /// A relay looks at it once ``closed()`` has returned: after a loss, the stream behind it must not end as if all had
    /// arrived.
    public var hasLostMessages: Bool { self.inbox.hasLost }

    /// True once the socket has ended, and ``messages``, ``chunks`` or ``closed()`` has reported that.
    package var endWasSeen: Bool { self.inbox.endWasSeen }

    /// Drops the connection at once, without a closing handshake.
    package func abort() {
        self.onEventLoop { $0.abort() }
    }

    func onEventLoop(_ body: @escaping @Sendable (ConnectionHandler) -> Void) {
        if self.eventLoop.inEventLoop {
            body(self.handler)
        } else {
            self.eventLoop.execute { body(self.handler) }
        }
    }

    /// Runs a body that a task waits for.
    /// - Parameter orElse: runs in its place where the event loop is shut down.
    func onEventLoop(
        _ body: @escaping @Sendable (ConnectionHandler) -> Void,
        orElse: @escaping @Sendable () -> Void
    ) {
        if self.eventLoop.inEventLoop {
            body(self.handler)
        } else {
            self.eventLoop.execute({ body(self.handler) }, orElse: orElse)
        }
    }
}

extension CloseInfo {
    /// The end of a socket whose event loop was shut down before the socket reported its end.
    static var ofLoop: CloseInfo {
        let error = WebSocketError(.closed, "The event loop was shut down.", closeCode: .abnormal, phase: .closing)
        return CloseInfo(code: .abnormal, reason: "", clean: false, initiator: .local, error: error)
    }
}

extension WebSocket: CustomReflectable {
    /// The negotiation alone. The rest changes on the event loop, and is not to be looked at from elsewhere.
    public var customMirror: Mirror { Mirror(self, children: ["negotiated": self.negotiated]) }
}
