// A channel in memory for a server's handlers, and what they do to it.

import KHPProtocol
import KHPWebSocket
import NIOCore
import NIOEmbedded
import Testing

@testable import KHPServer

/// Stands before the handler under test: counts what a socket would be asked for. An embedded channel knows no half-closure
/// and would be gone at once.
final class MemoryWire: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    var reads = 0
    var flushes = 0
    var hasEndedOutput = false
    /// Nothing leaves.
    var isStuck = false
    /// The next flush finds that the connection is gone.
    var isBroken = false

    func read(context: ChannelHandlerContext) {
        self.reads += 1
        context.read()
    }

    func flush(context: ChannelHandlerContext) {
        self.flushes += 1
        if self.isBroken { context.close(promise: nil) } else if !self.isStuck { context.flush() }
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if mode == .output {
            self.hasEndedOutput = true
            promise?.succeed()
        } else {
            context.close(mode: mode, promise: promise)
        }
    }
}

extension EmbeddedChannel {
    /// A channel that is connected, with these handlers.
    static func connected(_ handlers: [any ChannelHandler]) throws -> EmbeddedChannel {
        let channel = EmbeddedChannel()
        // Asked for by those who give settings back, and not known to an embedded channel until it is set.
        try channel.syncOptions?.setOption(.writeBufferWaterMark, value: .init(low: 1, high: 2))
        try channel.pipeline.syncOperations.addHandlers(handlers)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        return channel
    }

    /// The text that has been written since the last call.
    func written() throws -> String {
        var text = ""
        while let bytes = try self.readOutbound(as: ByteBuffer.self) { text += String(buffer: bytes) }
        return text
    }

    func receive(_ text: String) throws {
        try self.writeInbound(ByteBuffer(string: text))
        self.embeddedEventLoop.run()
    }

    func endInput() {
        self.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        self.embeddedEventLoop.run()
    }
}

/// Somebody else's handler: keeps what it is told.
final class MemoryHost: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var all: [String] = []
    private(set) var context: ChannelHandlerContext?
    /// Called with the first bytes that come.
    var first: ((ChannelHandlerContext) -> Void)?

    /// All that it has been told since the last call.
    func told() -> [String] {
        defer { self.all = [] }
        return self.all
    }

    /// Answers as a server does.
    func answer(_ text: String) {
        self.context?.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
        (self.context?.eventLoop as? EmbeddedEventLoop)?.run()
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.all.append(String(buffer: self.unwrapInboundIn(data)))
        self.first.take()?(context)
    }

    func channelReadComplete(context: ChannelHandlerContext) { self.all.append("complete") }

    func channelWritabilityChanged(context: ChannelHandlerContext) { self.all.append("writability") }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) { self.all.append("\(event)") }

    func channelInactive(context: ChannelHandlerContext) { self.all.append("inactive") }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { self.all.append("error") }
}
