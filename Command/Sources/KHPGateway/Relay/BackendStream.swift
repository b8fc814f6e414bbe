// A byte stream to a backend: TCP, TLS or a Unix domain socket. It is read only while its client takes what comes, and an end
// that lost something never looks like an orderly one.

import KHPProtocol
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

final class BackendStream: ChannelInboundHandler, BackendSide {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// The stages of a backend's connection.
    ///
    ///     waiting ──a session opens──▶ relaying ──its client ends──▶ finishing ──the end has left──▶ draining
    private enum Stage {
        /// Bytes that come are kept for the session.
        case waiting
        case relaying(any BackendTaker)
        /// All that was sent is leaving.
        case finishing
        /// Our end has left, and the backend may still speak for a moment.
        case draining
        case over
    }

    private let rules: GatewayConfiguration.Relay
    private var context: ChannelHandlerContext?
    private var stage = Stage.waiting
    /// The bytes that came before the session.
    private var early = ByteBuffer()
    /// The end of the backend's stream, once that has come.
    private var end: BackendEnd?
    private var isPaused = false
    private var isFlushScheduled = false
    private(set) var isWritable = true
    private var memory = ReadMemory()
    private var memoryLook: Scheduled<Void>?

    init(_ rules: GatewayConfiguration.Relay) {
        self.rules = rules
    }

    // MARK: The relay's

    var bufferedBytes: Int { (try? self.context?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0 }

    func begin(for taker: any BackendTaker) {
        switch self.stage {
        case .waiting: self.stage = .relaying(taker)
        // It broke off before anybody had it.
        case .over: self.end = self.end ?? .reset("the connection ended")
        case .relaying, .finishing, .draining: return
        }
        if self.early.readableBytes > 0 {
            let early = self.early
            self.early = ByteBuffer()
            taker.backendSent(early)
        }
        if let end { return taker.backendEnded(end) }
        if !self.isPaused { self.context?.read() }
    }

    func send(_ kind: MessageKind, _ bytes: ByteBuffer, isFirst: Bool, isLast: Bool) {
        guard let context, bytes.readableBytes > 0 else { return }
        context.write(self.wrapOutboundOut(bytes), promise: nil)
        guard !self.isFlushScheduled else { return }
        self.isFlushScheduled = true
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.execute {
            bound.value.isFlushScheduled = false
            bound.value.context?.flush()
        }
    }

    func pauseReading() { self.isPaused = true }

    func resumeReading() {
        guard self.isPaused else { return }
        self.isPaused = false
        self.context?.read()
    }

    func finish(after end: SessionEnd) {
        switch self.stage {
        case .waiting, .relaying: break
        case .finishing, .draining, .over: return
        }
        guard let context else { return self.stage = .over }
        self.stage = .finishing
        self.isPaused = false
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        let flushed = context.eventLoop.makePromise(of: Void.self)
        // A client that was cut has not said all: the backend is not to take it for a whole stream.
        let isWhole = end.isOrderly
        flushed.futureResult.whenSuccess { if isWhole { bound.value.endOutput() } else { bound.value.reset() } }
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer()), promise: flushed)
        context.read()
        if case .finishing = self.stage { self.watchFinish(left: .max) }
    }

    func reset() {
        self.stage = .over
        guard let context, context.channel.isActive else { return }
        // Without this a close looks like an end in good order.
        _ = (context.channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
        // TLS would say goodbye first, and wait for a backend that has fallen silent.
        let tls = try? context.pipeline.syncOperations.context(handlerType: NIOSSLHandler.self)
        (tls ?? context).close(promise: nil)
    }

    // MARK: Ending

    private func endOutput() {
        guard case .finishing = self.stage, let context else { return }
        if self.end != nil { return self.close() }
        self.stage = .draining
        context.close(mode: .output, promise: nil)
        context.read()
        let time = TimeAmount(self.rules.halfClose)
        self.letGoLater(in: time, by: .now() + TimeAmount(self.rules.stalled) + time)
    }

    /// The least time between two looks at a connection: none at all would leave the event loop to this one.
    private static let leastPause = TimeAmount.milliseconds(50)

    /// Lets go of a backend that goes on for too long after its end has come. While bytes are still on their way to a slow
    /// one, that has not come: a reset would overtake them.
    private func letGoLater(in time: TimeAmount, by deadline: NIODeadline) {
        guard case .draining = self.stage, let context else { return }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        let look = context.eventLoop.scheduleTask(in: time) {
            bound.value.hasReceivedEnd { hasIt in
                guard case .draining = bound.value.stage else { return }
                if hasIt {
                    bound.value.close()
                } else if .now() >= deadline {
                    bound.value.reset()
                } else {
                    bound.value.letGoLater(in: max(time, Self.leastPause), by: deadline)
                }
            }
        }
        context.channel.closeFuture.whenComplete { _ in look.cancel() }
    }

    /// Calls `body` with `true` where the other system has acknowledged all bytes, and our end after them.
    private func hasReceivedEnd(_ body: @escaping @Sendable (Bool) -> Void) {
        #if os(Linux)
            if let provider = self.context?.channel as? any SocketOptionProvider, self.isTCP {
                // In this state an end that was sent waits for its acknowledgement (RFC 9293 section 3.3.2).
                return provider.getTCPInfo().whenComplete { info in
                    body((try? info.get()).map { UInt32($0.tcpi_state) != UInt32(TCP_FIN_WAIT1) } ?? true)
                }
            }
        #endif
        body(true)
    }

    private var isTCP: Bool { self.context?.channel.remoteAddress?.port != nil }

    private func close() {
        self.stage = .over
        self.context?.close(promise: nil)
    }

    /// Breaks off where the backend takes nothing for too long.
    private func watchFinish(left: Int) {
        guard case .finishing = self.stage, let context else { return }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        let look = context.eventLoop.scheduleTask(in: max(TimeAmount(self.rules.stalled), Self.leastPause)) {
            guard case .finishing = bound.value.stage else { return }
            let now = bound.value.bufferedBytes
            if now < left { bound.value.watchFinish(left: now) } else { bound.value.reset() }
        }
        context.channel.closeFuture.whenComplete { _ in look.cancel() }
    }

    private func ended(_ end: BackendEnd) {
        guard self.end == nil else { return }
        self.end = end
        switch self.stage {
        case .relaying(let taker): taker.backendEnded(end)
        case .draining: self.close()
        case .waiting, .finishing, .over: break
        }
    }

    // MARK: The channel

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.ended(.reset("the connection ended"))
        self.memoryLook?.cancel()
        self.context = nil
        self.stage = .over
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch self.stage {
        case .relaying(let taker):
            let bytes = self.unwrapInboundIn(data)
            if bytes.writableBytes == 0 { self.noteFull(bytes, context) }
            taker.backendSent(bytes)
        case .waiting:
            var bytes = self.unwrapInboundIn(data)
            self.early.writeBuffer(&bytes)
        case .finishing, .draining, .over:
            break
        }
    }

    /// A read has filled its buffer: the memory of such reads goes when no more come.
    @inline(never)
    private func noteFull(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        if self.memory.noteFull(bytes, context.channel.syncOptions) { self.lookAtMemoryLater(context) }
    }

    private func lookAtMemoryLater(_ context: ChannelHandlerContext) {
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        let look = context.eventLoop.scheduleTask(in: ReadMemory.pause) {
            guard let context = bound.value.context else { return }
            if bound.value.memory.look(context.channel.syncOptions) { bound.value.lookAtMemoryLater(context) }
        }
        self.memoryLook = look
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        switch self.stage {
        case .waiting: break
        case .relaying, .finishing, .draining: if !self.isPaused { context.read() }
        case .over: break
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        self.isWritable = context.channel.isWritable
        if !self.isWritable { self.watchWrite(context) }
        if case .relaying(let taker) = self.stage { taker.backendWritabilityChanged() }
    }

    /// Learns why a write fails that nothing was taken of: the channel tells only those who wait for it.
    private func watchWrite(_ context: ChannelHandlerContext) {
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.whenFailure { bound.value.failed($0) }
        context.write(self.wrapOutboundOut(ByteBuffer()), promise: written)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .inputClosed? = event as? ChannelEvent else {
            return context.fireUserInboundEventTriggered(event)
        }
        #if os(Linux)
            // A write that met a reset has taken the error away, and what is left looks like an end.
            if let provider = context.channel as? any SocketOptionProvider, self.isTCP {
                let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
                provider.getTCPInfo().whenComplete { info in
                    let state = (try? info.get())?.tcpi_state
                    let isReset = state.map { UInt32($0) == UInt32(TCP_CLOSE) } ?? true
                    bound.value.ended(isReset ? .reset("it was reset") : .fin)
                }
                return
            }
        #endif
        self.ended(.fin)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.failed(error)
        context.close(promise: nil)
    }

    private func failed(_ error: any Error) {
        let failure = ConnectFailure(error)
        self.ended(failure.kind == .timeout ? .timedOut : .reset(failure.words))
    }
}

extension SessionEnd {
    /// `false` where the gateway has cut short what the client said.
    var isOrderly: Bool {
        switch self.cause {
        case .clientStalled, .backendStalled, .messageTooBig, .protocolViolation, .rate,
            .internal:
            false
        // Many clients leave without a close frame: a broker sees of them what it would see without a gateway.
        case .clientClose, .clientLost, .pingTimeout, .clientSlow, .backendFin, .backendReset, .idle, .lifetime,
            .credentialsExpired, .operator,
            .removed, .shutdown:
            true
        }
    }
}
