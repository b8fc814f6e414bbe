// Reads on a channel whose last handlers are somebody else's and take no part any more: SwiftNIO asks them for each read,
// and they may never pass it on.

import NIOCore

final class ReadingForItself: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    func handlerAdded(context: ChannelHandlerContext) { self.read(context) }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        self.read(context)
    }

    private func read(_ context: ChannelHandlerContext) {
        if (try? context.channel.syncOptions?.getOption(.autoRead)) ?? true { context.read() }
    }
}
