// The end of a connection beyond the limits: an answer that costs nothing, and the end of the stream.

import KHPProtocol
import KHPWebSocket
import NIOCore

/// Writes a 503 without reading a request, half-closes, and discards what comes until the peer is done or a second has
/// passed: closing at once would reset the stream and could destroy the answer on its way.
final class OverloadRefusal: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { self.refuse(context) }
    }

    func channelActive(context: ChannelHandlerContext) { self.refuse(context) }

    private func refuse(_ context: ChannelHandlerContext) {
        var answer = ByteBuffer()
        Refusal.tooManyConnections().write(into: &answer, date: DateHeader.now())
        // Not from the end of the pipeline, where another framework's handlers may be.
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.writeAndFlush(self.wrapOutboundOut(answer))
            .whenComplete { _ in bound.value.close(mode: .output, promise: nil) }
        let limit = context.eventLoop.scheduleTask(in: .seconds(1)) { bound.value.close(promise: nil) }
        context.channel.closeFuture.whenComplete { _ in limit.cancel() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {}

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
