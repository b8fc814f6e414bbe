// Stands between the network and somebody else's HTTP/1 codec while the mount takes the connection: what they write is
// dropped, and what comes waits; behind it all is the mount's.
//
//   waiting ── the codec is gone ──▶ closed: for their handlers the connection says nothing more, but that it ends

import NIOCore
import NIOHTTP1

final class UpgradeWall: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    /// Bytes of theirs, or files.
    typealias OutboundIn = Any

    /// The bytes that the decoder had not read, ahead of what has come since.
    private var unread = ByteBuffer()
    private var waiting = ByteBuffer()
    private var hasInputEnded = false
    private var isClosed = false

    /// Puts a wall in front of the codec of a pipeline, and has what its decoder gives back.
    static func build(in channel: any Channel) throws {
        let pipeline = channel.pipeline.syncOperations
        guard let encoder = try? pipeline.context(handlerType: HTTPResponseEncoder.self).handler,
            let decoder = try? pipeline.context(handlerType: ByteToMessageHandler<HTTPRequestDecoder>.self).handler
        else { throw WebSocketUpgradeError.noCodec }
        let wall = UpgradeWall()
        let leftover = Leftover { wall.unread.writeImmutableBuffer($0) }
        try pipeline.addHandler(leftover, position: .after(decoder))
        try pipeline.addHandler(wall, position: .before(encoder))
    }

    /// Nothing is to come through any more.
    /// - Returns: the bytes that wait, and true where the client has ended its side behind them.
    func close() -> (ByteBuffer, Bool) {
        self.isClosed = true
        self.unread.writeImmutableBuffer(self.waiting)
        return (self.unread, self.hasInputEnded)
    }

    // MARK: From the network

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if !self.isClosed { self.waiting.writeImmutableBuffer(self.unwrapInboundIn(data)) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        // Of a read that began before the wall was there.
        if !self.isClosed { context.fireChannelReadComplete() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent {
            self.hasInputEnded = true
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }

    // MARK: From their handlers

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) { promise?.succeed() }

    func flush(context: ChannelHandlerContext) {}

    func read(context: ChannelHandlerContext) {
        if !self.isClosed { context.read() }
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if self.isClosed { promise?.succeed() } else { context.close(mode: mode, promise: promise) }
    }
}

/// Takes the bytes that a decoder forwards as it is removed; all else passes.
private final class Leftover: ChannelInboundHandler {
    /// Parts of a request, or bytes.
    typealias InboundIn = Any

    private let take: (ByteBuffer) -> Void

    init(_ take: @escaping (ByteBuffer) -> Void) { self.take = take }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .byteBuffer(let bytes)? = self.unwrapInboundIn(data) as? IOData {
            self.take(bytes)
        } else {
            context.fireChannelRead(data)
        }
    }
}
