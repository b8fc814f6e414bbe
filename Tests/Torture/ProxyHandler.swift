// A proxy that opens every tunnel: CONNECT or SOCKS 5, told apart by the first byte.

import NIOCore

final class ProxyHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Connects to a port behind the proxy; the handler stands at the proxy's end.
    typealias Connect = @Sendable (_ port: Int, _ handler: NIOLoopBound<Relay>) -> Void

    private let connect: Connect
    private var received = ByteBuffer()
    private var hasGreeted = false

    init(_ connect: @escaping Connect) { self.connect = connect }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = self.unwrapInboundIn(data)
        self.received.writeBuffer(&bytes)
        guard let first = self.received.getInteger(at: self.received.readerIndex, as: UInt8.self) else { return }
        if first == 5 { self.readSocks(context) } else { self.readConnect(context) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { context.close(promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func readConnect(_ context: ChannelHandlerContext) {
        let head = String(buffer: self.received)
        guard head.hasSuffix("\r\n\r\n") else { return }
        let target = head.split(separator: " ").dropFirst().first ?? ""
        let port = target.split(separator: ":").last.flatMap { Int($0) } ?? 0
        self.open(context, port, "HTTP/1.1 200 Connection established\r\n\r\n".utf8.map { $0 })
    }

    private func readSocks(_ context: ChannelHandlerContext) {
        let bytes = Array(self.received.readableBytesView)
        if !self.hasGreeted {
            guard bytes.count >= 2, bytes.count >= 2 + Int(bytes[1]) else { return }
            self.hasGreeted = true
            self.received.clear()
            context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(bytes: [5, 0])), promise: nil)
        } else {
            guard bytes.count >= 10 else { return }
            let port = Int(bytes[bytes.count - 2]) << 8 | Int(bytes[bytes.count - 1])
            self.open(context, port, [5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
        }
    }

    private func open(_ context: ChannelHandlerContext, _ port: Int, _ answer: [UInt8]) {
        let near = Relay()
        let far = Relay()
        near.partner = far
        far.partner = near
        let pipeline = context.pipeline.syncOperations
        do {
            try pipeline.addHandler(near)
        } catch {
            return context.close(promise: nil)
        }
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(bytes: answer)), promise: nil)
        pipeline.removeHandler(self, promise: nil)
        self.connect(port, NIOLoopBound(far, eventLoop: context.eventLoop))
    }

    /// One end of a tunnel. It hands on all that it reads, and each end of the stream for itself.
    final class Relay: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        fileprivate var partner: Relay?
        private var context: ChannelHandlerContext?
        private var waiting: [ByteBuffer] = []
        private var hasEnded = false
        private var hasSeenEnd = false

        fileprivate init() {}

        func handlerAdded(context: ChannelHandlerContext) {
            self.context = context
            if context.channel.isActive { self.channelActive(context: context) }
        }

        func channelActive(context: ChannelHandlerContext) {
            for bytes in self.waiting { context.write(self.wrapOutboundOut(bytes), promise: nil) }
            self.waiting = []
            context.flush()
            if self.hasEnded { self.end() }
        }

        func handlerRemoved(context: ChannelHandlerContext) {
            self.context = nil
            self.gone()
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.partner?.say(self.unwrapInboundIn(data))
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            guard case .inputClosed? = event as? ChannelEvent else { return }
            self.hasSeenEnd = true
            self.partner?.end()
            if self.hasEnded { context.close(promise: nil) }
        }

        func channelInactive(context: ChannelHandlerContext) { self.gone() }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

        /// There is nobody on the other end.
        func gone() {
            let partner = self.partner.take()
            partner?.partner = nil
            partner?.context?.close(promise: nil)
        }

        private func say(_ bytes: ByteBuffer) {
            if let context, context.channel.isActive {
                context.writeAndFlush(self.wrapOutboundOut(bytes), promise: nil)
            } else {
                self.waiting.append(bytes)
            }
        }

        private func end() {
            self.hasEnded = true
            guard let context, context.channel.isActive else { return }
            context.close(mode: self.hasSeenEnd ? .all : .output, promise: nil)
        }
    }
}
