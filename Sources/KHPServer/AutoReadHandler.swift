// Reads on a channel with automatic reading whose last handlers belong to another framework and are done: SwiftNIO starts each
// read at the end of the pipeline, and they may never pass it on.

import NIOCore

/// Starts the next read after each, where the channel reads automatically.
final class AutoReadHandler: ChannelInboundHandler {
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
