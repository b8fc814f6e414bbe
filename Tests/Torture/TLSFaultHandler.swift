// The steps of TLS that only a handler above it sees.

import NIOCore
import NIOTLS

/// Stands above TLS, where its handshake can come late to those above, and its goodbye can be kept from leaving.
final class TLSFaultHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer

    private let side: Side
    private let plan: FaultPlan
    /// Lets nothing leave any more.
    private let silence: () -> Void
    private var context: ChannelHandlerContext?
    private var isHolding = false
    private var event: TLSUserEvent?
    private var reads: [NIOAny] = []

    init(_ side: Side, _ plan: FaultPlan, silence: @escaping () -> Void) {
        self.side = side
        self.plan = plan
        self.silence = silence
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        self.reads = []
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard let complete = event as? TLSUserEvent, case .handshakeCompleted = complete else {
            return context.fireUserInboundEventTriggered(event)
        }
        let way = self.plan.next(.tls(self.side, .handshake))
        guard way == .isSlow || way == .isLate else { return context.fireUserInboundEventTriggered(event) }
        self.isHolding = true
        self.event = complete
        guard way == .isSlow else { return }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: TLSFaults.moment) { bound.value.letGo() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if self.isHolding { self.reads.append(data) } else { context.fireChannelRead(data) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if !self.isHolding { context.fireChannelReadComplete() }
    }

    private func letGo() {
        guard let context, let event = self.event.take() else { return }
        self.isHolding = false
        context.fireUserInboundEventTriggered(event)
        guard !self.reads.isEmpty else { return }
        for data in self.reads { context.fireChannelRead(data) }
        self.reads = []
        context.fireChannelReadComplete()
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if self.plan.next(.tls(self.side, .goodbye)) == .stalls { self.silence() }
        context.close(mode: mode, promise: promise)
    }
}
