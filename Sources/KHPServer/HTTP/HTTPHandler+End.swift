// How a connection of ordinary HTTP waits, and how it ends: after a response, after idle time, in a drain, or at once.

import KHPProtocol
import KHPWebSocket
import NIOCore

extension HTTPHandler {
    // MARK: Deadlines

    /// Called after every event: sets the deadline of the current phase, or ends the connection.
    func settle() {
        switch self.phase {
        case .waiting where self.turn.isResting:
            break
        case .waiting:
            if self.hasInputEnded { return self.endConnection() }
            if self.requests.isInsideHead {
                self.deadlines.end(.idle)
                if !self.deadlines.has(.head) {
                    let opening = TimeAmount(self.site.server.configuration.timeouts.opening)
                    self.deadlines.begin(.head, .now() + opening)
                }
            }
        case .exchanging(let exchange):
            if self.hasInputEnded, self.requests.unreadBytes == 0, self.requests.isInsideContent {
                exchange.failContent(.clientGone)
            }
        case .skipping:
            if self.hasInputEnded { return self.endConnection() }
        case .leaving, .ending, .over:
            break
        }
        self.readOn()
        self.arm()
    }

    private func arm() {
        // One that rings too early looks again. It is cancelled for a time that comes before it alone: an event loop looks
        // for what is cancelled among the alarms of all its connections, and each request moves a time.
        guard let next = self.deadlines.next, let context else { return }
        if let alarm, alarm.time <= next { return }
        self.alarm?.task.cancel()
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        self.alarm = (context.eventLoop.scheduleTask(deadline: next) { bound.value.rings() }, next)
    }

    private func rings() {
        self.alarm = nil
        while let kind = self.deadlines.due(.now()) {
            self.deadlines.end(kind)
            self.expired(kind)
        }
        self.settle()
    }

    private func expired(_ kind: HTTPDeadlines.Kind) {
        switch (kind, self.phase) {
        case (.idle, _):
            self.endConnection()
        case (.head, _):
            self.refuse(Refusal(408, "The request did not come in time."))
        case (.answer, .exchanging(let exchange)):
            if !exchange.response.hasBegun { self.refuse(.lateAnswer, exchange.request, exchange.instruments) }
        case (.answer, _):
            break
        case (.content, .exchanging(let exchange)):
            // Content that the application does not wait for gets its time anew once the application does.
            guard exchange.awaitsContent else { return }
            exchange.failContent(.stalled)
            exchange.response.endsConnection()
        case (.content, _):
            self.endConnection()
        case (.writing, _):
            guard let context else { return }
            let unwritten = TransportEnd.unwrittenBytes(self.site.transport, context)
            if unwritten > 0, unwritten < self.unwritten { self.boundWriting(context) } else { self.cut() }
        case (.halfClosed, _), (.lingering, _):
            self.cut()
        }
    }

    /// The client takes nothing of what was written.
    func boundWriting(_ context: ChannelHandlerContext) {
        self.unwritten = TransportEnd.unwrittenBytes(self.site.transport, context)
        let stalled = TimeAmount(self.site.server.configuration.timeouts.stalledWrite)
        self.deadlines.begin(.writing, .now() + stalled)
        // The client is waited for, and no longer the application.
        self.deadlines.end(.halfClosed)
    }

    /// Bounds an exchange whose client has ended its side of the connection, and may have gone: TCP does not tell. The end of
    /// a stream says no more than that its request is whole; a client of HTTP/2 that goes resets the stream, or ends its
    /// connection (RFC 9113 section 8.1).
    func boundHalfClosed() {
        guard self.hasInputEnded, self.site.transport != .stream, !self.deadlines.has(.writing) else { return }
        self.deadlines.begin(.halfClosed, .now() + TimeAmount(self.site.limits.halfClosedTime))
    }

    func inputEnds() {
        guard !self.hasInputEnded else { return }
        self.hasInputEnded = true
        switch self.phase {
        case .exchanging: self.boundHalfClosed()
        case .ending: if self.deadlines.has(.lingering) { self.cut() }
        case .waiting, .skipping, .leaving, .over: break
        }
        self.settle()
    }

    // MARK: The end

    /// The server drains: what has begun is completed.
    func goAway() {
        self.isLeaving = true
        switch self.phase {
        case .exchanging(let exchange): exchange.response.endsConnection()
        case .waiting, .skipping, .leaving: self.endConnection()
        case .ending, .over: break
        }
    }

    /// Ends the connection once what was written has left. The client is listened to for a moment: closing at once would
    /// reset the connection, and could destroy the response on its way.
    func endConnection() {
        switch self.phase {
        case .ending, .over: return
        case .waiting, .exchanging, .skipping, .leaving: break
        }
        if case .exchanging(let exchange) = self.phase { exchange.end() }
        self.phase = .ending
        self.deadlines.endAll()
        guard let context else { return }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.whenComplete { _ in bound.value.haveLeft() }
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer()), promise: written)
        // All has left at once, and with it the connection: nothing is waited for.
        guard case .ending = self.phase else { return }
        if self.deadlines.next == nil { self.boundWriting(context) }
        self.readOn()
        self.arm()
    }

    private func haveLeft() {
        guard case .ending = self.phase, let context else { return }
        self.deadlines.endAll()
        // A stream waits for its client by itself, and lets go of nothing else.
        if self.site.transport == .stream { return context.close(promise: nil) }
        self.deadlines.begin(.lingering, .now() + EndTimeouts().linger)
        self.arm()
        if self.hasInputEnded {
            self.cut()
        } else {
            context.close(mode: self.site.transport == .tls ? .all : .output, promise: nil)
        }
    }

    /// Ends the connection now.
    func cut() {
        guard let context else { return }
        let isShort = if case .exchanging(let exchange) = self.phase { exchange.response.wouldLookWhole } else { false }
        self.isGone()
        TransportEnd.cut(self.site.transport, context, isShort: isShort)
    }

    /// Drops the connection for a shutdown.
    func abort() { self.cut() }

    /// Nothing can be received or sent any more.
    func isGone() {
        if case .exchanging(let exchange) = self.phase { exchange.end() }
        self.phase = .over
        self.deadlines.endAll()
        self.alarm?.task.cancel()
        self.alarm = nil
    }
}
