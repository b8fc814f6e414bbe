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
    private var isTaken = false
    /// Whether a task has said something other than a message in this burst.
    private var hasMoreToDo = false
    private var drivenAt = NIODeadline.uptimeNanoseconds(0)
    package let executor: ConnectionExecutor
    package let eventLoop: any EventLoop
    private var sink = Sink.none

    private var delegate: (any ConnectionDelegate)?
    private let usesTLS: Bool
    private var context: ChannelHandlerContext?
    private var isBursting = false
    private var isDriving = false
    private var isPaused = false
    private var isChannelReading = true
    /// As the channel told last: asking it costs more.
    private var isChannelWritable = true
    private var hasEnded = false
    private var hasStarted = false
    private var isFlushScheduled = false
    private let timer = DeadlineTimer()
    /// How much was buffered when the peer was last seen not to keep up.
    private var bufferedBytes = Int.max
    private var blockedSenders: [(wait: Wait, continuation: UnsafeContinuation<Void, any Error>)] = []
    private var pings: [(number: UInt64, wait: Wait, continuation: UnsafeContinuation<Duration, any Error>)] = []
    private var closeWaiters: [(wait: Wait, continuation: UnsafeContinuation<CloseInfo, Never>)] = []
    package private(set) var closeInfo: CloseInfo?

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
            self.connection.transportFailed(TransportFailure.describe(error, usesTLS: self.usesTLS), now: .now())
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
        if !self.hasEnded { self.updateTimer() }
    }

    /// Writes what the connection has to say, in one flush; inside a read burst the flush waits for its end.
    package func flush() {
        if !self.isBursting { self.flushNow() }
    }

    private func flushNow() {
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

    private func scheduleFlush() {
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

    // MARK: What the application says

    package var isWritable: Bool { !self.hasEnded && self.isChannelWritable }

    package func waitUntilWritable(_ wait: Wait, _ continuation: UnsafeContinuation<Void, any Error>) {
        if wait.isGivenUp {
            continuation.resume(throwing: CancellationError())
        } else if let info = self.closeInfo {
            continuation.resume(throwing: WebSocketError.closed(info))
        } else if self.isWritable {
            continuation.resume()
        } else {
            self.blockedSenders.append((wait, continuation))
        }
    }

    package func sendMessage(_ message: WebSocketMessage) throws(WebSocketError) {
        try self.send { connection, now throws(WebSocketError) in try connection.send(message, now: now) }
    }

    package func sendMessage(_ kind: MessageKind, _ payload: ByteBuffer) throws(WebSocketError) {
        try self.send { connection, now throws(WebSocketError) in try connection.send(kind, payload, now: now) }
    }

    package func sendChunk(_ chunk: MessageChunk) throws(WebSocketError) {
        try self.send { connection, now throws(WebSocketError) in try connection.send(chunk, now: now) }
    }

    @inline(__always)
    private func send(
        _ body: (inout Connection, NIODeadline) throws(WebSocketError) -> Int
    ) throws(WebSocketError) {
        if self.hasEnded, let info = self.closeInfo { throw WebSocketError.closed(info) }
        if self.isTaken {
            throw WebSocketError(.invalidArgument, "An extension cannot send while it handles a message.", phase: .open)
        }
        self.isTaken = true
        defer { self.isTaken = false }
        let pending = try body(&self.connection, self.isDriving || self.isBursting ? self.drivenAt : .now())
        // Small messages of one turn leave together; large ones leave at once, so that writability tells the truth.
        if pending >= 32_768 {
            self.flushNow()
            // What observers are told waits for a drive, and holds the payload until then.
            if self.connection.settings.isObserved { self.flushSoon() }
        } else {
            self.scheduleFlush()
        }
    }

    package func sendPing(_ wait: Wait, _ continuation: UnsafeContinuation<Duration, any Error>) {
        if wait.isGivenUp { return continuation.resume(throwing: CancellationError()) }
        if let info = self.closeInfo {
            continuation.resume(throwing: WebSocketError.closed(info))
            return
        }
        do {
            let number = try self.connection.ping(now: .now())
            self.pings.append((number, wait, continuation))
            self.flushSoon()
        } catch {
            continuation.resume(throwing: error)
        }
    }

    private func pongReceived(_ number: UInt64, _ roundTrip: TimeAmount) {
        let duration = Duration.nanoseconds(roundTrip.nanoseconds)
        if self.connection.settings.isObserved { self.delegate?.perform(.event(.pong(roundTrip: duration)), on: self) }
        let answered = self.pings.filter { $0.number <= number }
        self.pings.removeAll { $0.number <= number }
        for ping in answered { ping.continuation.resume(returning: duration) }
    }

    /// Begins the closing handshake; `closed` tells how it ended.
    package func close(code: WebSocketCloseCode, reason: String) {
        guard self.closeInfo == nil else { return }
        if self.isTaken {
            let bound = NIOLoopBound(self, eventLoop: self.eventLoop)
            return self.eventLoop.execute { bound.value.close(code: code, reason: reason) }
        }
        self.connection.close(code: code, reason: reason, now: .now())
        // Whatever the application does not take any more must not keep the closing handshake from being read.
        self.flushSoon()
    }

    package func whenClosed(_ wait: Wait, _ continuation: UnsafeContinuation<CloseInfo, Never>) {
        if let info = self.closeInfo {
            continuation.resume(returning: info)
        } else if wait.isGivenUp {
            continuation.resume(returning: Self.notClosedYet)
        } else {
            self.closeWaiters.append((wait, continuation))
        }
    }

    /// A task that waited was cancelled.
    package func giveUp(_ wait: Wait) {
        if let index = self.blockedSenders.firstIndex(where: { $0.wait === wait }) {
            self.blockedSenders.remove(at: index).continuation.resume(throwing: CancellationError())
        } else if let index = self.pings.firstIndex(where: { $0.wait === wait }) {
            self.pings.remove(at: index).continuation.resume(throwing: CancellationError())
        } else if let index = self.closeWaiters.firstIndex(where: { $0.wait === wait }) {
            self.closeWaiters.remove(at: index).continuation.resume(returning: Self.notClosedYet)
        }
    }

    /// What those get who no longer wait for the end.
    private static let notClosedYet = CloseInfo(
        code: nil,
        reason: "",
        clean: false,
        initiator: .local,
        error: WebSocketError(.cancelled, "The wait for the socket's end was cancelled.")
    )

    /// Nobody holds the socket any more: it is closed, since nothing could ever be done with it.
    package func abandoned() {
        self.close(code: .goingAway, reason: "")
        self.resumeReading()
    }

    /// Drops the connection without a closing handshake.
    package func abort() {
        self.context?.close(promise: nil)
    }

    package var channel: (any Channel)? { self.context?.channel }
}
