// A connection in another framework's server: the handler hands on requests that are not its own, and follows the server's
// shutdown.

import KHPProtocol
package import NIOCore

extension ConnectionHandler: RemovableChannelHandler {}

extension ConnectionHandler {
    /// Leaves the channel to another handler; `delegate` is called no more. The connection has
    /// ended with `handOn`.
    /// - Parameter successor: takes the handler's place.
    package func standAside(for successor: some ChannelHandler) throws {
        guard let context = self.context else { throw ChannelError.alreadyClosed }
        self.ending.end(self.connection.abandoned(now: .now()))
        self.endTimer()
        self.delegate = nil
        let pipeline = context.pipeline.syncOperations
        try pipeline.addHandler(successor, position: .after(self))
        pipeline.removeHandler(context: context, promise: nil)
    }

    /// Leaves the channel to another protocol, which TLS has agreed on; `delegate` is told nothing more.
    package func standAside() {
        self.ending.end(self.connection.abandoned(now: .now()))
        self.endTimer()
        self.delegate = nil
        guard let context else { return }
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
    }

    /// The server shuts down: closes with 1001. A handshake is given up: with 1001 where frames are spoken already.
    package func goAway() {
        self.close(code: .goingAway, reason: "")
        self.resumeReading()
        // At once: a drain without any time closes the channel right after this call.
        if !self.turn.isConnectionInUse { self.scheduledFlush() }
        // A channel that is not active yet has sent nothing, and would get no event of its end.
        if let channel = self.channel, !channel.isActive { self.closeTransport(channel) }
    }

    /// Takes bytes that were read before the handler was there.
    /// - Parameter thenEnds: `true` when the peer has ended its stream after them.
    package func take(_ bytes: ByteBuffer, thenEnds: Bool) {
        guard let context = self.context else { return }
        self.channelRead(context: context, data: NIOAny(bytes))
        self.channelReadComplete(context: context)
        if thenEnds, self.context != nil {
            self.userInboundEventTriggered(context: context, event: ChannelEvent.inputClosed)
        }
    }

    /// Closes from this handler on, past the handlers after it, which may be another framework's.
    func closeTransport(_ channel: any Channel, mode: CloseMode = .all) {
        if let context = self.context {
            context.close(mode: mode, promise: nil)
        } else {
            channel.close(mode: mode, promise: nil)
        }
    }

    /// TLS was negotiated before the handler was there, so that nothing will tell of it.
    package func transportIsReady() {
        if !self.ending.hasStarted { self.start() }
    }
}
