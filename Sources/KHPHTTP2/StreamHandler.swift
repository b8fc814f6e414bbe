// Makes a stream of HTTP/2 what a socket is to the handler behind it: bytes both ways, an end of each direction, a count of
// what has not left, and a reset.
//
//   output:  open ── close, or content that is complete: END_STREAM ──▶ ended
//   input:   open ── END_STREAM: `inputClosed` ──▶ ended
//   both ended: the stream is over. Either way RST_STREAM ends it at once; RFC 8441 section 5 has CANCEL for what TCP calls
//   a reset, and RFC 9113 section 8.1 NO_ERROR after a complete answer to a request that goes on.

import KHPProtocol
import KHPWebSocket
import NIOCore
import NIOHTTP2

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

final class StreamHandler<Exchange: StreamExchange>: ChannelDuplexHandler {
    typealias InboundIn = HTTP2Frame.FramePayload
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = HTTP2Frame.FramePayload

    /// Puts the connection's handler in place once the first head has come; `false` where there is no room for it.
    typealias Begin = (_ channel: any Channel, _ exchange: Exchange) throws -> Bool

    private enum Output {
        case untouched
        case open
        case ended
    }

    private var exchange: Exchange
    private var begin: Begin?
    private let isServer: Bool
    private var output = Output.untouched
    private var hasInputEnded = false
    private var mustTellEnd = false
    /// True where the stream is answered without a connection.
    private var isRefused = false
    private var hasBeenReset = false
    private var unwritten = 0
    /// The last write of some bytes.
    private var lastWrite: EventLoopFuture<Void>?
    private var goodbye: Scheduled<Void>?
    /// `true` of a stream that the peer does not take any more, as its GOAWAY says.
    var isLeft: (HTTP2StreamID) -> Bool = { _ in false }

    init(_ exchange: Exchange, isServer: Bool, begin: Begin? = nil) {
        self.exchange = exchange
        self.isServer = isServer
        self.begin = begin
    }

    // MARK: In

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !self.hasBeenReset else { return }
        switch self.unwrapInboundIn(data) {
        case .headers(let head):
            self.receive(head, context)
            if head.endStream { self.endInput(context) }
        case .data(let content):
            if case .byteBuffer(let bytes) = content.data, bytes.readableBytes > 0, !self.isRefused {
                context.fireChannelRead(self.wrapInboundOut(self.exchange.receive(bytes)))
            }
            if content.endStream { self.endInput(context) }
        default:
            break
        }
    }

    private func receive(_ head: HTTP2Frame.FramePayload.Headers, _ context: ChannelHandlerContext) {
        guard !self.isRefused else { return }
        do {
            let bytes = try self.exchange.receive(head.headers, isLast: head.endStream)
            if let begin = self.begin.take(), try !begin(context.channel, self.exchange) {
                // Nothing was done with it: the client may ask again (RFC 9113 section 8.7).
                self.isRefused = true
                return self.reset(context, .refusedStream)
            }
            if bytes.readableBytes > 0 { context.fireChannelRead(self.wrapInboundOut(bytes)) }
        } catch let fault as StreamFault {
            self.refuse(fault, context)
        } catch {
            self.reset(context, .internalError)
        }
    }

    private func refuse(_ fault: StreamFault, _ context: ChannelHandlerContext) {
        // Only a server answers: the fault is in the first head, before which nothing has been written.
        guard let answer = Exchange.answer(to: fault) else {
            context.fireErrorCaught(IOError(errnoCode: EPROTO, reason: fault.what))
            return self.reset(context, .protocolError)
        }
        self.isRefused = true
        self.write(answer, context, nil)
        context.flush()
        self.close(context: context, mode: .all, promise: nil)
    }

    private func endInput(_ context: ChannelHandlerContext) {
        guard !self.hasInputEnded else { return }
        self.hasInputEnded = true
        guard !self.isRefused else { return }
        let bytes = self.exchange.receiveEnd()
        if bytes.readableBytes > 0 { context.fireChannelRead(self.wrapInboundOut(bytes)) }
        self.mustTellEnd = true
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.fireChannelReadComplete()
        if self.mustTellEnd {
            self.mustTellEnd = false
            context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.goodbye?.cancel()
        self.goodbye = nil
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let closed = error as? NIOHTTP2Errors.StreamClosed {
            // This side has reset the stream itself.
            if self.hasBeenReset { return }
            if let refusal = self.refusal(closed) { return context.fireErrorCaught(refusal) }
            let reason = "the peer reset the stream: \(closed.errorCode)"
            return context.fireErrorCaught(IOError(errnoCode: ECONNRESET, reason: reason))
        }
        context.fireErrorCaught(error)
    }

    /// The error of a client's request with which the server has done nothing; `nil` for any other end.
    private func refusal(_ closed: NIOHTTP2Errors.StreamClosed) -> WebSocketError? {
        guard !self.isServer, !self.exchange.isTunnel else { return nil }
        var error: WebSocketError
        if self.isLeft(closed.streamID) || closed.errorCode == .refusedStream {
            error = WebSocketError(.connectFailed, "The server did not take the stream on its HTTP/2 connection.")
            error.streamRefusal = .unprocessed
        } else if closed.errorCode == .http11Required {
            error = WebSocketError(.openingInvalid, "The server asks for HTTP/1.1 in the place of HTTP/2.")
            error.streamRefusal = .wantsHTTP1
        } else {
            return nil
        }
        return error
    }

    // MARK: Out

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let bytes = self.unwrapOutboundIn(data)
        if case .ended = self.output {
            if bytes.readableBytes > 0 { promise?.fail(ChannelError.outputClosed) } else { self.finish(promise) }
            return
        }
        guard bytes.readableBytes > 0 else { return self.finish(promise) }
        if self.exchange.isTunnel {
            return self.write(bytes, isLast: false, context, promise)
        }
        do throws(StreamFault) {
            self.write(try self.exchange.send(bytes), context, promise)
        } catch {
            assertionFailure("what we say cannot be said in HTTP/2: \(error.what)")
            promise?.fail(error)
            self.reset(context, .internalError)
        }
    }

    /// Keeps a promise once all that was written has left: no frame is needed for that.
    private func finish(_ promise: EventLoopPromise<Void>?) {
        guard let promise else { return }
        if self.unwritten > 0, let lastWrite { lastWrite.cascade(to: promise) } else { promise.succeed() }
    }

    private func write(_ pieces: [StreamPiece], _ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?) {
        guard let last = pieces.last else {
            promise?.succeed()
            return
        }
        for piece in pieces.dropLast() { self.write(piece, context, nil) }
        self.write(last, context, promise)
    }

    private func write(_ piece: StreamPiece, _ context: ChannelHandlerContext, _ promise: EventLoopPromise<Void>?) {
        switch piece {
        case .head(let fields, let isLast):
            self.output = isLast ? .ended : .open
            let head = HTTP2Frame.FramePayload.Headers(headers: fields, endStream: isLast)
            context.write(self.wrapOutboundOut(.headers(head)), promise: promise)
        case .content(let bytes, let isLast):
            if isLast { self.output = .ended }
            self.write(bytes, isLast: isLast, context, promise)
        }
    }

    private func write(
        _ bytes: ByteBuffer,
        isLast: Bool,
        _ context: ChannelHandlerContext,
        _ promise: EventLoopPromise<Void>?
    ) {
        let count = bytes.readableBytes
        self.unwritten += count
        let written = promise ?? context.eventLoop.makePromise(of: Void.self)
        self.lastWrite = written.futureResult
        written.futureResult.assumeIsolated().whenComplete { _ in self.unwritten -= count }
        let data = HTTP2Frame.FramePayload.Data(data: .byteBuffer(bytes), endStream: isLast)
        context.write(self.wrapOutboundOut(.data(data)), promise: written)
    }

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        switch event {
        case let question as UnwrittenBytesOfStream:
            question.count = self.unwritten
            promise?.succeed()
        case is StreamReset:
            let isComplete = if case .ended = self.output { self.unwritten == 0 } else { false }
            self.reset(context, isComplete && self.isServer ? .noError : .cancel)
            promise?.succeed()
        default:
            context.triggerUserOutboundEvent(event, promise: promise)
        }
    }

    // MARK: The end

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        switch mode {
        case .input:
            promise?.fail(ChannelError.operationUnsupported)
        case .output:
            self.endOutput(context)
            promise?.succeed()
        case .all:
            if let promise { context.channel.closeFuture.cascade(to: promise) }
            guard !self.hasBeenReset else { return }
            if case .untouched = self.output { return self.reset(context, .cancel) }
            self.endOutput(context)
            // Bounds the time in which a refusal leaves, which no other handler does; a connection closes once all has left.
            if !self.hasInputEnded || (self.isRefused && self.unwritten > 0) { self.awaitEnd(context) }
        }
    }

    private func endOutput(_ context: ChannelHandlerContext) {
        guard case .open = self.output else { return }
        self.output = .ended
        let data = HTTP2Frame.FramePayload.Data(data: .byteBuffer(ByteBuffer()), endStream: true)
        context.writeAndFlush(self.wrapOutboundOut(.data(data)), promise: nil)
    }

    /// The peer ends its side of the stream and takes what was written in a moment, or the stream is reset.
    private func awaitEnd(_ context: ChannelHandlerContext) {
        // The last write may have ended the connection.
        guard self.goodbye == nil, context.channel.isActive else { return }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        self.goodbye = context.eventLoop.scheduleTask(in: EndTimeouts().goodbye) {
            let (handler, context) = bound.value
            handler.reset(context, handler.isServer ? .noError : .cancel)
        }
    }

    private func reset(_ context: ChannelHandlerContext, _ code: HTTP2ErrorCode) {
        guard !self.hasBeenReset else { return }
        self.hasBeenReset = true
        self.goodbye?.cancel()
        // A client's stream that has said nothing is not on the wire.
        guard self.isServer || self.output != .untouched else { return context.close(promise: nil) }
        context.writeAndFlush(self.wrapOutboundOut(.rstStream(code)), promise: nil)
    }
}

extension NIOHTTP2Handler.StreamConfiguration {
    /// Sets the bounds of the unwritten bytes of a stream.
    mutating func setWriteMarks(_ limits: Limits) {
        // swift-nio-http2 requires a low mark below the high one.
        let marks = limits.writeMarks
        self.outboundBufferSizeHighWatermark = marks.high
        self.outboundBufferSizeLowWatermark = min(marks.low, marks.high - 1)
    }
}
