// Back-pressure: nothing is read from a peer whose messages the application does not take.

import KHPProtocol
import NIOCore

extension ConnectionHandler {
    package func pauseReading() {
        self.isPaused = true
    }

    /// Messages that the application does not take must not keep the peer's close frame from being read.
    func readWhileClosing() {
        guard self.isPaused, !self.hasEnded, self.connection.isClosing else { return }
        self.isPaused = false
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
        guard self.isPaused, !self.hasEnded else { return }
        self.isPaused = false
        self.drive()
        self.flush()
        if !self.isPaused { self.setChannelReading(true) }
    }

    func setChannelReading(_ isReading: Bool) {
        guard self.isChannelReading != isReading else { return }
        self.isChannelReading = isReading
        try? self.context?.channel.syncOptions?.setOption(.autoRead, value: isReading)
    }
}
