// The application's side of a connection, on the event loop: sending, pings, closing, and the waits of its tasks.

package import KHPProtocol
package import NIOCore

extension ConnectionHandler {
    /// The receiver of messages once the socket is open.
    package enum Sink {
        case none
        case inbox(Inbox)
        case handler(any MessageHandler)
    }

    package var isWritable: Bool { !self.hasEnded && self.writing.isChannelWritable }

    package typealias SendOperation = @Sendable (ConnectionHandler) throws(WebSocketError) -> Void

    /// Sends as soon as the channel is writable; at once where the socket closes, so that the operation throws.
    package func whenWritable(
        _ wait: TaskWait,
        _ continuation: UnsafeContinuation<Void, any Error>,
        send: @escaping SendOperation
    ) {
        let sender = BlockedSender(wait: wait, action: .send(send, continuation))
        if let info = self.closeInfo {
            continuation.resume(throwing: WebSocketError.closed(info))
        } else if self.isWritable || self.connection.isClosing {
            sender.perform(on: self)
        } else if wait.isGivenUp {
            continuation.resume(throwing: CancellationError())
        } else {
            self.waiters.add(sender)
        }
    }

    /// True where a group's message can go at once: the peer keeps up, or takes no more in any case, and no message is being
    /// sent in pieces.
    var canSendNow: Bool { (self.isWritable || self.connection.isClosing) && !self.connection.isStreaming }

    /// Calls `body` in its turn among those who wait to send, or when nothing can be sent any more.
    func whenSendable(_ body: @escaping @Sendable () -> Void) {
        self.waiters.add(BlockedSender(wait: TaskWait(), action: .tell(body)))
    }

    /// Adds a membership of a group: the group is told of the end of the socket until the member leaves.
    func enter(_ membership: Membership) { self.waiters.add(membership) }

    func leave(_ membership: Membership) { self.waiters.remove(membership) }

    /// The peer keeps up again: those who wait speak, in their order, as long as it does.
    func resumeSenders() {
        guard self.waiters.hasSenders else { return }
        var senders = self.waiters.takeSenders()
        while self.isWritable, let sender = senders.popFirst() { sender.perform(on: self) }
        self.waiters.putBack(senders)
        if let info = self.closeInfo { self.waiters.failSenders(.closed(info)) }
    }

    /// The number of tasks and groups that wait to send.
    package var waitingSenders: Int { self.waiters.senders.count }

    /// Fails the waits of senders once this side closes.
    func endWaitsOfSenders() {
        guard self.connection.isClosing else { return }
        self.waiters.failSenders(self.connection.closedError)
    }

    package func sendMessage(_ message: WebSocketMessage) throws(WebSocketError) {
        try self.send { connection, now throws(WebSocketError) in try connection.send(message, now: now) }
    }

    @inline(__always)
    package func sendMessage(_ kind: MessageKind, _ payload: ByteBuffer) throws(WebSocketError) {
        try self.send { connection, now throws(WebSocketError) in try connection.send(kind, payload, now: now) }
    }

    /// Sends a message that others get too.
    /// - Parameter flushes: gets the connection where it is to be flushed.
    func sendMessage(_ message: SharedMessage, _ flushes: SharedFlushes) throws(WebSocketError) {
        // Before sending would schedule a flush of its own.
        if self.turn.mustScheduleFlush() { flushes.add(self) }
        try self.send { connection, now throws(WebSocketError) in try connection.send(message, now: now) }
    }

    package func sendMessage(_ message: WebSocketMessage, options: SendOptions) throws(WebSocketError) {
        try self.send { connection, now throws(WebSocketError) in
            try connection.send(message, options: options, now: now)
        }
    }

    package func sendChunk(
        _ chunk: MessageChunk,
        of message: StreamedMessage,
        options: SendOptions = []
    ) throws(WebSocketError) {
        guard chunk.isFirst || !self.isStreamingAnother(message) else {
            throw WebSocketError(.invalidArgument, "The message that this belongs to has ended.", phase: .open)
        }
        try self.send { connection, now throws(WebSocketError) in
            try connection.send(chunk, options: options, now: now)
        }
        if chunk.isFirst { self.writing.streamed = message }
        if chunk.isLast { self.resumeSenders() }
    }

    private func isStreamingAnother(_ message: StreamedMessage) -> Bool {
        self.connection.isStreaming && self.writing.streamed !== message
    }

    @inline(__always)
    private func send(
        _ body: (inout Connection, NIODeadline) throws(WebSocketError) -> Int
    ) throws(WebSocketError) {
        if self.hasEnded, let info = self.closeInfo { throw WebSocketError.closed(info) }
        if self.turn.isConnectionInUse {
            throw WebSocketError(.invalidArgument, "An extension cannot send while it handles a message.", phase: .open)
        }
        self.turn.isConnectionInUse = true
        let pending: Int
        do throws(WebSocketError) {
            pending = try body(&self.connection, self.turn.now)
            self.turn.isConnectionInUse = false
        } catch {
            self.turn.isConnectionInUse = false
            // An extension that failed has ended the connection: only a drive reports that.
            self.flushSoon()
            throw error
        }
        // Small messages of one turn leave together; large ones leave at once, so that writability tells the truth.
        if pending >= 32_768 {
            self.flushNow()
            // An observer's event waits for a drive, and holds the payload until then.
            if self.observesFrames { self.flushSoon() }
        } else {
            self.scheduleFlush()
        }
    }

    // MARK: Revalidation

    func askToRevalidate(_ path: String) throws(WebSocketError) -> Bool {
        var isAsked = false
        try self.send { connection, now throws(WebSocketError) in
            isAsked = try connection.askToRevalidate(path, now: now)
            return connection.output.pendingBytes
        }
        return isAsked
    }

    func moveSessionEnd(to deadline: NIODeadline?) {
        guard !self.hasEnded else { return }
        if self.turn.isConnectionInUse {
            let bound = NIOLoopBound(self, eventLoop: self.eventLoop)
            return self.eventLoop.execute { bound.value.moveSessionEnd(to: deadline) }
        }
        self.tell { connection, _ in connection.moveSessionEnd(to: deadline) }
        // The new end may be nearer than the time for which the timer is set.
        if !self.hasEnded { self.updateTimer() }
    }

    // MARK: Pings and pongs

    package func sendPing(
        _ payload: ByteBuffer?,
        _ wait: TaskWait,
        _ continuation: UnsafeContinuation<Duration, any Error>
    ) {
        if wait.isGivenUp { return continuation.resume(throwing: CancellationError()) }
        if let info = self.closeInfo {
            continuation.resume(throwing: WebSocketError.closed(info))
            return
        }
        do {
            let now = NIODeadline.now()
            let number = try self.connection.ping(payload, now: now)
            self.waiters.add(SentPing(number: number, sent: now, wait: wait, continuation: continuation))
            self.flushSoon()
        } catch {
            continuation.resume(throwing: error)
        }
    }

    package func sendPing(_ payload: ByteBuffer?) throws(WebSocketError) {
        try self.send { connection, now throws(WebSocketError) in
            _ = try connection.ping(payload, now: now)
            return connection.output.pendingBytes
        }
    }

    package func sendPong(_ payload: ByteBuffer) throws(WebSocketError) {
        try self.send { connection, now throws(WebSocketError) in
            try connection.pong(payload, now: now)
            return connection.output.pendingBytes
        }
    }

    func pongReceived(_ number: UInt64, _ payload: ByteBuffer, _ roundTrip: TimeAmount) {
        let duration = Duration.nanoseconds(roundTrip.nanoseconds)
        if self.isObserved { self.delegate?.perform(.event(.pong(roundTrip: duration)), on: self) }
        if case .handler(let handler) = self.sink {
            handler.pongReceived(payload, after: duration, on: EventLoopSocket(self))
        }
        if self.waiters.hasPings { self.waiters.answerPings(upTo: number, at: self.turn.drivenAt) }
    }

    /// Gives up a message that was begun in pieces, if nothing of it has gone out.
    package func takeBackStream(of message: StreamedMessage) -> Bool {
        // Only one that was given up before anything of it had gone out ends before its last piece.
        if self.isStreamingAnother(message) { return true }
        defer { self.flushSoon() }
        guard self.connection.takeBackStream(now: .now()) else { return false }
        self.resumeSenders()
        return true
    }

    // MARK: Closing

    /// Begins the closing handshake; ``whenClosed(_:)`` reports its end.
    package func close(code: WebSocketCloseCode, reason: String) {
        guard self.closeInfo == nil else { return }
        if self.turn.isConnectionInUse {
            let bound = NIOLoopBound(self, eventLoop: self.eventLoop)
            return self.eventLoop.execute { bound.value.close(code: code, reason: reason) }
        }
        self.connection.close(code: code, reason: reason, now: .now())
        if self.waiters.hasSenders { self.endWaitsOfSenders() }
        // Messages that the application does not take must not keep the closing handshake from being read.
        self.flushSoon()
    }

    /// Resumes with the report of the end, once the socket has ended.
    package func whenClosed(_ continuation: UnsafeContinuation<CloseInfo, Never>) {
        if let info = self.ending.settled {
            continuation.resume(returning: info)
        } else {
            self.waiters.add(CloseWaiter.always(continuation))
        }
    }

    /// Resumes with the report of the end, once the socket has ended; with `nil` where the task is cancelled first.
    package func whenClosed(_ wait: TaskWait, _ continuation: UnsafeContinuation<CloseInfo?, Never>) {
        if let info = self.ending.settled {
            continuation.resume(returning: info)
        } else if wait.isGivenUp {
            continuation.resume(returning: nil)
        } else {
            self.waiters.add(CloseWaiter.unless(wait, continuation))
            self.answerCloseThatNobodyHolds()
        }
    }

    /// A task that waited was cancelled.
    package func giveUp(_ wait: TaskWait) { self.waiters.giveUp(wait) }

    package var channel: (any Channel)? { self.context?.channel }
}
