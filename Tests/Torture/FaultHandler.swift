// The handler nearest to the wire, where the operations of a channel fail as a socket's do.

import KHPWebSocket
import NIOCore

@testable import KHPServer

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
    /// The last handler that was seen: behind an exchange of HTTP comes another.
    private weak var known: ConnectionHandler?
    private var isHTTPKnown = false

    init(_ side: Side, _ plan: FaultPlan, _ watch: Watch) {
        self.side = side
        self.plan = plan
        self.watch = watch
    }

    private static let reset = IOError(errnoCode: ECONNRESET, reason: "a reset of the test's")

    // MARK: In

    func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
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

    /// The handlers of the product have short patience in these runs, and must be gone behind them.
    private func lookForHandlers(_ context: ChannelHandlerContext) {
        let pipeline = context.pipeline.syncOperations
        if !self.isHTTPKnown, self.side == .server, let handler = try? pipeline.handler(type: HTTPHandler.self) {
            self.isHTTPKnown = true
            self.watch.note(handler, "handler of HTTP")
        }
        if self.known != nil, !self.isHTTPKnown { return }
        if let handler = try? pipeline.handler(type: ConnectionHandler.self), handler !== self.known {
            self.known = handler
            handler.ending.timeouts.flush = .milliseconds(150)
            handler.ending.timeouts.linger = .milliseconds(60)
            handler.ending.timeouts.goodbye = .milliseconds(60)
            self.watch.note(handler, "\(self.side) handler")
        }
    }
}
