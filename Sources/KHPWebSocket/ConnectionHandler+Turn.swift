// The work of one turn: a burst of reads, and in it the drives of the connection, which take its actions and messages.

package import KHPProtocol
package import NIOCore

extension ConnectionHandler {
    /// The work that goes on now.
    ///
    ///     idle ──the first read──▶ burst ──each read: a drive──▶ burst ──its tasks have run, one flush──▶ idle
    ///
    /// States × events:
    ///
    ///              bytes            a drive is asked for    a flush is asked for        the transport goes
    ///     idle     burst: a drive   runs                    scheduled, once             the connection ends
    ///     burst    a drive          runs                    waits for the burst's end   the connection ends
    ///     driving  noted as more    noted as more           as in idle or burst         noted: the drive ends it
    ///
    /// A drive also runs outside of a burst, for a deadline or a call of the application. It never runs within another: the
    /// one that runs goes on instead.
    struct Turn {
        /// True between the first read of a burst and its end: bytes that are written meanwhile leave at its end.
        private(set) var isBursting = false
        private(set) var isDriving = false
        /// True while the connection is at work, and may call an extension.
        var isConnectionInUse = false
        /// True when, since the drive began, the connection was changed in any other way than by sending a message.
        private(set) var hasMoreToDo = false
        /// True when the transport has gone while a drive ran, which then ends the connection.
        private(set) var isAbandoned = false
        /// True while the delegate waits for ``ConnectionDelegate/allIsRead(_:)``.
        private(set) var isReadEndAwaited = false
        private var isFlushScheduled = false
        /// The time at which the last drive began.
        private(set) var drivenAt = NIODeadline.uptimeNanoseconds(0)

        /// The time for what happens in this turn, read from the clock only where nothing runs.
        @inline(__always) var now: NIODeadline { self.isDriving || self.isBursting ? self.drivenAt : .read() }

        /// Bytes come.
        /// - Returns: true where a burst begins with them.
        mutating func beginBurst() -> Bool {
            if self.isBursting { return false }
            self.isBursting = true
            return true
        }

        mutating func endBurst() { self.isBursting = false }

        /// - Returns: false where a drive runs, which then has more to do.
        mutating func beginDrive(at now: NIODeadline) -> Bool {
            if self.isDriving {
                self.hasMoreToDo = true
                return false
            }
            self.isDriving = true
            self.hasMoreToDo = false
            self.drivenAt = now
            return true
        }

        mutating func endDrive() { self.isDriving = false }

        /// The transport is gone.
        /// - Returns: true where a drive runs, which then ends the connection when it has taken what had arrived.
        mutating func abandonDrive() -> Bool {
            if self.isDriving { self.isAbandoned = true }
            return self.isDriving
        }

        mutating func askForMore() { self.hasMoreToDo = true }

        /// - Returns: true where a flush is to be scheduled: none is, and no burst ends with one.
        mutating func mustScheduleFlush() -> Bool {
            if self.isBursting || self.isFlushScheduled { return false }
            self.isFlushScheduled = true
            return true
        }

        mutating func scheduledFlushBegins() { self.isFlushScheduled = false }

        mutating func awaitReadEnd() { self.isReadEndAwaited = true }

        /// - Returns: true where the delegate is to be told.
        mutating func takeReadEnd() -> Bool {
            defer { self.isReadEndAwaited = false }
            return self.isReadEndAwaited
        }
    }

    // MARK: Drives

    /// Takes actions until the connection needs more bytes, more time or an answer.
    package func drive(now: NIODeadline = .now()) {
        self.drive(now: now, isPlainTaken: false)
    }

    /// - Parameter isPlainTaken: true where plain messages have been taken already.
    private func drive(now: NIODeadline, isPlainTaken: Bool) {
        var isPlainTaken = isPlainTaken
        guard !self.hasEnded, self.turn.beginDrive(at: now) else { return }
        var mustLook = false
        driving: while !self.hasEnded {
            if !isPlainTaken, self.isDelivering, !self.reading.isPaused, let bytes = self.connection.takeReceived() {
                let cursor = self.takePlainMessages(bytes, areNew: false, now: now)
                self.connection.putBack(bytes, from: cursor)
                isPlainTaken = cursor != nil && !self.reading.isPaused
            }
            self.turn.isConnectionInUse = true
            let action = self.connection.next(now: now, isPaused: self.reading.isPaused, isPlainTaken: isPlainTaken)
            isPlainTaken = false
            self.turn.isConnectionInUse = false
            switch action {
            case .message(_, let payload)? where !self.handsOn(payload.readableBytes): break
            case .chunk(let chunk)? where !self.handsOn(chunk.bytes.readableBytes): break
            case .message(let kind, let payload)?:
                switch self.sink {
                case .inbox(let inbox):
                    if inbox.push(kind, payload, isClosing: self.connection.isClosing) { self.pauseReading() }
                case .handler(let handler):
                    handler.received(ReceivedMessage(kind: kind, bytes: payload), on: EventLoopSocket(self))
                case .none:
                    break
                }
            case .chunk(let chunk)?:
                switch self.sink {
                case .inbox(let inbox):
                    if inbox.push(chunk, isClosing: self.connection.isClosing) { self.pauseReading() }
                case .handler(let handler):
                    handler.received(chunk, on: EventLoopSocket(self))
                case .none:
                    break
                }
            case .peerClosing?:
                mustLook = true
                if case .inbox(let inbox) = self.sink, inbox.isBusy() {
                    if self.waiters.hasCloseWaiters { self.waitForConsumer(of: inbox) }
                } else {
                    self.connection.answerHeldClose(now: now)
                }
            case .pong(let number, let payload, let roundTrip)?:
                self.pongReceived(number, payload, roundTrip)
            case .closed(let info)?:
                self.finish(info, action)
            case let action?:
                mustLook = true
                if case .opened = action {
                    if !self.connection.hasExtensions {
                        self.alarm.lookOnlyEach(self.connection.configuration.shortestWait)
                    }
                }
                self.delegate?.perform(action, on: self)
            case nil:
                break driving
            }
        }
        self.turn.endDrive()
        if self.turn.isAbandoned, !self.hasEnded { self.finish(self.connection.abandoned(now: now)) }
        self.readWhileClosing()
        if self.waiters.hasSenders { self.endWaitsOfSenders() }
        if self.waiters.states != nil { self.tellState() }
        let isClosing = self.connection.isClosing || self.connection.socket.heldClose != nil
        if !self.hasEnded, mustLook || isClosing || !self.alarm.isSoon(now) {
            self.updateTimer(soon: self.alarm.nextLook(now))
        }
    }

    /// Takes the bytes of a read. Nearly every read holds whole plain messages and nothing else.
    @inline(__always)
    func drive(now: NIODeadline, with bytes: ByteBuffer) {
        var cursor: PlainCursor?
        if self.turn.beginDrive(at: now) {
            cursor = self.takePlainMessages(bytes, areNew: true, now: now)
            self.turn.endDrive()
            // All else that is done to the connection meanwhile has it driven, or says that there is more to do.
            if cursor?.rest == 0, !self.turn.hasMoreToDo, !self.turn.isAbandoned, !self.reading.isPaused,
                self.alarm.isSoon(now)
            {
                return
            }
        }
        self.driveOn(now: now, with: bytes, cursor)
    }

    @inline(never)
    private func driveOn(now: NIODeadline, with bytes: ByteBuffer, _ cursor: PlainCursor?) {
        if cursor != nil {
            self.connection.putBack(bytes, from: cursor)
        } else {
            self.connection.receive(bytes, now: now)
        }
        self.drive(now: now, isPlainTaken: (cursor?.rest ?? 0) > 0 && !self.reading.isPaused)
    }

    /// The path of nearly every message, without an action for each.
    /// - Returns: how far they are taken; `nil` where nothing was to be taken that way.
    @inline(__always)
    private func takePlainMessages(_ bytes: ByteBuffer, areNew: Bool, now: NIODeadline) -> PlainCursor? {
        if self.reading.isPaused { return nil }
        var kind = MessageKind.binary
        switch self.sink {
        case .handler(let handler):
            // A handler that has paused gets its messages one by one, and their bytes are counted.
            guard !self.reading.isPausedByHandler else { return nil }
            guard var cursor = self.connection.beginPlain(bytes, areNew: areNew, now: now) else { return nil }
            while cursor.rest > 0, let payload = self.nextMessage(bytes, &cursor, &kind, now) {
                handler.received(ReceivedMessage(kind: kind, bytes: consume payload), on: EventLoopSocket(self))
                if self.reading.isPaused { break }
            }
            return cursor
        case .inbox(let inbox):
            guard var cursor = self.connection.beginPlain(bytes, areNew: areNew, now: now) else { return nil }
            while cursor.rest > 0, let payload = self.nextMessage(bytes, &cursor, &kind, now) {
                if inbox.push(kind, payload, isClosing: self.connection.isClosing) { self.pauseReading() }
                if self.reading.isPaused { break }
            }
            return cursor
        case .none:
            return nil
        }
    }

    @inline(__always)
    private func nextMessage(
        _ bytes: ByteBuffer,
        _ cursor: inout PlainCursor,
        _ kind: inout MessageKind,
        _ now: NIODeadline
    ) -> ByteBuffer? {
        self.connection.nextShort(&cursor, &kind, now: now)
            ?? self.connection.nextPlain(bytes, &cursor, &kind, now: now)
    }

    /// Calls the connection with an input that does not come through the channel, such as the session's answer to its
    /// question, and drives it on.
    package func tell<Answer>(_ body: (inout Connection, NIODeadline) -> Answer) -> Answer {
        let now = NIODeadline.now()
        let answer = body(&self.connection, now)
        self.drive(now: now)
        self.flush()
        return answer
    }

    /// Calls the delegate's `allIsRead` after the read that is going on, or in the next turn of the loop.
    package func tellOnceAllIsRead() {
        self.turn.awaitReadEnd()
        if self.turn.isBursting { return }
        let bound = NIOLoopBound(self, eventLoop: self.eventLoop)
        self.eventLoop.execute { bound.value.readEnded() }
    }

    @inline(never)
    func readEnded() {
        if self.turn.takeReadEnd() { self.delegate?.allIsRead(self) }
    }
}

extension NIODeadline {
    /// The current time, as a call of its own: inlined into the path of every message, it would add a stack check to each.
    @inline(never)
    static func read() -> NIODeadline { .now() }
}
