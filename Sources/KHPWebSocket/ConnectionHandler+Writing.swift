// The way out: one flush for all that is said in a burst of reads, or in one turn of the loop, and the channel's word on how
// far the peer takes it.

import KHPProtocol
import NIOCore

extension ConnectionHandler {
    /// The channel's writability, and the peer that does not keep up.
    struct Writing {
        /// As the channel told last: asking it costs more.
        private(set) var isChannelWritable = true
        /// True while the channel is given what there is to write. Many a large message fills it and leaves at once: only
        /// the end of that counts.
        private var isGiving = false
        private var hasMoved = false
        /// Set while the channel is not writable.
        private(set) var stall: Stall?
        /// True where the channel writes what it is given as it is: nobody stands between.
        private(set) var isDirect = false
        /// True where all that the channel was given is known to have left. To ask it costs much more.
        private(set) var hasAllLeft = false
        /// The message that is being sent in pieces, or was last.
        var streamed: StreamedMessage?
        /// `sentPayload` when the output buffer was last seen empty.
        private var payloadThatLeft = 0

        /// The last look at a peer that does not keep up.
        struct Stall {
            /// The bytes that the channel had not written.
            var bytes: Int
            let lookedAt: NIODeadline
        }

        mutating func begin() {
            self.isGiving = true
            self.hasAllLeft = false
        }

        mutating func goesDirectly() { self.isDirect = true }

        mutating func allHasLeft() { self.hasAllLeft = true }

        /// - Returns: true where the writability has moved meanwhile: the channel is to be asked where to.
        mutating func end() -> Bool {
            self.isGiving = false
            guard self.hasMoved else { return false }
            self.hasMoved = false
            return true
        }

        /// The channel tells that its writability has moved.
        /// - Returns: false while it is being given bytes.
        mutating func countsNow() -> Bool {
            if self.isGiving { self.hasMoved = true }
            return !self.isGiving
        }

        /// Each episode of congestion is measured for itself.
        mutating func moved(to isWritable: Bool, unwritten: Int, now: NIODeadline) {
            self.isChannelWritable = isWritable
            self.stall = isWritable ? nil : Stall(bytes: unwritten, lookedAt: now)
        }

        /// - Returns: true where the peer has taken some of the bytes since the last look.
        mutating func look(unwritten: Int, now: NIODeadline) -> Bool {
            guard let last = self.stall else { return false }
            self.stall = Stall(bytes: unwritten, lookedAt: now)
            return unwritten < last.bytes
        }

        mutating func bytesWereAdded(now unwritten: Int) { self.stall?.bytes = unwritten }

        mutating func forgetStall() { self.stall = nil }

        /// The payload among `raw` bytes that have not left, of all payload that was `sent`.
        mutating func payload(among raw: Int, sent: Int) -> Int {
            if raw == 0 { self.payloadThatLeft = sent }
            return min(raw, sent &- self.payloadThatLeft)
        }
    }

    /// Writes what the connection has to say, in one flush; inside a read burst the flush waits for its end.
    package func flush() {
        if !self.turn.isBursting { self.flushNow() }
    }

    func flushNow() {
        if let context = self.context { self.write(to: context) }
    }

    func write(to context: ChannelHandlerContext) {
        if self.writing.stall != nil { self.lookAtStall(now: .read()) }
        var isLast = false
        var isQueued = false
        guard let buffer = self.connection.output.next(isLast: &isLast, isQueued: &isQueued) else { return }
        self.writing.begin()
        if isQueued, isLast, self.writing.isDirect {
            if self.leavesAtOnce(consume buffer, context) { self.writing.allHasLeft() }
        } else if isLast {
            context.writeAndFlush(self.wrapOutboundOut(consume buffer), promise: nil)
        } else {
            self.write(consume buffer, andAllBehindTo: context)
        }
        let hasMoved = self.writing.end()
        self.noteUse()
        if hasMoved { self.noteWritability(context) }
        // Bytes that were added, and left at once, say nothing about the peer.
        if self.writing.stall != nil { self.writing.bytesWereAdded(now: self.unwrittenBytes) }
        if self.connection.socket.hasAnsweredPing { self.followAnswer(context) }
    }

    /// Writes a buffer that is held here alone.
    /// - Returns: true where it has left, and so all before it: the channel holds it as long as it has to write some of it.
    @inline(never)
    private func leavesAtOnce(_ buffer: consuming ByteBuffer, _ context: ChannelHandlerContext) -> Bool {
        self.give(buffer, to: context)
        return buffer.modifyIfUniquelyOwned { _ in true } != nil
    }

    /// By itself, so that nothing of the call holds the buffer once it is over.
    @inline(never)
    private func give(_ buffer: ByteBuffer, to context: ChannelHandlerContext) {
        context.writeAndFlush(self.wrapOutboundOut(buffer), promise: nil)
    }

    /// Nobody stands between this handler and the channel that writes.
    package func writesDirectly() { self.writing.goesDirectly() }

    @inline(never)
    private func write(_ first: consuming ByteBuffer, andAllBehindTo context: ChannelHandlerContext) {
        var buffer = first
        while let following = self.connection.output.next() {
            context.write(self.wrapOutboundOut(buffer), promise: nil)
            buffer = following
        }
        context.writeAndFlush(self.wrapOutboundOut(buffer), promise: nil)
    }

    @inline(never)
    private func noteWritability(_ context: ChannelHandlerContext) {
        let isWritable = context.channel.isWritable
        if isWritable != self.writing.isChannelWritable { self.writabilityMoved(to: isWritable) }
    }

    func writabilityMoved(to isWritable: Bool) {
        let now = NIODeadline.now()
        self.connection.setCongested(!isWritable, now: now)
        self.writing.moved(to: isWritable, unwritten: isWritable ? 0 : self.unwrittenBytes, now: now)
        if !self.hasEnded { self.updateTimer() }
        if isWritable { self.resumeSenders() }
        if case .handler(let handler) = self.sink {
            handler.writabilityChanged(on: EventLoopSocket(self))
            // A synchronous handler cannot wait to send, so the peer that does not read is not read from either.
            if !handler.readsFromCongestedPeer {
                if isWritable { self.resumeReadingAfterCongestion() } else { self.pauseReading() }
            }
        }
        if !self.connection.output.isEmpty { self.flushSoon() }
    }

    /// After something was said outside a read burst: one flush for all that is said in this turn of the loop.
    package func flushSoon() {
        self.turn.askForMore()
        self.scheduleFlush()
    }

    func scheduleFlush() {
        guard self.turn.mustScheduleFlush() else { return }
        let bound = NIOLoopBound(self, eventLoop: self.eventLoop)
        self.eventLoop.execute { bound.value.scheduledFlush() }
    }

    func scheduledFlush() {
        self.turn.scheduledFlushBegins()
        self.drive()
        self.flush()
    }
}
