// The HTTP of another server, on a connection that it shares with WebSocket: it answers each request with a word.

import NIOCore

/// Gives up a client that says nothing for a while, as any server of HTTP does.
final class HostHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private static let end = ByteBuffer(string: "\r\n\r\n")
    private static let answer = ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    private let patience: TimeAmount
    private var head = ByteBuffer()
    private var limit: Scheduled<Void>?

    init(patience: TimeAmount) { self.patience = patience }

    func handlerAdded(context: ChannelHandlerContext) { self.wait(context) }
    func handlerRemoved(context: ChannelHandlerContext) { self.limit?.cancel() }

    func channelInactive(context: ChannelHandlerContext) {
        self.limit?.cancel()
        context.fireChannelInactive()
    }

    private func wait(_ context: ChannelHandlerContext) {
        self.limit?.cancel()
        let channel = context.channel
        self.limit = context.eventLoop.assumeIsolated().scheduleTask(in: self.patience) { channel.close(promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.wait(context)
        self.head.writeImmutableBuffer(self.unwrapInboundIn(data))
        while let end = self.head.readableBytesView.firstRange(of: Self.end.readableBytesView) {
            self.head.moveReaderIndex(to: end.upperBound)
            context.writeAndFlush(self.wrapOutboundOut(Self.answer), promise: nil)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { context.close(promise: nil) }
    }
}
