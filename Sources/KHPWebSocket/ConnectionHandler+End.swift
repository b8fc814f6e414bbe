// The end of a connection: waiting tasks are resumed at once, the transport is closed as soon as the written bytes have left,
// and messages that had arrived stay for the application.

package import KHPProtocol
package import NIOCore

/// The bounds on the end of a transport, whatever the peer does.
package struct EndTimeouts: Sendable {
    /// The time for a peer that takes none of the written bytes. Then the connection is reset, so that the peer sees that
    /// bytes are missing.
    package var flush = TimeAmount.seconds(10)
    /// The time for a peer that was refused and is still sending.
    package var linger = TimeAmount.seconds(1)
    /// The time for the peer's close notification of TLS, once all bytes and this side's notification have left. A peer may
    /// leave it out (RFC 8446 section 6.1), and after both close frames it means nothing.
    package var goodbye = TimeAmount.seconds(1)

    package init() {}
}

extension ConnectionHandler {
    /// The transport's way from its start to its end.
    package struct Ending {
        /// True once bytes can be exchanged.
        private(set) var hasStarted = false
        /// True once the peer has ended its stream of TCP.
        package private(set) var isInputOver = false
        /// How the connection ended, once it has.
        private(set) var info: CloseInfo?
        /// True while what was sent is still leaving after an end that nothing of the peer's confirms.
        private(set) var isLeaving = false
        /// How long the end waits for what is still to be written, and for a peer that is still sending.
        package var timeouts = EndTimeouts()

        /// How the connection ended, once nothing can change that any more.
        var settled: CloseInfo? { self.isLeaving ? nil : self.info }

        mutating func start() { self.hasStarted = true }

        mutating func inputIsOver() { self.isInputOver = true }

        mutating func end(_ info: CloseInfo) { self.info = info }

        mutating func beginLeaving() { self.isLeaving = true }

        /// All that was sent has left, or never will.
        mutating func endLeaving(isWhole: Bool) {
            self.isLeaving = false
            if isWhole { return }
            self.info?.clean = false
            self.info?.error = WebSocketError(
                .timeout,
                "The peer did not take all that was sent before the close.",
                phase: .closing
            )
        }
    }

    package var closeInfo: CloseInfo? { self.ending.info }

    var hasEnded: Bool { self.ending.info != nil }

    /// - Parameter action: the action that tells of this end, where there is one.
    func finish(_ info: CloseInfo, _ action: ConnectionAction? = nil) {
        guard !self.hasEnded else { return }
        self.ending.end(info)
        self.tellState()
        self.flushNow()
        self.endTimer()
        self.writing.forgetStall()
        self.delegate?.perform(action ?? .closed(info), on: self)
        let wasPaused = self.reading.isPaused
        switch self.sink {
        case .inbox(let inbox) where self.connection.hasUnread:
            inbox.noteOver()
            if !wasPaused { self.deliverUnread() }
        case .inbox(let inbox):
            self.sink = .none
            inbox.finish(info)
        case .handler(let handler):
            self.sink = .none
            // It cannot take them later.
            while let action = self.nextUnread() {
                switch action {
                case .message(_, let payload) where !self.handsOn(payload.readableBytes): break
                case .chunk(let chunk) where !self.handsOn(chunk.bytes.readableBytes): break
                case .message(let kind, let payload):
                    handler.received(ReceivedMessage(kind: kind, bytes: payload), on: EventLoopSocket(self))
                case .chunk(let chunk):
                    handler.received(chunk, on: EventLoopSocket(self))
                default:
                    break
                }
            }
            handler.closed(info)
        case .none:
            self.connection.dropUnread()
        }
        // A group is told that its member's wait is over, too: then it has none any more.
        if self.waiters.hasMemberships { self.leaveGroups() }
        if self.waiters.hasSenders || self.waiters.hasPings { self.failWaits(.closed(info)) }
        if self.leavesBehindTheEnd(info) { self.ending.beginLeaving() } else { self.tellClosed() }
        if self.turn.isBursting {
            // The end of this burst may never be told: a channel that closes while it reads completes no read.
            self.turn.endBurst()
            self.tasks?.abandonBurst()
        }
        self.endTransport(lingering: self.connection.shouldLinger)
    }

    @inline(never)
    private func failWaits(_ failure: WebSocketError) {
        self.waiters.failSenders(failure)
        self.waiters.failPings(failure)
    }

    @inline(never)
    private func leaveGroups() {
        for membership in self.waiters.takeMemberships() { membership.shard.remove(membership.id) }
    }

    private func tellClosed() {
        if self.waiters.hasCloseWaiters, let info = self.closeInfo { self.waiters.tellClosed(info) }
    }

    /// In hixie-75 nothing of the peer's confirms an end: it is one when all that was sent has left.
    private func leavesBehindTheEnd(_ info: CloseInfo) -> Bool {
        self.connection.link.codec.abilities.contains(.nothingElseEnds) && info.clean && self.ending.hasStarted
            && !self.connection.socket.hasStalled
            && self.context?.channel.isActive == true && self.unwrittenBytes > 0
    }

    private func haveLeft(_ isWhole: Bool) {
        guard self.ending.isLeaving else { return }
        self.ending.endLeaving(isWhole: isWhole)
        self.tellClosed()
    }

    // MARK: Bytes that had arrived

    private func nextUnread() -> ConnectionAction? {
        self.turn.isConnectionInUse = true
        defer { self.turn.isConnectionInUse = false }
        return self.connection.nextUnread(now: .now())
    }

    /// Delivers the messages that had arrived before the end, as far as the application keeps up; after the last, the end.
    func deliverUnread() {
        guard case .inbox(let inbox) = self.sink, let info = self.closeInfo else { return }
        while let action = self.nextUnread() {
            let isFull: Bool
            switch action {
            case .message(let kind, let payload): isFull = inbox.push(kind, payload, isClosing: false)
            case .chunk(let chunk): isFull = inbox.push(chunk, isClosing: false)
            default: isFull = false
            }
            if isFull { return }
        }
        self.sink = .none
        var end = info
        end.error = info.error ?? self.connection.lastFailure
        inbox.finish(end)
    }

    /// The application has released the socket: closes it.
    package func abandoned() {
        if self.hasEnded {
            self.sink = .none
            return self.connection.dropUnread()
        }
        self.close(code: .goingAway, reason: "")
        self.resumeReading()
    }

    // MARK: The transport

    /// Drops the connection without a closing handshake.
    package func abort() {
        guard let channel = self.context?.channel else { return }
        self.cut(channel)
    }

    /// Ends the transport once what was written has left.
    ///
    /// A server that refuses while the peer is still sending half-closes and reads on for a moment: closing at once
    /// would reset the stream and could destroy the refusal on its way.
    private func endTransport(lingering: Bool) {
        guard let context = self.context, context.channel.isActive else { return }
        let channel = context.channel
        // TLS that was never established has nothing to flush, and no close notification to exchange.
        if !self.ending.hasStarted { return context.close(promise: nil) }
        if self.connection.socket.hasStalled { return self.cut(channel) }
        if !lingering, !self.transport.usesTLS, self.writing.hasAllLeft || self.unwrittenBytes == 0 {
            return context.close(promise: nil)
        }
        self.boundFlush(on: channel)
        self.setChannelReading(true)
        let flushed = context.eventLoop.makePromise(of: Void.self)
        let mode: CloseMode = lingering && !self.transport.usesTLS ? .output : .all
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        flushed.futureResult.whenComplete { result in
            if case .success = result { bound.value.haveLeft(true) } else { bound.value.haveLeft(false) }
            bound.value.closeTransport(channel, mode: mode)
            bound.value.boundGoodbye(on: channel, lingering: lingering)
        }
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer()), promise: flushed)
    }

    /// Closes the channel when the peer has taken none of the written bytes for the time of ``EndTimeouts/flush``.
    private func boundFlush(on channel: any Channel) {
        let bound = NIOLoopBound(self, eventLoop: channel.eventLoop)
        let unwritten = self.unwrittenBytes
        let limit = channel.eventLoop.scheduleTask(in: self.ending.timeouts.flush) {
            let left = bound.value.unwrittenBytes
            if left > 0, left < unwritten { bound.value.boundFlush(on: channel) } else { bound.value.cut(channel) }
        }
        channel.closeFuture.whenComplete { _ in limit.cancel() }
    }

    /// Bounds the end once all bytes have left: a refused peer is read from for a moment, and the close notification of TLS
    /// is awaited, except from a peer that has ended its stream.
    private func boundGoodbye(on channel: any Channel, lingering: Bool) {
        guard channel.isActive, self.transport.usesTLS || lingering else { return }
        if self.transport.usesTLS, self.ending.isInputOver { return self.cut(channel) }
        let patience = self.transport.usesTLS ? self.ending.timeouts.goodbye : self.ending.timeouts.linger
        let bound = NIOLoopBound(self, eventLoop: channel.eventLoop)
        let limit = channel.eventLoop.scheduleTask(in: patience) { bound.value.cut(channel) }
        channel.closeFuture.whenComplete { _ in limit.cancel() }
    }

    /// The peer has ended its stream of TCP.
    func inputIsOver(on channel: any Channel) {
        self.ending.inputIsOver()
        // TLS goes on waiting for a notification that cannot come.
        if self.hasEnded, self.transport.usesTLS, self.unwrittenBytes == 0 { self.cut(channel) }
    }

    /// Ends a transport now. Where bytes are left that the peer has not taken it is reset: after an end in good order the peer
    /// would take the stream for complete, above all in a dialect without closing frames.
    private func cut(_ channel: any Channel) {
        if let context = self.context {
            TransportEnd.cut(self.transport, context)
        } else {
            channel.close(promise: nil)
        }
    }

    /// The bytes that the channel has been given and has not written.
    package var unwrittenBytes: Int {
        guard let context else { return 0 }
        return TransportEnd.unwrittenBytes(self.transport, context)
    }
}
