// Sets accepted connections up and hands them to the listener, without the chain of futures by which SwiftNIO's
// bootstrap does so: that costs as much as reading and answering the request.
//
//   listener ── Acceptor ── (the bootstrap's handler, passed by) ── ListenerTail ── listener, which registers it

import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

final class Acceptor: ChannelInboundHandler {
    /// A channel in fact, as ``channel(_:)`` knows.
    typealias InboundIn = Any

    /// The last handler: it passes everything on to the listener's channel.
    private final class ListenerTail: ChannelInboundHandler {
        typealias InboundIn = any Channel
        private(set) var context: ChannelHandlerContext?

        func handlerAdded(context: ChannelHandlerContext) { self.context = context }
        func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }
    }

    /// Sets a connection up, on its event loop; `false` where it has been refused.
    private let setUp: @Sendable (any Channel) -> Bool
    /// Called when nothing can be accepted for a while.
    private let cannotAccept: @Sendable (IOError) -> Void
    private let tail = ListenerTail()
    private var hasTail = false
    /// Casts an accepted channel, where it is of the type that was accepted last, as all of them are.
    private var cast: ((Any) -> (any Channel)?)?
    private var isWaiting = false

    /// How long to wait for descriptors or memory. Nothing tells when there are some again.
    private static let pause = TimeAmount.milliseconds(250)

    init(setUp: @escaping @Sendable (any Channel) -> Bool, cannotAccept: @escaping @Sendable (IOError) -> Void) {
        self.setUp = setUp
        self.cannotAccept = cannotAccept
    }

    /// Out of descriptors, most likely. The connection goes on waiting to be accepted, so the listener would be told of
    /// it again at once, and again: it stops listening for a moment. SwiftNIO's own `AcceptBackoffHandler` puts the
    /// next read off, but leaves the listener registered for it when not even one connection was accepted.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? IOError, error.errnoCode != ECONNABORTED else {
            return context.fireErrorCaught(error)
        }
        guard !self.isWaiting else { return }
        self.isWaiting = true
        self.cannotAccept(error)
        let channel = context.channel
        try? channel.syncOptions?.setOption(.autoRead, value: false)
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: Self.pause) {
            bound.value.isWaiting = false
            try? channel.syncOptions?.setOption(.autoRead, value: true)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let accepted = self.channel(self.unwrapInboundIn(data)) else {
            return assertionFailure("something that is no channel was accepted")
        }
        if !self.hasTail {
            // Only now are all other handlers there for certain.
            do {
                try context.pipeline.syncOperations.addHandler(self.tail)
                self.hasTail = true
            } catch {
                return accepted.close(promise: nil)
            }
        }
        let eventLoop = accepted.eventLoop
        if eventLoop === context.eventLoop {
            if self.setUp(accepted) { self.tail.context?.fireChannelRead(data) }
            return
        }
        let setUp = self.setUp
        let bound = NIOLoopBound((self.tail, data), eventLoop: context.eventLoop)
        let listenerLoop = context.eventLoop
        eventLoop.execute {
            guard setUp(accepted) else { return }
            listenerLoop.execute {
                let (tail, data) = bound.value
                // The listener may have closed meanwhile.
                guard let context = tail.context, context.channel.isActive else { return accepted.close(promise: nil) }
                context.fireChannelRead(data)
            }
        }
    }

    /// The value as a channel. A cast to a protocol looks the conformance up each time, which costs more than all that is
    /// done with it here: it is done once.
    private func channel(_ value: Any) -> (any Channel)? {
        if let channel = self.cast?(value) { return channel }
        guard let channel = value as? any Channel else { return nil }
        self.cast = Self.cast(as: channel)
        return channel
    }

    private static func cast<Accepted: Channel>(as channel: Accepted) -> (Any) -> (any Channel)? { { $0 as? Accepted } }
}
