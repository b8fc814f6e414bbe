// Another server, whose connections WebSocket shares: in front of its HTTP, or behind it.

import KHPNIOHTTP1
import KHPServer
import NIOCore
import NIOHTTP1

enum Host: Sendable {
    /// The mount has each connection from its first byte, and hands on what is none of its own.
    case mount
    /// SwiftNIO's HTTP has it, until it upgrades.
    case upgrader

    /// Takes a connection that is not up yet. Called on its event loop.
    /// - Parameter patience: how long the server waits for a client that says nothing.
    func take(_ channel: any Channel, _ mount: WebSocketMount, patience: TimeAmount) throws {
        switch self {
        case .mount:
            _ = mount.accept(channel, isSecure: false) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(HostHandler(patience: patience))
                }
            }
        case .upgrader:
            let pipeline = channel.pipeline.syncOperations
            let handler = NIOLoopBound(HostHandler(patience: patience), eventLoop: channel.eventLoop)
            try pipeline.configureHTTPServerPipeline(
                withServerUpgrade: (
                    upgraders: [mount.upgrader()],
                    completionHandler: { $0.pipeline.syncOperations.removeHandler(handler.value, promise: nil) }
                )
            )
            try pipeline.addHandler(handler.value)
        }
    }
}

/// The other server's application: answers each request with a word. Gives up a client that says nothing for a while, as any
/// server does, or that has ended its stream.
private final class HostHandler: ChannelInboundHandler, RemovableChannelHandler {
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
