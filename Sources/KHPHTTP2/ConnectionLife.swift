// The life of a connection of HTTP/2, beside its streams: without any it is closed after a while (threat A18), and while the
// server shuts down it sends GOAWAY, and is closed with the last of them.
//
//   open ── the server shuts down: GOAWAY; or the peer's GOAWAY ──▶ leaving ── no stream is left ──▶ closed
//     └── no stream for too long: GOAWAY; an error of the connection; the end of the peer's bytes ──▶ closed

import KHPWebSocket
import NIOCore
import NIOHTTP2

final class ConnectionLife: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame
    typealias InboundOut = HTTP2Frame
    typealias OutboundOut = HTTP2Frame

    /// The times that a connection may be without a stream.
    struct IdleTimeouts {
        /// Before the first stream.
        let first: TimeAmount
        /// After the end of the last stream.
        let next: TimeAmount
    }

    private let timeouts: IdleTimeouts
    private var streams = 0
    /// Streams of ours that are made, or were made and are not over.
    private var places = 0
    /// The most streams at a time that the peer allows.
    var mostStreams = Int.max
    /// The last stream that the peer takes, from its GOAWAY; `nil` before that.
    private var lastStream: HTTP2StreamID?
    private var isLeaving = false
    private var idle: Scheduled<Void>?
    private var context: ChannelHandlerContext?

    init(_ timeouts: IdleTimeouts) { self.timeouts = timeouts }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        self.wait(self.timeouts.first)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.idle?.cancel()
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .goAway(let last, _, _) = self.unwrapInboundIn(data).payload {
            self.lastStream = last
            self.leave()
        }
        context.fireChannelRead(data)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case is ChannelShouldQuiesceEvent:
            if !self.isLeaving { self.sayGoAway() }
            self.leave()
        case is CarrierRetirement:
            self.retire()
        case let event as ChannelEvent where event == .inputClosed:
            self.cut(context)
        default:
            break
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A stream's, or one that has been answered with GOAWAY.
        if error is any NIOHTTP2Error || error is NIOHTTP2Errors.StreamError { return }
        context.close(promise: nil)
    }

    // MARK: Streams

    func streamOpened() {
        self.streams += 1
        self.idle?.cancel()
        self.idle = nil
    }

    func streamClosed() {
        self.streams -= 1
        self.checkUse()
    }

    /// A stream of ours is to be made, until ``givePlaceBack()``.
    /// - Returns: `false` where there is no room for it, or the connection is about to end.
    func takePlace() -> Bool {
        guard !self.isLeaving, self.context?.channel.isActive == true, self.places < self.mostStreams else {
            return false
        }
        self.places += 1
        self.idle?.cancel()
        self.idle = nil
        return true
    }

    func givePlaceBack() {
        self.places -= 1
        self.checkUse()
    }

    /// `true` of a stream with which the peer has done nothing, and never will (RFC 9113 section 6.8).
    func isLeft(_ stream: HTTP2StreamID) -> Bool { self.lastStream.map { stream > $0 } ?? false }

    /// Opens no more streams: sends GOAWAY, and ends the connection with its last stream.
    func retire() {
        guard !self.isLeaving else { return }
        self.sayGoAway()
        self.leave()
    }

    private var isUnused: Bool { self.streams == 0 && self.places == 0 }

    private func checkUse() {
        guard self.isUnused else { return }
        if self.isLeaving { self.closeSoon() } else { self.wait(self.timeouts.next) }
    }

    // MARK: The end

    private func wait(_ time: TimeAmount) {
        guard let context else { return }
        self.idle?.cancel()
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        self.idle = context.eventLoop.scheduleTask(in: time) {
            bound.value.sayGoAway()
            bound.value.leave()
        }
    }

    private func leave() {
        self.isLeaving = true
        if self.isUnused { self.closeSoon() }
    }

    /// The peer has ended its bytes: TLS would wait for a notification that cannot come.
    private func cut(_ context: ChannelHandlerContext) {
        (context.pipeline.belowTLS ?? context).close(promise: nil)
    }

    private func sayGoAway() {
        guard let context else { return }
        // Streams that come all the same are refused one by one, so that none is lost.
        let frame = HTTP2Frame.FramePayload.goAway(lastStreamID: .maxID, errorCode: .noError, opaqueData: nil)
        context.writeAndFlush(self.wrapOutboundOut(HTTP2Frame(streamID: .rootStream, payload: frame)), promise: nil)
    }

    /// Closes the connection after what this turn of the loop writes.
    private func closeSoon() {
        guard let context else { return }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.execute { bound.value.context?.close(promise: nil) }
    }
}

/// Tells of the streams on the connection's event loop.
struct StreamCount: NIOHTTP2StreamDelegate {
    let life: NIOLoopBound<ConnectionLife>

    func streamCreated(_ id: HTTP2StreamID, channel: any Channel) {
        self.onLoop { $0.streamOpened() }
    }

    func streamClosed(_ id: HTTP2StreamID, channel: any Channel) {
        self.onLoop { $0.streamClosed() }
    }

    private func onLoop(_ body: @escaping @Sendable (ConnectionLife) -> Void) {
        if self.life.eventLoop.inEventLoop {
            body(self.life.value)
        } else {
            self.life.eventLoop.execute { body(self.life.value) }
        }
    }
}
