// Back-pressure: nothing is read from a peer whose messages the application does not take.

import KHPProtocol
import NIOCore

extension ConnectionHandler {
    /// The reading of the application, and the channel's behind it.
    struct Reading {
        /// Since when the application takes no messages; `nil` while it does.
        private(set) var pausedSince: NIODeadline?
        /// A handler has asked for the pause, which the end of congestion does not end.
        private var isPausedByHandler = false
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
        }

        /// The peer takes what is sent to it again.
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
        self.reading.resume()
        self.setChannelReading(true)
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

    /// A task waits for the end, while the answer to the peer's close is held back for messages.
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
        let look = self.eventLoop.scheduleTask(in: Self.beginning) {
            guard bound.value.waiters.hasCloseWaiters, inbox.isUntouched else { return }
            bound.value.connection.answerHeldClose(now: .now())
            bound.value.flushSoon()
        }
        channel.closeFuture.whenComplete { _ in look.cancel() }
    }

    /// The time in which a task has to begin taking messages, while another waits for the end.
    private static let beginning = TimeAmount.milliseconds(100)

    package func resumeReading() {
        guard let since = self.reading.pausedSince, !self.hasEnded else { return }
        self.reading.resume()
        self.readOn(pausedSince: since)
    }

    /// The peer takes what is sent to it again, for whose sake it was not read from.
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
        // The channel asks its last handler for a read, which may be somebody else's and keep it to itself.
        if isReading { self.context?.read() }
    }
}
