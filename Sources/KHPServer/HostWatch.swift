// Stands before another framework's HTTP on a connection that is kept for more requests: finds an endpoint's request between
// its requests, takes the connection over once its responses are sent, and keeps its handlers out from then on.
//
//   watching ── a request of ours ──▶ over: for their handlers the channel is closed, whatever they still do

import KHPProtocol
import KHPWebSocket
import NIOCore

final class HostWatch: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = IOData
    typealias OutboundOut = IOData

    private let server: ServerState
    private let port: SharedPort
    private var connection: SharedConnection
    private var isOver = false
    private var isReadWanted = false
    private var hasInputEnded = false
    private var hasToldEnd = false
    /// True once their bytes have set free what was held.
    private var mustAdvance = false
    /// Bounds the time that a part of a head waits here.
    private var patience: Scheduled<Void>?
    private var context: ChannelHandlerContext?

    init(_ server: ServerState, _ port: SharedPort) {
        self.server = server
        self.port = port
        self.connection = server.sharedHTTP()
    }

    /// Takes what has been read before it was there.
    func begin(_ bytes: ByteBuffer) {
        self.connection.receive(bytes)
        self.advance()
    }

    /// - Returns: `true` where bytes were handed on.
    @discardableResult
    private func advance() -> Bool {
        var hasRead = false
        while !self.isOver, let context, let step = self.connection.next() {
            switch step {
            case .theirs(let bytes):
                hasRead = true
                context.fireChannelRead(self.wrapInboundOut(bytes))
            case .ours(let bytes):
                self.takeOver(bytes, context)
            }
        }
        guard !self.isOver, let context else { return hasRead }
        self.boundHead(context)
        self.tellEnd(context)
        if self.isReadWanted, !self.connection.isHolding {
            self.isReadWanted = false
            context.read()
        }
        return hasRead
    }

    /// Goes on outside of a read of the channel's. Some handlers act on what they were given when a read is complete.
    private func advanceLater() {
        if self.advance(), !self.isOver { self.context?.fireChannelReadComplete() }
    }

    /// Once nothing of theirs waits here.
    private func tellEnd(_ context: ChannelHandlerContext) {
        guard self.hasInputEnded, !self.hasToldEnd, !self.connection.isHolding else { return }
        self.hasToldEnd = true
        // The rest of a head cannot come.
        self.giveUp()
        context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    }

    private func takeOver(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        guard let handler = self.server.takeOver(context.channel, self.port, before: self) else {
            // There is no room for it here, so the others answer, as they would without us.
            self.connection.leave()
            return context.fireChannelRead(self.wrapInboundOut(bytes))
        }
        self.isOver = true
        self.patience?.cancel()
        context.fireChannelInactive()
        handler.take(bytes, thenEnds: self.hasInputEnded)
    }

    /// A head that is not complete in time is theirs, who know best how long to wait.
    private func boundHead(_ context: ChannelHandlerContext) {
        guard self.connection.isInsideHead else {
            self.patience?.cancel()
            self.patience = nil
            return
        }
        guard self.patience == nil else { return }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        let limit = TimeAmount(self.server.configuration.timeouts.opening)
        self.patience = context.eventLoop.scheduleTask(in: limit) { bound.value.giveUp() }
    }

    private func giveUp() {
        // The end of the stream may have come before its time is over.
        self.patience?.cancel()
        self.patience = nil
        guard let context, let bytes = self.connection.giveUp() else { return }
        context.fireChannelRead(self.wrapInboundOut(bytes))
        context.fireChannelReadComplete()
    }

    // MARK: From the channel

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.patience?.cancel()
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.connection.receive(self.unwrapInboundIn(data))
        self.advance()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if !self.isOver { context.fireChannelReadComplete() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if self.isOver { return }
        if case .inputClosed? = event as? ChannelEvent {
            self.hasInputEnded = true
            return self.tellEnd(context)
        }
        context.fireUserInboundEventTriggered(event)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if !self.isOver { context.fireChannelWritabilityChanged() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if !self.isOver { context.fireChannelInactive() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if !self.isOver { context.fireErrorCaught(error) }
    }

    // MARK: From their handlers

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if self.isOver {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        // Behind these bytes it may hold nothing any more, since all of it is theirs.
        self.mustAdvance = self.mustAdvance || self.connection.isHolding
        switch self.unwrapOutboundIn(data) {
        case .byteBuffer(let bytes): self.connection.send(bytes)
        case .fileRegion(let region): self.connection.send(count: region.readableBytes)
        }
        context.write(data, promise: promise)
    }

    func flush(context: ChannelHandlerContext) {
        if self.isOver { return }
        context.flush()
        // Not here, inside a call of their handlers.
        if self.mustAdvance || self.connection.isHolding {
            self.mustAdvance = false
            let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
            context.eventLoop.execute { bound.value.advanceLater() }
        }
    }

    func read(context: ChannelHandlerContext) {
        if !self.isOver, self.connection.isHolding { self.isReadWanted = true } else { context.read() }
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if self.isOver { promise?.succeed() } else { context.close(mode: mode, promise: promise) }
    }

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        if self.isOver { promise?.succeed() } else { context.triggerUserOutboundEvent(event, promise: promise) }
    }
}
