// Back-pressure: nothing is read from a peer whose messages the application does not take.

import KHPProtocol
import NIOCore

extension ConnectionHandler {
    /// The reading of the application, and the channel's behind it.
    struct Reading {
        /// The application takes no messages for now.
        private(set) var isPaused = false
        private var isChannelReading = true

        mutating func pause() { self.isPaused = true }

        mutating func resume() { self.isPaused = false }

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

    package func resumeReading() {
        guard self.reading.isPaused, !self.hasEnded else { return }
        self.reading.resume()
        self.drive()
        self.flush()
        if !self.reading.isPaused { self.setChannelReading(true) }
    }

    func setChannelReading(_ isReading: Bool) {
        guard self.reading.setChannel(isReading) else { return }
        try? self.context?.channel.syncOptions?.setOption(.autoRead, value: isReading)
    }
}
