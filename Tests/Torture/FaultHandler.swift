// The handler nearest to the wire, where the operations of a channel fail as a socket's do.

import KHPWebSocket
import NIOCore
import NIOSSL

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

final class FaultHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let side: Side
    private let plan: FaultPlan
    private let watch: Watch
    private var isDeaf = false
    private var hasStoppedReading = false
    private var hasStoppedWriting = false
    private var hasFallenSilent = false
    /// `true` where a handler is to stand above TLS, and does not yet.
    private var goesAboveTLS: Bool

    init(_ side: Side, _ plan: FaultPlan, _ watch: Watch) {
        self.side = side
        self.plan = plan
        self.watch = watch
        self.goesAboveTLS = [.tls(side, .handshake), .tls(side, .goodbye)].contains(plan.fault?.operation)
    }

    private static let reset = IOError(errnoCode: ECONNRESET, reason: "a reset of the test's")

    // MARK: In

    func channelActive(context: ChannelHandlerContext) {
        self.lookForHandlers(context)
        context.fireChannelActive()
        self.lookForHandlers(context)
        switch self.plan.next(.up(self.side)) {
        case .resets?:
            self.breakDown(context)
        case .ends?:
            self.isDeaf = true
            context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        default:
            break
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.lookForHandlers(context)
        if self.isDeaf { return }
        switch self.plan.next(.read(self.side)) {
        case .resets?:
            self.breakDown(context)
        case .ends?:
            self.isDeaf = true
            context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        case .isCut?:
            let bytes = self.unwrapInboundIn(data)
            if let half = bytes.getSlice(at: bytes.readerIndex, length: bytes.readableBytes / 2) {
                context.fireChannelRead(self.wrapInboundOut(half))
                context.fireChannelReadComplete()
            }
            self.breakDown(context)
        case .isCorrupt?:
            var bytes = self.unwrapInboundIn(data)
            let other = bytes.readableBytesView.map { $0 ^ 0xFF }
            bytes.clear()
            bytes.writeBytes(other)
            context.fireChannelRead(self.wrapInboundOut(bytes))
        case .goesSilent?:
            self.isDeaf = true
        default:
            context.fireChannelRead(data)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if self.isDeaf, case .inputClosed? = event as? ChannelEvent { return }
        context.fireUserInboundEventTriggered(event)
    }

    private func breakDown(_ context: ChannelHandlerContext) {
        self.isDeaf = true
        context.fireErrorCaught(Self.reset)
        context.close(promise: nil)
    }

    // MARK: Out

    func read(context: ChannelHandlerContext) {
        self.lookForHandlers(context)
        if self.plan.next(.demand(self.side)) == .stalls { self.hasStoppedReading = true }
        if !self.hasStoppedReading { context.read() }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        self.lookForHandlers(context)
        switch self.plan.next(.write(self.side)) {
        case .resets?:
            promise?.fail(Self.reset)
            context.close(promise: nil)
        case .isCut?:
            let bytes = self.unwrapOutboundIn(data)
            if let half = bytes.getSlice(at: bytes.readerIndex, length: bytes.readableBytes / 2) {
                context.writeAndFlush(self.wrapOutboundOut(half), promise: nil)
            }
            promise?.fail(Self.reset)
            context.close(promise: nil)
        default:
            context.write(data, promise: promise)
        }
    }

    func flush(context: ChannelHandlerContext) {
        switch self.plan.next(.flush(self.side)) {
        case .resets?: context.close(promise: nil)
        case .stalls?: self.hasStoppedWriting = true
        default: if !self.hasStoppedWriting { context.flush() }
        }
    }

    func connect(context: ChannelHandlerContext, to address: SocketAddress, promise: EventLoopPromise<Void>?) {
        if self.plan.next(.connect) == .fails {
            promise?.fail(IOError(errnoCode: ECONNREFUSED, reason: "a refusal of the test's"))
        } else {
            context.connect(to: address, promise: promise)
        }
    }

    /// Bytes of this side are lost from now on, and so is its end.
    private func fallSilent() {
        self.hasStoppedWriting = true
        self.hasFallenSilent = true
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard self.hasFallenSilent, mode == .output else { return context.close(mode: mode, promise: promise) }
        promise?.succeed()
    }

    /// The handlers of the product have short patience in these runs, and must be gone behind them.
    private func lookForHandlers(_ context: ChannelHandlerContext) {
        for handler in PipelineWalk.handlers(of: context.pipeline) {
            if let name = PipelineWalk.ownName(handler) {
                guard self.watch.isNew(handler) else { continue }
                self.watch.note(handler, "\(self.side) \(name)")
                guard let handler = handler as? ConnectionHandler else { continue }
                handler.ending.timeouts.flush = .milliseconds(150)
                handler.ending.timeouts.linger = .milliseconds(60)
                handler.ending.timeouts.goodbye = .milliseconds(60)
            } else if self.goesAboveTLS, handler is NIOSSLHandler {
                self.goesAboveTLS = false
                let above = TLSFaultHandler(self.side, self.plan) { self.fallSilent() }
                try? context.pipeline.syncOperations.addHandler(above, position: .after(handler))
            }
        }
    }
}
