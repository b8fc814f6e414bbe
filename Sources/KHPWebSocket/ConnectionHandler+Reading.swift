// Back-pressure: nothing is read from a peer whose messages the application does not take.

import KHPProtocol
import NIOCore

extension ConnectionHandler {
    /// The reading of the application, and the channel's behind it.
    struct Reading {
        /// The time since which the application takes no messages; `nil` while it takes them.
        private(set) var pausedSince: NIODeadline?
        /// True while a ``MessageHandler`` has asked for the pause: neither the end of congestion nor reading on for a close
        /// frame ends it.
        private(set) var isPausedByHandler = false
        /// The bytes of the messages that a handler got during its pause.
        private var pastPause = 0
        /// True once messages were dropped that came after this side had begun to close.
        private(set) var hasLost = false
        private var isChannelReading = true

        /// The application takes no messages for now.
        var isPaused: Bool { self.pausedSince != nil }

        mutating func pause() {
            if self.pausedSince == nil { self.pausedSince = NIODeadline.now() }
        }

        mutating func pauseByHandler() {
            self.isPausedByHandler = true
            self.pause()
        }

        mutating func resume() {
            self.pausedSince = nil
            self.isPausedByHandler = false
            self.pastPause = 0
        }

        /// Reading goes on for the peer's close frame.
        mutating func resumeForClose() { self.pausedSince = nil }

        /// - Returns: `false` where a handler in its pause has been handed as much as a queue would hold.
        mutating func handsPastPause(_ bytes: Int, limit: Int) -> Bool {
            self.pastPause += bytes
            return self.pastPause <= limit
        }

        mutating func noteLost() { self.hasLost = true }

        /// The peer takes written bytes again.
        mutating func congestionEnds() {
            if !self.isPausedByHandler { self.pausedSince = nil }
        }

        /// - Returns: true where the channel is to be told.
        mutating func setChannel(_ isReading: Bool) -> Bool {
            guard self.isChannelReading != isReading else { return false }
            self.isChannelReading = isReading
            return true
        }
    }

    package func pauseReading() {
        self.reading.pause()
    }

    func pauseReadingByHandler() { self.reading.pauseByHandler() }

    /// Messages that the application does not take must not keep the peer's close frame from being read.
    func readWhileClosing() {
        guard self.reading.isPaused, !self.hasEnded, self.connection.isClosing else { return }
        self.reading.resumeForClose()
        self.setChannelReading(true)
    }

    /// `false` for a message that is dropped while this side closes: any after a close with 1008, and one of too many that come
    /// to a handler in its pause before the peer's close frame. An inbox has a bound of its own.
    func handsOn(_ bytes: Int) -> Bool {
        guard self.connection.isClosing else { return true }
        let isDropped: Bool
        if self.connection.isWithdrawn {
            isDropped = true
        } else if self.reading.isPausedByHandler {
            let limit = self.connection.configuration.limits.inboundQueueBytes
            isDropped = !self.reading.handsPastPause(bytes, limit: limit)
        } else {
            isDropped = false
        }
        guard isDropped else { return true }
        if case .inbox(let inbox) = self.sink { inbox.noteLost() } else { self.reading.noteLost() }
        return false
    }

    /// The application has caught up.
    package func caughtUp(isIdle: Bool) {
        if self.hasEnded { return self.deliverUnread() }
        if isIdle, self.connection.socket.heldClose != nil {
            self.connection.answerHeldClose(now: .now())
            self.flushSoon()
        }
        self.resumeReading()
    }

    /// Answers the peer's held close where the task that could take messages waits for the end instead.
    func answerCloseThatNobodyHolds() {
        guard self.connection.socket.heldClose != nil, case .inbox(let inbox) = self.sink else { return }
        if inbox.isBusy() { return self.waitForConsumer(of: inbox) }
        self.connection.answerHeldClose(now: .now())
        self.flushSoon()
    }

    /// Gives a task a moment to begin taking messages; if none does, answers the peer's close.
    func waitForConsumer(of inbox: Inbox) {
        guard let channel = self.context?.channel else { return }
        let bound = NIOLoopBound(self, eventLoop: self.eventLoop)
        let look = self.eventLoop.scheduleTask(in: Self.consumerGrace) {
            guard bound.value.waiters.hasCloseWaiters, inbox.isUntouched else { return }
            bound.value.connection.answerHeldClose(now: .now())
            bound.value.flushSoon()
        }
        channel.closeFuture.whenComplete { _ in look.cancel() }
    }

    /// The time in which a task has to begin taking messages, while another waits for the end.
    private static let consumerGrace = TimeAmount.milliseconds(100)

    package func resumeReading() {
        if self.turn.isConnectionInUse {
            let bound = NIOLoopBound(self, eventLoop: self.eventLoop)
            return self.eventLoop.execute { bound.value.resumeReading() }
        }
        let since = self.reading.pausedSince
        self.reading.resume()
        guard let since, !self.hasEnded else { return }
        self.readOn(pausedSince: since)
    }

    /// Reads again from a peer that takes written bytes again, where only congestion had paused reading.
    func resumeReadingAfterCongestion() {
        guard let since = self.reading.pausedSince, !self.hasEnded else { return }
        self.reading.congestionEnds()
        if !self.reading.isPaused { self.readOn(pausedSince: since) }
    }

    private func readOn(pausedSince since: NIODeadline) {
        self.connection.readingResumes(now: .now(), pausedSince: since)
        self.drive()
        self.flush()
        if !self.reading.isPaused { self.setChannelReading(true) }
    }

    func setChannelReading(_ isReading: Bool) {
        guard self.reading.setChannel(isReading) else { return }
        try? self.context?.channel.syncOptions?.setOption(.autoRead, value: isReading)
        // The channel starts a read at its last handler, which may be another framework's and not pass it on.
        if isReading { self.context?.read() }
    }
}
