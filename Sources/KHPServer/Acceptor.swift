// Sets accepted connections up and hands them to the listener, without the chain of futures by which SwiftNIO's bootstrap
// does so: that costs as much as reading and answering the request.
//
//   listener ── Acceptor ── (the bootstrap's handler, passed by) ── Exit ── listener, which registers the connection

import NIOCore

final class Acceptor: ChannelInboundHandler {
    typealias InboundIn = any Channel

    /// Behind every other handler: what it passes on goes to the listener's channel.
    private final class Exit: ChannelInboundHandler {
        typealias InboundIn = any Channel
        private(set) var context: ChannelHandlerContext?

        func handlerAdded(context: ChannelHandlerContext) { self.context = context }
        func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }
    }

    /// Sets a connection up, on its event loop; `false` where it has been refused.
    private let setUp: @Sendable (any Channel) -> Bool
    private let exit = Exit()
    private var hasExit = false

    init(setUp: @escaping @Sendable (any Channel) -> Bool) {
        self.setUp = setUp
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let accepted = self.unwrapInboundIn(data)
        if !self.hasExit {
            // Only now are all other handlers there for certain.
            do {
                try context.pipeline.syncOperations.addHandler(self.exit)
                self.hasExit = true
            } catch {
                return accepted.close(promise: nil)
            }
        }
        let eventLoop = accepted.eventLoop
        if eventLoop === context.eventLoop {
            if self.setUp(accepted) { self.exit.context?.fireChannelRead(data) }
            return
        }
        let setUp = self.setUp
        let bound = NIOLoopBound((self.exit, data), eventLoop: context.eventLoop)
        let listenerLoop = context.eventLoop
        eventLoop.execute {
            guard setUp(accepted) else { return }
            listenerLoop.execute {
                let (exit, data) = bound.value
                // The listener may have closed meanwhile.
                guard let context = exit.context, context.channel.isActive else { return accepted.close(promise: nil) }
                context.fireChannelRead(data)
            }
        }
    }
}
