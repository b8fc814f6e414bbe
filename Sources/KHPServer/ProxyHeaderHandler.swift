// Stands before everything else on a connection whose proxy names its client: takes that header, and goes.
//
//   waiting ── the header ──▶ gone: what follows is the client's
//      └─── bytes that are none ──▶ closed, without an answer

import KHPProtocol
import KHPWebSocket
import NIOCore

final class ProxyHeaderHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private var received = ByteBuffer()
    private var isOver = false
    /// Takes the header; `false` where there is no room for its client.
    private let named: (ProxyHeader) -> Bool
    /// Told of bytes that are no header.
    private let failed: (ProxyHeaderError, ByteBuffer) -> Void

    init(named: @escaping (ProxyHeader) -> Bool, failed: @escaping (ProxyHeaderError, ByteBuffer) -> Void) {
        self.named = named
        self.failed = failed
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if self.isOver { return }
        self.received.writeImmutableBuffer(self.unwrapInboundIn(data))
        do throws(ProxyHeaderError) {
            guard let header = try ProxyHeader.read(&self.received) else { return }
            self.isOver = true
            guard self.named(header) else { return context.close(promise: nil) }
            let rest = self.received
            if rest.readableBytes > 0 { context.fireChannelRead(self.wrapInboundOut(rest)) }
            context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
        } catch {
            self.isOver = true
            self.failed(error, self.received)
            context.close(promise: nil)
        }
    }
}

/// Stands before TLS on a connection that is to begin with no such header, and goes with the first bytes: to TLS a header is
/// rubbish like any other.
final class UnwantedProxyHeaderHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let found: () -> Void

    /// - Parameter found: called where the first bytes begin a header.
    init(found: @escaping () -> Void) {
        self.found = found
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if ProxyHeader.begins(self.unwrapInboundIn(data).readableBytesView) { self.found() }
        context.fireChannelRead(data)
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
    }
}
