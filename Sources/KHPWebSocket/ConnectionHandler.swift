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
    /// The peer has ended its stream; it may still read.
    func inputEnded(_ handler: ConnectionHandler)
    /// All bytes that had arrived have been taken; called once after ``ConnectionHandler/tellOnceAllIsRead()``.
    func allIsRead(_ handler: ConnectionHandler)
    /// TLS is up.
    /// - Parameter name: the protocol that ALPN has chosen; `nil` for none.
    /// - Returns: `true` when another handler speaks that protocol, and this handler has left the channel to it.
    func hasAgreed(on name: String?, _ handler: ConnectionHandler) -> Bool
    /// The last call: the channel is closed, and its descriptor is given back.
    func channelClosed()
}

extension ConnectionDelegate {
    package func inputEnded(_ handler: ConnectionHandler) {}
    package func allIsRead(_ handler: ConnectionHandler) {}
    package func hasAgreed(on name: String?, _ handler: ConnectionHandler) -> Bool { false }
    package func channelClosed() {}
}

package final class ConnectionHandler: ChannelInboundHandler, DeadlineMember {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    // Unchecked, since the runtime's check of each access costs more than decoding a frame. It holds because nothing
    // that the connection calls comes back here: only an extension could, through an `EventLoopSocket` that it got hold
    // of, and `Turn.isConnectionInUse` keeps it out.
    @exclusivity(unchecked) package var connection: Connection
    package let eventLoop: any EventLoop
    let transport: Transport

    // Unchecked too: none of them is held over a call that comes back here, and the runtime would look each time.
    @exclusivity(unchecked) var context: ChannelHandlerContext?
    @exclusivity(unchecked) var delegate: (any ConnectionDelegate)?
    @exclusivity(unchecked) var sink = Sink.none
    /// Runs the tasks of this connection, from the first of them on.
    @exclusivity(unchecked) var tasks: ConnectionExecutor?
    @exclusivity(unchecked) var waiters = Waiters()
    @exclusivity(unchecked) var turn = Turn()
    @exclusivity(unchecked) var reading = Reading()
    @exclusivity(unchecked) var writing = Writing()
    @exclusivity(unchecked) package var ending = Ending()
    @exclusivity(unchecked) var alarm = Alarm()
    /// The deadlines of the event loop, from the first deadline on.
    @exclusivity(unchecked) var deadlines: LoopDeadlines?
    /// Tracks the memory that this handler and the channel keep after use.
    @exclusivity(unchecked) var memory: UsedMemory

    /// - Parameter connection: made where it goes, since a copy of one costs a hundredth of an opening handshake.
    package init(
        connection: @autoclosure () -> Connection,
        delegate: any ConnectionDelegate,
        eventLoop: any EventLoop,
        transport: Transport
    ) {
        self.connection = connection()
        self.delegate = delegate
        self.eventLoop = eventLoop
        self.transport = transport
        self.memory = UsedMemory(isPooled: transport == .socket)
    }

    /// Runs the tasks of this connection on its event loop, after the read that is going on.
    package var executor: ConnectionExecutor {
        if let tasks { return tasks }
        let tasks = ConnectionExecutor(eventLoop: self.eventLoop)
        if self.turn.isBursting { tasks.beginBurst() }
        self.tasks = tasks
        return tasks
    }

    // MARK: Channel events

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        guard context.channel.isActive else { return }
        self.transportUp(context)
        // Another handler may have filled the channel before, and the channel reports changes only.
        if !context.channel.isWritable { self.writabilityMoved(to: false) }
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
        if self.turn.beginBurst() { self.tasks?.beginBurst() }
        let now = NIODeadline.now()
        let bytes = self.unwrapInboundIn(data)
        self.memory.note(bytes, of: context)
        self.drive(now: now, with: bytes)
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        if self.turn.isReadEndAwaited { self.readEnded() }
        if self.turn.isBursting {
            let haveTasksRun = self.tasks?.endBurst() ?? false
            self.turn.endBurst()
            // Sending a message leaves nothing else to do.
            if haveTasksRun, self.turn.hasMoreToDo || self.observesFrames { self.drive(now: .read()) }
        }
        self.write(to: context)
        self.noteUse()
        // Only here, where the channel is about to read again: most pauses are over by then.
        if self.reading.isPaused, !self.connection.isClosing { self.setChannelReading(false) }
        // Not passed on: no handler after this one takes part.
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        if self.writing.countsNow() { self.writabilityMoved(to: context.channel.isWritable) }
        // Not passed on: no handler after this one takes part.
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case let event as ChannelEvent where event == .inputClosed:
            self.inputIsOver(on: context.channel)
            self.connection.inputClosed(now: .now())
            self.delegate?.inputEnded(self)
            self.drive()
            self.flush()
            if self.waiters.hasCloseWaiters { self.answerCloseThatNobodyHolds() }
        case let event as TLSUserEvent:
            if case .handshakeCompleted(let name) = event {
                if self.delegate?.hasAgreed(on: name, self) == true { return }
                self.transportIsReady()
            }
        case is ChannelShouldQuiesceEvent:
            self.goAway()
        default:
            break
        }
        context.fireUserInboundEventTriggered(event)
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if !self.hasEnded {
            // Many peers drop TCP without a close notification of TLS: it is the end of the stream, as without TLS.
            if TransportFailure.isEnd(error), !self.connection.awaitsFirstByte {
                self.connection.inputClosed(now: .now())
            } else {
                let inHandshake = self.transport.usesTLS && !self.ending.hasStarted
                self.connection.transportFailed(
                    TransportFailure.describe(error, inHandshake: inHandshake),
                    now: .now()
                )
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
        if !self.transport.usesTLS { self.start() } else { self.updateTimer() }
    }

    func start() {
        self.ending.start()
        self.delegate?.connected(self)
        self.connection.start(now: .now())
        // A server writes nothing before a request has come.
        guard self.connection.role == .client else { return self.updateTimer() }
        self.drive()
        self.flush()
    }

    private func transportEnded() {
        guard !self.hasEnded else { return }
        self.connection.transportEnded(now: .now())
        // A write failed within a call of the drive that runs: that one goes on, and takes what had arrived.
        if self.turn.abandonDrive() { return }
        self.drive()
        if !self.hasEnded { self.finish(self.connection.abandoned(now: .now())) }
    }

    /// Read from where it lies: of a computed property the compiler takes a copy of the whole connection.
    var isObserved: Bool { self.connection.configuration.isObserved }
    var observesFrames: Bool { self.connection.configuration.observesFrames }

    /// True once the application has taken the socket.
    package var isDelivering: Bool { if case .none = self.sink { false } else { true } }

    /// Sets the receiver of messages. An inbox holds the answer to the peer's close frame back until the application has
    /// taken the messages before it.
    package func deliver(to sink: Sink) {
        if case .inbox = sink { self.connection.socket.holdsClose = true }
        self.sink = sink
        if case .handler(let handler) = sink, !self.writing.isChannelWritable, !handler.readsFromCongestedPeer {
            self.pauseReading()
        }
    }
}
