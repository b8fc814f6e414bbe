// Watches the peer's reading: a stalled peer is told from a slow one, and answers to pings do not pile up.

import KHPProtocol
import NIOCore

extension ConnectionHandler {
    /// A peer that takes some of the written bytes is slow, not stalled.
    func lookAtStall(now: NIODeadline) {
        guard self.writing.stall != nil else { return }
        if self.writing.look(unwritten: self.unwrittenBytes, now: now) { self.connection.writesProgressed(now: now) }
    }

    /// The answer to a ping was written: further ones wait until it has left, and of these only the latest counts.
    func followAnswer(_ context: ChannelHandlerContext) {
        guard self.connection.takeAnsweredPing(), self.unwrittenBytes > 0 else { return }
        self.connection.setBacklogged(true, now: .now())
        let bound = NIOLoopBound(self, eventLoop: self.eventLoop)
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.whenSuccess {
            guard !bound.value.hasEnded else { return }
            bound.value.connection.setBacklogged(false, now: .now())
            bound.value.flushSoon()
        }
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer()), promise: written)
    }
}
