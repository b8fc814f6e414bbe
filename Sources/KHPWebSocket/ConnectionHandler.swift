// The one channel handler of a connection: bytes from the channel into the sans-I/O `Connection`, its actions out to
// the session that owns it, its bytes back to the channel, its deadline on the event loop's timer.

package import KHPProtocol
package import NIOCore
import NIOTLS

/// The owner of a connection: the client's session or the server's. Called on the event loop.
package protocol ConnectionDelegate: AnyObject {
    /// The transport is up (TCP, and TLS where used).
    func connected(_ handler: ConnectionHandler)
    /// The connection asks for a decision or tells of a step; messages go to the handler's sink instead.
    func perform(_ action: ConnectionAction, on handler: ConnectionHandler)
    /// The peer says nothing any more; it may still read.
    func inputEnded(_ handler: ConnectionHandler)
    /// All that had arrived has been taken, as ``ConnectionHandler/tellOnceAllIsRead()`` asked for.
    func allIsRead(_ handler: ConnectionHandler)
    /// The last call: the channel is closed, and its descriptor is given back.
    func channelClosed()
}

extension ConnectionDelegate {
    package func inputEnded(_ handler: ConnectionHandler) {}
    package func allIsRead(_ handler: ConnectionHandler) {}
    package func channelClosed() {}
}

package final class ConnectionHandler: ChannelInboundHandler, DeadlineMember {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// Where messages go once the socket is open.
    package enum Sink {
        case none
        case inbox(Inbox)
        case handler(any MessageHandler)
    }

    // Unchecked, since the runtime's check of each access costs more than decoding a frame. It holds because nothing
    // that the connection calls comes back here: only an extension could, through an `EventLoopSocket` that it got hold
    // of, and `isConnectionInUse` keeps it out.
    @exclusivity(unchecked) package var connection: Connection
    var isConnectionInUse = false
    /// True when a task has said something other than a message in this burst.
    var hasMoreToDo = false
    var drivenAt = NIODeadline.uptimeNanoseconds(0)
    /// Runs the tasks of this connection, from the first of them on.
    @exclusivity(unchecked) var tasks: ConnectionExecutor?
    package let eventLoop: any EventLoop
    // Unchecked, as are those below: none of them is ever held over a call, for which the runtime would look each time.
    @exclusivity(unchecked) var sink = Sink.none

    @exclusivity(unchecked) var delegate: (any ConnectionDelegate)?
    let usesTLS: Bool
    @exclusivity(unchecked) var context: ChannelHandlerContext?
    var isBursting = false
    var isDriving = false
    /// Set when the transport goes while `drive` runs, which then ends the connection.
    private var isAbandoned = false
    var isPaused = false
    var isChannelReading = true
    /// As the channel told last: asking it costs more.
    var isChannelWritable = true
    /// `true` while the channel is given what there is to write. Many a large message fills it and leaves at once: only
    /// the end of that counts.
    private var isWriting = false
    private var hasWritabilityMoved = false
    var hasEnded = false
    /// Set once the peer has ended its stream of TCP.
    var isInputOver = false
    var hasStarted = false
    private var isReadEndAwaited = false
    private var isFlushScheduled = false
    /// The deadlines of the event loop, from the first deadline on.
    @exclusivity(unchecked) var deadlines: LoopDeadlines?
    var heapPlace = -1
    /// The memory that use leaves behind, and the channel's. Unchecked: no access of it calls anything.
    @exclusivity(unchecked) var memory: UsedMemory
    /// When it is to be woken.
    @exclusivity(unchecked) var wakesAt = NIODeadline.distantFuture
    /// A connection that is busy is woken once in this time, and looks for its deadline then instead of after each read:
    /// none can come before. Zero where that cannot be told.
    var busyLook = TimeAmount.zero
    /// How often the deadline's timer has fired.
    package internal(set) var wakeUps = 0
    /// Not to be woken before this time, since a deadline has stayed in the past: a fault of ours, which must not spin.
    @exclusivity(unchecked) var restsUntil: NIODeadline?
    /// The bytes that the channel had not written when the peer was last looked at, and when that was; while it does
    /// not keep up.
    @exclusivity(unchecked) var stall: (bytes: Int, lookedAt: NIODeadline)?
    /// How long the end of the transport waits for what is still to be written, and for a peer that is still sending.
    package var endTimeouts = EndTimeouts()
    @exclusivity(unchecked) var blockedSenders: [BlockedSender] = []
    var pings: [SentPing] = []
    @exclusivity(unchecked) var closeWaiters: [CloseWaiter] = []
    @exclusivity(unchecked) package internal(set) var closeInfo: CloseInfo?
    /// Set while what was sent is still leaving behind an end that nothing of the peer's confirms.
    var isLeaving = false
    @exclusivity(unchecked) var stateWatch: StateWatch?
    /// The payload that had been sent when nothing was buffered, as far as anybody looked.
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
        self.usesTLS = usesTLS
        self.memory = UsedMemory(isPooled: !usesTLS)
    }

    /// Where tasks of this connection run: on its event loop, behind the read that is going on.
    package var executor: ConnectionExecutor {
        if let tasks { return tasks }
        let tasks = ConnectionExecutor(eventLoop: self.eventLoop)
        if self.isBursting { tasks.beginBurst() }
        self.tasks = tasks
        return tasks
    }

    // MARK: Channel events

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if context.channel.isActive { self.transportUp(context) }
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        self.transportEnded()
        self.context = nil
        let delegate = self.delegate.take()
        delegate?.channelClosed()
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
            self.tasks?.beginBurst()
        }
        let now = NIODeadline.now()
        let bytes = self.unwrapInboundIn(data)
        self.memory.note(bytes, of: context)
        self.drive(now: now, with: bytes)
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        if self.isReadEndAwaited { self.readEnded() }
        if self.isBursting {
            let haveTasksRun = self.tasks?.endBurst() ?? false
            self.isBursting = false
            // Sending a message leaves nothing else to do.
            if haveTasksRun, self.hasMoreToDo || self.observesFrames { self.drive() }
        }
        self.write(to: context)
        self.noteUse()
        // Only here, where the channel is about to read again: most pauses are over by then.
        if self.isPaused, !self.connection.isClosing { self.setChannelReading(false) }
        // Nothing stands behind this handler that could want to know.
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        if self.isWriting {
            self.hasWritabilityMoved = true
        } else {
            self.writabilityMoved(to: context.channel.isWritable)
        }
        // Nothing stands behind this handler that could want to know.
    }

    private func writabilityMoved(to isWritable: Bool) {
        let now = NIODeadline.now()
        self.isChannelWritable = isWritable
        self.connection.setCongested(!isWritable, now: now)
        // Each episode of congestion is measured for itself.
        self.stall = isWritable ? nil : (self.unwrittenBytes, now)
        if !self.hasEnded { self.updateTimer() }
        if isWritable { self.resumeSenders() }
        if case .handler = self.sink {
            // A synchronous handler cannot wait to send, so the peer that does not read is not read from either.
            if isWritable { self.resumeReading() } else { self.pauseReading() }
        }
        if !self.connection.output.isEmpty { self.flushSoon() }
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case let event as ChannelEvent where event == .inputClosed:
            self.inputIsOver(on: context.channel)
            self.connection.inputClosed(now: .now())
            self.delegate?.inputEnded(self)
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
            // Peers that only drop TCP are many, and it means the same as where there is no TLS.
            if TransportFailure.isEnd(error), !self.connection.awaitsFirstByte {
                self.connection.inputClosed(now: .now())
            } else {
                self.connection.transportFailed(TransportFailure.describe(error, usesTLS: self.usesTLS), now: .now())
            }
            self.drive()
            self.flush()
            // Answers to what came before can still be sent, as without TLS; then `closeHold` bounds the wait.
            if TransportFailure.isEnd(error), !self.hasEnded { return }
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
        // A server has nothing to say before it is asked.
        guard self.connection.role == .client else { return self.updateTimer() }
        self.drive()
        self.flush()
    }

    private func transportEnded() {
        guard !self.hasEnded else { return }
        self.connection.transportEnded(now: .now())
        // A write failed within a call of the drive that runs: that one goes on, and takes what had arrived.
        if self.isDriving { return self.isAbandoned = true }
        self.drive()
        if !self.hasEnded { self.finish(self.connection.abandoned(now: .now())) }
    }

    /// Read from where it lies: of a computed property the compiler takes a copy of the whole connection.
    var isObserved: Bool { self.connection.configuration.isObserved }
    var observesFrames: Bool { self.connection.configuration.observesFrames }

    /// True once the application has taken the socket.
    package var isDelivering: Bool { if case .none = self.sink { false } else { true } }

    /// Where messages go from now on. An inbox holds the answer to the peer's close frame back until the application
    /// has taken what came before it.
    package func deliver(to sink: Sink) {
        if case .inbox = sink { self.connection.socket.holdsClose = true }
        self.sink = sink
    }

    // MARK: Driving the connection

    /// Takes actions until the connection needs more bytes, more time or an answer.
    package func drive(now: NIODeadline = .now()) {
        self.drive(now: now, isPlainTaken: false)
    }

    /// - Parameter isPlainTaken: true where plain messages have been taken already.
    private func drive(now: NIODeadline, isPlainTaken: Bool) {
        var isPlainTaken = isPlainTaken
        if self.isDriving { self.hasMoreToDo = true }
        if self.isDriving || self.hasEnded { return }
        self.isDriving = true
        self.hasMoreToDo = false
        self.drivenAt = now
        var mustLook = false
        driving: while !self.hasEnded {
            if !isPlainTaken, self.isDelivering, !self.isPaused, let bytes = self.connection.takeReceived() {
                var cursor = PlainCursor(areNew: false)
                self.takePlainMessages(bytes, &cursor, now: now)
                self.connection.putBack(bytes, from: cursor)
                isPlainTaken = cursor.hasBegun && !self.isPaused
            }
            self.isConnectionInUse = true
            let action = self.connection.next(now: now, isPaused: self.isPaused, isPlainTaken: isPlainTaken)
            isPlainTaken = false
            self.isConnectionInUse = false
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
                mustLook = true
                if case .inbox(let inbox) = self.sink, inbox.isBusy() { break }
                self.connection.answerHeldClose(now: now)
            case .pong(let number, let payload, let roundTrip)?:
                self.pongReceived(number, payload, roundTrip)
            case .closed(let info)?:
                self.finish(info, action)
            case let action?:
                mustLook = true
                if case .opened = action {
                    self.busyLook = self.connection.hasExtensions ? .zero : self.connection.configuration.shortestWait
                }
                self.delegate?.perform(action, on: self)
            case nil:
                break driving
            }
        }
        self.isDriving = false
        if self.isAbandoned, !self.hasEnded { self.finish(self.connection.abandoned(now: now)) }
        self.readWhileClosing()
        if !self.blockedSenders.isEmpty { self.endWaitsOfSenders() }
        if self.stateWatch != nil { self.tellState() }
        let isClosing = self.connection.isClosing || self.connection.socket.heldClose != nil
        if !self.hasEnded, mustLook || isClosing || self.wakesAt > now + self.busyLook {
            self.updateTimer(soon: self.busyLook > .zero ? now + self.busyLook : .distantFuture)
        }
    }

    /// Takes what was just read. Of nearly every read nothing is left once the messages in it are handed on.
    @inline(__always)
    private func drive(now: NIODeadline, with bytes: ByteBuffer) {
        var cursor = PlainCursor(areNew: true)
        if !self.isDriving {
            self.isDriving = true
            self.hasMoreToDo = false
            self.drivenAt = now
            self.takePlainMessages(bytes, &cursor, now: now)
            self.isDriving = false
            // All else that is done to the connection meanwhile has it driven, or says that there is more to do.
            if cursor.rest == 0, !self.hasMoreToDo, !self.isAbandoned, !self.isPaused,
                self.wakesAt <= now + self.busyLook
            {
                return
            }
        }
        self.driveOn(now: now, with: bytes, cursor)
    }

    @inline(never)
    private func driveOn(now: NIODeadline, with bytes: ByteBuffer, _ cursor: PlainCursor) {
        if cursor.hasBegun {
            self.connection.putBack(bytes, from: cursor)
        } else {
            self.connection.receive(bytes, now: now)
        }
        self.drive(now: now, isPlainTaken: cursor.hasBegun && cursor.rest > 0 && !self.isPaused)
    }

    /// The path of nearly every message, without an action for each.
    @inline(__always)
    private func takePlainMessages(_ bytes: ByteBuffer, _ cursor: inout PlainCursor, now: NIODeadline) {
        var kind = MessageKind.binary
        switch self.sink {
        case .handler(let handler):
            while !self.isPaused, let payload = self.connection.nextPlain(bytes, &cursor, &kind, now: now) {
                handler.received(ReceivedMessage(kind: kind, bytes: consume payload), on: EventLoopSocket(self))
                if cursor.rest == 0 { break }
            }
        case .inbox(let inbox):
            while !self.isPaused, let payload = self.connection.nextPlain(bytes, &cursor, &kind, now: now) {
                if inbox.push(kind, payload, isClosing: self.connection.isClosing) { self.pauseReading() }
                if cursor.rest == 0 { break }
            }
        case .none:
            break
        }
    }

    /// Writes what the connection has to say, in one flush; inside a read burst the flush waits for its end.
    package func flush() {
        if !self.isBursting { self.flushNow() }
    }

    func flushNow() {
        if let context = self.context { self.write(to: context) }
    }

    private func write(to context: ChannelHandlerContext) {
        if self.stall != nil { self.lookAtStall(now: .now()) }
        var isLast = false
        guard let buffer = self.connection.output.next(isLast: &isLast) else { return }
        self.isWriting = true
        if isLast {
            context.writeAndFlush(self.wrapOutboundOut(consume buffer), promise: nil)
        } else {
            self.write(consume buffer, andAllBehindTo: context)
        }
        self.isWriting = false
        self.noteUse()
        if self.hasWritabilityMoved { self.noteWritability(context) }
        // Bytes that were added, and left at once, say nothing about the peer.
        if self.stall != nil { self.stall?.bytes = self.unwrittenBytes }
        if self.connection.takeAnsweredPing() { self.followAnswer(context) }
    }

    @inline(never)
    private func write(_ first: consuming ByteBuffer, andAllBehindTo context: ChannelHandlerContext) {
        var buffer = first
        while let following = self.connection.output.next() {
            context.write(self.wrapOutboundOut(buffer), promise: nil)
            buffer = following
        }
        context.writeAndFlush(self.wrapOutboundOut(buffer), promise: nil)
    }

    @inline(never)
    private func noteWritability(_ context: ChannelHandlerContext) {
        self.hasWritabilityMoved = false
        let isWritable = context.channel.isWritable
        if isWritable != self.isChannelWritable { self.writabilityMoved(to: isWritable) }
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

    /// Tells the connection something that does not come through the channel, such as the session's answer to what it
    /// asked, and goes on from where it waited.
    package func tell<Answer>(_ body: (inout Connection, NIODeadline) -> Answer) -> Answer {
        let now = NIODeadline.now()
        let answer = body(&self.connection, now)
        self.drive(now: now)
        self.flush()
        return answer
    }

    /// Calls the delegate's `allIsRead` behind the read that is going on, or in the next turn of the loop.
    package func tellOnceAllIsRead() {
        self.isReadEndAwaited = true
        if self.isBursting { return }
        let bound = NIOLoopBound(self, eventLoop: self.eventLoop)
        self.eventLoop.execute { bound.value.readEnded() }
    }

    @inline(never)
    private func readEnded() {
        guard self.isReadEndAwaited else { return }
        self.isReadEndAwaited = false
        self.delegate?.allIsRead(self)
    }
}
