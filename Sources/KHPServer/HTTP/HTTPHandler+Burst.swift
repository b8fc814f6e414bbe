// Bursts of a connection of ordinary HTTP: the requests that have come together are answered together, with one flush after
// the last response. A task that is ready in a burst runs at its end; so does the one of a request that came after another.

import KHPWebSocket
import NIOCore

extension HTTPHandler {
    /// The burst that goes on.
    ///
    ///     none ── bytes, or a task to start ──▶ going on ── all is read, or the loop's next turn: tasks run, a flush ──▶ none
    struct Burst {
        var goesOn = false
        /// Something was written that is to leave with the burst's end.
        var owesFlush = false
    }

    /// The requests that are served before the loop reads again.
    struct Turn {
        var exchanges = 0
        var isResting = false
    }

    /// Set where so many requests were served at once that other connections come first. The rest follows after them.
    var mustRest: Bool {
        if self.turn.isResting { return true }
        guard self.turn.exchanges >= 64, self.requests.unreadBytes > 0, let context else { return false }
        self.turn.isResting = true
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.executeBehindReads {
            bound.value.turn = Turn()
            bound.value.advance()
        }
        return true
    }

    func beginBurst() {
        self.burst.goesOn = true
        self.executor.beginBurst()
    }

    /// Begins a burst for a task that is to be started outside of one. It ends in the loop's next turn, if not before: other
    /// connections wait no longer for it than they do for a read.
    func beginBurstOfOwn() {
        guard !self.burst.goesOn, let context else { return }
        self.beginBurst()
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.execute { bound.value.endBurst() }
    }

    func endBurst() {
        _ = self.executor.endBurst()
        self.burst.goesOn = false
        self.flushOwed()
    }

    /// The channel is gone, or another handler's: tasks that still run belong to no burst.
    func abandonBurst() {
        self.flushOwed()
        self.burst.goesOn = false
        self.executor.abandonBurst()
    }

    private func flushOwed() {
        guard self.burst.owesFlush, let context else { return }
        self.flushNow(context)
    }

    /// Sends what was written: with the burst's end where one goes on, unless so much waits that there is no more room.
    func flushSoon(_ context: ChannelHandlerContext) {
        if self.burst.goesOn, context.channel.isWritable {
            self.burst.owesFlush = true
        } else {
            self.flushNow(context)
        }
    }

    func flushNow(_ context: ChannelHandlerContext) {
        self.burst.owesFlush = false
        context.flush()
    }
}
