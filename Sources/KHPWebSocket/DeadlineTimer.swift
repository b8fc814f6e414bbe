// One timer a connection. Deadlines move with every byte; the callback does not: one that is early finds out when it
// fires and is set anew, so that a busy connection schedules nothing.

import NIOCore

final class DeadlineTimer {
    private var callback: NIOScheduledCallback?
    private var firesAt: NIODeadline?

    func wake(at deadline: NIODeadline, on eventLoop: any EventLoop, handler: ConnectionHandler) {
        if let firesAt, firesAt <= deadline { return }
        self.callback?.cancel()
        self.firesAt = deadline
        // It throws only where the loop is shut down, and then nothing waits any more.
        self.callback = try? eventLoop.scheduleCallback(at: deadline, handler: Wake(handler: handler))
    }

    func fired() {
        self.callback = nil
        self.firesAt = nil
    }

    func cancel() {
        self.callback?.cancel()
        self.fired()
    }

    private struct Wake: NIOScheduledCallbackHandler, @unchecked Sendable {
        // Unchecked: scheduled, cancelled and fired on the handler's own event loop only.
        let handler: ConnectionHandler

        func handleScheduledCallback(eventLoop: some EventLoop) { self.handler.timerFired() }
    }
}
