// The one channel handler of a connection: bytes from the channel into the sans-I/O `Connection`, its actions out to
// the session that owns it, its bytes back to the channel, its deadline on the event loop's timer.

package import KHPProtocol
package import NIOCore
import NIOTLS

/// Who owns a connection: the client's session or the server's. Called on the event loop.
package protocol ConnectionDelegate: AnyObject {
    /// The transport is up (TCP, and TLS where used).
    func connected(_ handler: ConnectionHandler)
    /// The connection asks for a decision or tells of a step; messages go to the handler's sink instead.
    func perform(_ action: ConnectionAction, on handler: ConnectionHandler)
}

package final class ConnectionHandler: ChannelInboundHandler {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// Where messages go once the socket is open.
    package enum Sink {
        case none
        case inbox(Inbox)
        case handler(any MessageHandler)
    }

    // Unchecked, since the runtime's check of each access costs more than decoding a frame. It holds because nothing that
    // the connection calls comes back here: only an extension could, through an `EventLoopSocket` that it got hold of,
    // and `isTaken` keeps it out.
    @exclusivity(unchecked) package var connection: Connection
    var isTaken = false
    /// Whether a task has said something other than a message in this burst.
    private var hasMoreToDo = false
    var drivenAt = NIODeadline.uptimeNanoseconds(0)
    package let executor: ConnectionExecutor
    package let eventLoop: any EventLoop
    private var sink = Sink.none

    var delegate: (any ConnectionDelegate)?
    private let usesTLS: Bool
    var context: ChannelHandlerContext?
    var isBursting = false
    var isDriving = false
    private var isPaused = false
    private var isChannelReading = true
    /// As the channel told last: asking it costs more.
    var isChannelWritable = true
    var hasEnded = false
    private var hasStarted = false
    private var isFlushScheduled = false
    private let timer = DeadlineTimer()
    /// How much was buffered when the peer was last seen not to keep up.
    private var bufferedBytes = Int.max
    var blockedSenders: [(wait: Wait, continuation: UnsafeContinuation<Void, any Error>)] = []
    var pings: [(number: UInt64, wait: Wait, continuation: UnsafeContinuation<Duration, any Error>)] = []
    var closeWaiters: [(wait: Wait, continuation: UnsafeContinuation<CloseInfo, Never>)] = []
    package private(set) var closeInfo: CloseInfo?
    var stateWatch: StateWatch?
    /// What had been sent when nothing was buffered, as far as anybody looked.
    var payloadThatLeft = 0

    package init(
        connection: consuming Connection,
        delegate: any ConnectionDelegate,
        eventLoop: any EventLoop,
        usesTLS: Bool
    ) {
        self.connection = connection
        self.delegate = delegate
        self.eventLoop = eventLoop
        self.executor = ConnectionExecutor(eventLoop: eventLoop)
        self.usesTLS = usesTLS
    }

    // MARK: Channel events

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { self.transportUp(context) }
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        self.transportEnded()
        self.context = nil
    }

    package func channelActive(context: ChannelHandlerContext) {
        self.transportUp(context)
        context.fireChannelActive()
    }

    package func channelInactive(context: ChannelHandlerContext) {
        self.transportEnded()
        context.fireChannelInactive()
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if self.hasEnded { return }
        if !self.isBursting {
            self.isBursting = true
            self.executor.beginBurst()
        }
        let now = NIODeadline.now()
        self.connection.receive(self.unwrapInboundIn(data), now: now)
        self.drive(now: now)
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        if self.isBursting {
            let haveTasksRun = self.executor.endBurst()
            self.isBursting = false
            // Sending a message leaves nothing else to do.
            if haveTasksRun, self.hasMoreToDo || self.connection.settings.isObserved { self.drive() }
        }
        self.flush()
        // Only here, where the channel is about to read again: most pauses are over by then.
        if self.isPaused { self.setChannelReading(false) }
        context.fireChannelReadComplete()
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        self.isChannelWritable = context.channel.isWritable
        self.connection.setCongested(!self.isChannelWritable, now: .now())
        // Each episode of congestion is measured for itself.
        if !self.isChannelWritable { self.bufferedBytes = .max }
        if !self.hasEnded { self.updateTimer() }
        if self.isChannelWritable {
            let senders = self.blockedSenders
            self.blockedSenders = []
            for sender in senders { sender.continuation.resume() }
        }
        if case .handler = self.sink {
            // A synchronous handler cannot wait to send, so the peer that does not read is not read from either.
            if context.channel.isWritable { self.resumeReading() } else { self.pauseReading() }
        }
        if !self.connection.output.isEmpty { self.flushSoon() }
        context.fireChannelWritabilityChanged()
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case let event as ChannelEvent where event == .inputClosed:
            self.connection.inputClosed(now: .now())
            self.drive()
            self.flush()
        case let event as TLSUserEvent:
            if case .handshakeCompleted = event { self.start() }
        default:
            break
        }
        context.fireUserInboundEventTriggered(event)
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if !self.hasEnded {
            self.takeWhatHasArrived()
            // Peers that only drop TCP are many, and it means the same as where there is no TLS.
            if TransportFailure.isEnd(error) {
                self.connection.inputClosed(now: .now())
            } else {
                self.connection.transportFailed(TransportFailure.describe(error, usesTLS: self.usesTLS), now: .now())
            }
            self.drive()
            self.flush()
        }
        context.close(promise: nil)
    }

    private func transportUp(_ context: ChannelHandlerContext) {
        self.connection.transportUp(now: .now())
        if !self.usesTLS { self.start() } else { self.updateTimer() }
    }

    private func start() {
        self.hasStarted = true
        self.delegate?.connected(self)
        self.connection.start(now: .now())
        self.drive()
        self.flush()
    }

    private func transportEnded() {
        guard !self.hasEnded else { return }
        self.takeWhatHasArrived()
        self.connection.transportEnded(now: .now())
        self.drive()
        if !self.hasEnded { self.finish(self.connection.abandoned(now: .now())) }
    }

    /// The stream is over: what it brought is the application's, however far behind that is. Bounded by one read.
    private func takeWhatHasArrived() {
        while self.isPaused, !self.hasEnded {
            self.isPaused = false
            self.drive()
        }
    }

    /// Whether the application has taken the socket.
    package var isDelivering: Bool { if case .none = self.sink { false } else { true } }

    /// Where messages go from now on.
    package func deliver(to sink: Sink) {
        self.sink = sink
    }

    // MARK: Driving the connection

    /// Takes actions until the connection needs more bytes, more time or an answer.
    package func drive(now: NIODeadline = .now()) {
        if self.isDriving || self.hasEnded { return }
        self.isDriving = true
        self.hasMoreToDo = false
        self.drivenAt = now
        driving: while !self.hasEnded {
            self.isTaken = true
            let action = self.connection.next(now: now, isPaused: self.isPaused)
            self.isTaken = false
            switch action {
            case .message(let kind, let payload)?:
                switch self.sink {
                case .inbox(let inbox):
                    if inbox.push(kind, payload, isClosing: self.connection.isClosing) { self.pauseReading() }
                case .handler(let handler):
                    handler.received(ReceivedMessage(kind: kind, bytes: payload), on: EventLoopSocket(self))
                case .none:
                    break
                }
            case .chunk(let chunk)?:
                switch self.sink {
                case .inbox(let inbox):
                    if inbox.push(chunk, isClosing: self.connection.isClosing) { self.pauseReading() }
                case .handler(let handler):
                    handler.received(chunk, on: EventLoopSocket(self))
                case .none:
                    break
                }
            case .peerClosing?:
                if case .inbox(let inbox) = self.sink, inbox.isBusy() { break }
                self.connection.answerHeldClose(now: now)
            case .pong(let number, let roundTrip)?:
                self.pongReceived(number, roundTrip)
            case .closed(let info)?:
                self.finish(info)
            case let action?:
                self.delegate?.perform(action, on: self)
            case nil:
                break driving
            }
        }
        self.isDriving = false
        if self.stateWatch != nil { self.tellState() }
        if !self.hasEnded { self.updateTimer() }
    }

    /// Writes what the connection has to say, in one flush; inside a read burst the flush waits for its end.
    package func flush() {
        if !self.isBursting { self.flushNow() }
    }

    func flushNow() {
        guard let context = self.context else { return }
        var wrote = false
        while let buffer = self.connection.output.next() {
            context.write(self.wrapOutboundOut(buffer), promise: nil)
            wrote = true
        }
        if wrote { context.flush() }
    }

    /// After something was said outside a read burst: one flush for all that is said in this turn of the loop.
    package func flushSoon() {
        self.hasMoreToDo = true
        self.scheduleFlush()
    }

    func scheduleFlush() {
        if self.isBursting || self.isFlushScheduled { return }
        self.isFlushScheduled = true
        let bound = NIOLoopBound(self, eventLoop: self.eventLoop)
        self.eventLoop.execute {
            bound.value.isFlushScheduled = false
            bound.value.drive()
            bound.value.flush()
        }
    }

    /// After an answer of the session: go on from where the connection waited.
    package func proceed() {
        self.drive()
        self.flush()
    }

    private func finish(_ info: CloseInfo) {
        guard !self.hasEnded else { return }
        self.hasEnded = true
        self.closeInfo = info
        self.tellState()
        self.flushNow()
        self.timer.cancel()
        self.delegate?.perform(.closed(info), on: self)
        self.delegate = nil
        switch self.sink {
        case .inbox(let inbox): inbox.finish(info)
        case .handler(let handler): handler.closed(info)
        case .none: break
        }
        self.sink = .none
        if !self.blockedSenders.isEmpty || !self.pings.isEmpty {
            let failure = WebSocketError.closed(info)
            for sender in self.blockedSenders { sender.continuation.resume(throwing: failure) }
            self.blockedSenders = []
            for ping in self.pings { ping.continuation.resume(throwing: failure) }
            self.pings = []
        }
        for waiter in self.closeWaiters { waiter.continuation.resume(returning: info) }
        self.closeWaiters = []
        if self.isBursting {
            // The end of this burst may never be told: a channel that closes while it reads completes no read.
            self.isBursting = false
            self.executor.abandonBurst()
        }
        self.endTransport(lingering: self.connection.shouldLinger)
    }

    /// Ends the transport once what was written has left.
    ///
    /// A server that refuses while the peer is still sending half-closes and reads on for a moment: closing at once
    /// would reset the stream and could destroy the refusal on its way.
    private func endTransport(lingering: Bool) {
        guard let context = self.context, context.channel.isActive else { return }
        let channel = context.channel
        // TLS that was never established has nothing to flush and nobody to say goodbye to.
        if !self.hasStarted { return context.close(promise: nil) }
        if !lingering, !self.usesTLS, (try? channel.syncOptions?.getOption(.bufferedWritableBytes)) == 0 {
            return context.close(promise: nil)
        }
        // Whatever the peer does, the descriptor is given back after this long.
        let limit = context.eventLoop.scheduleTask(in: .seconds(lingering ? 1 : 10)) {
            channel.close(promise: nil)
        }
        channel.closeFuture.whenComplete { _ in limit.cancel() }
        self.isPaused = false
        self.setChannelReading(true)
        let flushed = context.eventLoop.makePromise(of: Void.self)
        let mode: CloseMode = lingering && !self.usesTLS ? .output : .all
        flushed.futureResult.whenComplete { _ in channel.close(mode: mode, promise: nil) }
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer()), promise: flushed)
    }

    // MARK: Deadlines

    private func updateTimer() {
        guard let deadline = self.connection.deadline else { return }
        self.timer.wake(at: deadline, on: self.eventLoop, handler: self)
    }

    func timerFired() {
        guard !self.hasEnded else { return }
        let now = NIODeadline.now()
        self.timer.fired()
        self.noteWriteProgress(now: now)
        if self.isPaused { self.connection.readingIsPaused(now: now) }
        if let deadline = self.connection.deadline, deadline <= now {
            self.connection.timeReached(now: now)
            self.drive()
            self.flush()
        } else {
            self.updateTimer()
        }
    }

    /// A peer that takes some of what was written is slow, not stalled.
    private func noteWriteProgress(now: NIODeadline) {
        guard let channel = self.context?.channel, !channel.isWritable,
            let buffered = try? channel.syncOptions?.getOption(.bufferedWritableBytes)
        else { return }
        if buffered < self.bufferedBytes { self.connection.writesProgressed(now: now) }
        self.bufferedBytes = buffered
    }

    // MARK: Back-pressure

    package func pauseReading() {
        self.isPaused = true
    }

    /// The application has caught up.
    package func caughtUp(isIdle: Bool) {
        guard !self.hasEnded else { return }
        if isIdle, self.connection.heldClose != nil {
            self.connection.answerHeldClose(now: .now())
            self.flushSoon()
        }
        self.resumeReading()
    }

    package func resumeReading() {
        guard self.isPaused, !self.hasEnded else { return }
        self.isPaused = false
        self.drive()
        self.flush()
        if !self.isPaused { self.setChannelReading(true) }
    }

    private func setChannelReading(_ isReading: Bool) {
        guard self.isChannelReading != isReading else { return }
        self.isChannelReading = isReading
        try? self.context?.channel.syncOptions?.setOption(.autoRead, value: isReading)
    }
}
