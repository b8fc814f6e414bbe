// Bounds what a client that reads nothing makes this side hold: while a connection of HTTP/2 cannot be written to, it is not
// read from, so that no more requests come; and where none of its bytes leave for too long, it is cut (threats A19 and B16).
//
//   writable ── reads pass ── the buffer of the socket is full ──▶ full ── writable again: a held read goes on ──▶ writable
//                                                  full ── nothing has left for `stalledWrite` ──▶ cut

import KHPWebSocket
import NIOCore

/// Stands between TLS and the handler of frames. What waits leaves as the client takes it, for which nothing has to be read:
/// windows of HTTP/2 hold back frames above, and none that the socket has been given.
final class CarrierGate: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = IOData
    typealias OutboundOut = IOData

    /// Looks at the bytes within ``stalledWrite``: a client that takes nothing is cut at most an eighth of it late.
    private static let looks = 8

    private let interval: TimeAmount
    private var hasHeldRead = false
    /// The bytes that had not left at the last look.
    private var unwritten = 0
    /// The looks since bytes have left.
    private var idleLooks = 0
    private var look: Scheduled<Void>?

    /// - Parameter stalledWrite: how long the client may take none of the bytes, while the connection cannot be written to.
    init(stalledWrite: TimeAmount) {
        self.interval = max(.nanoseconds(stalledWrite.nanoseconds / Int64(Self.looks)), .milliseconds(1))
    }

    func handlerAdded(context: ChannelHandlerContext) {
        // The channel reports changes only.
        if !context.channel.isWritable { self.watch(context) }
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.endWatch() }

    func channelInactive(context: ChannelHandlerContext) {
        self.endWatch()
        context.fireChannelInactive()
    }

    func read(context: ChannelHandlerContext) {
        if context.channel.isWritable { context.read() } else { self.hasHeldRead = true }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { self.endWatch() } else { self.watch(context) }
        // Frames that wait in the handler of frames go first, and may fill the socket again.
        context.fireChannelWritabilityChanged()
        guard self.hasHeldRead, context.channel.isWritable else { return }
        self.hasHeldRead = false
        context.read()
    }

    // MARK: The client's progress

    private func watch(_ context: ChannelHandlerContext) {
        guard self.look == nil, context.channel.isActive else { return }
        self.unwritten = TransportEnd.unwrittenBytes(.tls, context)
        self.idleLooks = 0
        self.lookLater(context)
    }

    private func endWatch() {
        self.look?.cancel()
        self.look = nil
    }

    private func lookLater(_ context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        self.look = context.eventLoop.scheduleTask(in: self.interval) {
            let (gate, context) = bound.value
            gate.lookNow(context)
        }
    }

    private func lookNow(_ context: ChannelHandlerContext) {
        self.look = nil
        let unwritten = TransportEnd.unwrittenBytes(.tls, context)
        self.idleLooks = unwritten < self.unwritten ? 0 : self.idleLooks + 1
        self.unwritten = unwritten
        if self.idleLooks < Self.looks { self.lookLater(context) } else { TransportEnd.cut(.tls, context) }
    }
}
