// Stands before another framework's handlers while these are set up: keeps bytes and events in their order, reads no more,
// then passes them on and leaves the pipeline.
//
//   settingUp ── their pipeline is there ──▶ gone: the handler has left the pipeline
//       └─── the channel is closed, or the set-up fails ──▶ over

import NIOCore

final class HostDoor: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = IOData
    typealias OutboundOut = IOData

    private enum Waiting {
        case bytes(NIOAny)
        case endOfRead
        case event(Any)
    }

    private let port: SharedPort
    private var waiting: [Waiting] = []
    private var isSettingUp = true
    private var isReadWanted = false
    private var context: ChannelHandlerContext?

    init(_ port: SharedPort) { self.port = port }

    /// Keeps bytes that were read before this handler was added.
    func begin(_ bytes: ByteBuffer) { self.waiting.append(.bytes(NIOAny(bytes))) }

    /// Has the other framework set up its pipeline. This handler is in the pipeline already.
    func open() {
        guard let context else { return }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        // The future is the application's, and may be of any event loop.
        self.port.setUp(context.channel).hop(to: context.eventLoop).whenComplete { bound.value.isSetUp($0) }
    }

    private func isSetUp(_ result: Result<Void, any Error>) {
        guard self.isSettingUp, let context else { return }
        self.isSettingUp = false
        if case .failure = result {
            self.waiting = []
            return context.close(promise: nil)
        }
        // Only now: with its own settings the channel might have closed at the end of the peer's stream.
        self.port.restore(context.channel)
        var hasInputEnded = false
        // The handlers may close the channel on the first of them.
        while !self.waiting.isEmpty, self.context != nil {
            switch self.waiting.removeFirst() {
            case .bytes(let bytes): context.fireChannelRead(bytes)
            case .endOfRead: context.fireChannelReadComplete()
            case .event(let event):
                if case .inputClosed? = event as? ChannelEvent { hasInputEnded = true }
                context.fireUserInboundEventTriggered(event)
            }
        }
        // Once it has left its pipeline, a context passes nothing on.
        if self.isReadWanted { context.read() }
        if hasInputEnded, self.port.closesWithInput { context.close(promise: nil) }
        if self.context != nil { context.pipeline.syncOperations.removeHandler(context: context, promise: nil) }
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if self.isSettingUp { self.waiting.append(.bytes(data)) } else { context.fireChannelRead(data) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if self.isSettingUp { self.waiting.append(.endOfRead) } else { context.fireChannelReadComplete() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if self.isSettingUp { self.waiting.append(.event(event)) } else { context.fireUserInboundEventTriggered(event) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.isSettingUp = false
        self.waiting = []
        context.fireChannelInactive()
    }

    /// Reads no more until the handlers are set up: nothing here bounds the bytes that wait.
    func read(context: ChannelHandlerContext) {
        if self.isSettingUp { self.isReadWanted = true } else { context.read() }
    }
}
