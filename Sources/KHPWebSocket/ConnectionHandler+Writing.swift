// Writing: one flush for all bytes of a burst of reads, or of one turn of the event loop, and the channel's reports on how far
// the peer takes them.

import KHPProtocol
import NIOCore

extension ConnectionHandler {
    /// The channel's writability, and the peer that does not keep up.
    struct Writing {
        /// The last report of the channel. Stored, since asking the channel costs more.
        private(set) var isChannelWritable = true
        /// True while bytes are handed to the channel. A large message may fill the channel and leave at once: only the
        /// writability after the call counts.
        private var isGiving = false
        private var hasMoved = false
        /// Set while the channel is not writable.
        private(set) var stall: Stall?
        /// True where no handler stands between this one and the socket, so that the channel writes these very bytes.
        private(set) var isDirect = false
        /// True where all bytes that the channel got are known to have left. Stored, since asking the channel costs much more.
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

        /// The writability has moved: each episode of congestion is measured from its own beginning.
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

    /// Writes the connection's output in one flush; inside a read burst the flush waits for its end.
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
        // Bytes that were added now and left at once are no progress of a peer that does not keep up.
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

    /// Writes a buffer. A function of its own, so that no reference to the buffer outlives the call.
    @inline(never)
    private func give(_ buffer: ByteBuffer, to context: ChannelHandlerContext) {
        context.writeAndFlush(self.wrapOutboundOut(buffer), promise: nil)
    }

    /// Called where no handler stands between this one and the socket.
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
            // A synchronous handler cannot wait to send: a peer that does not read is not read from.
            if !handler.readsFromCongestedPeer {
                if isWritable { self.resumeReadingAfterCongestion() } else { self.pauseReading() }
            }
        }
        if !self.connection.output.isEmpty { self.flushSoon() }
    }

    /// Schedules one flush for all bytes that are written in this turn of the loop outside of a read burst.
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
