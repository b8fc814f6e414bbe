// The deadlines of a connection, and its actions when they have passed.
//
// A deadline that has passed must not stay in the past: it would wake the shell again at once, for ever. So `timeReached`
// checks each deadline below under the condition under which it counts, and the action either moves it ahead, ends the
// state that it belongs to, or ends the connection.

package import NIOCore

extension Connection {
    /// The time at which to call `timeReached`; `nil` for none. Every other call may change it.
    ///
    /// Mutating in form only: for a plain getter the compiler copies the whole connection out of the object that holds it.
    package var deadline: NIODeadline? {
        mutating get { self.earliestDeadline }
    }

    private var earliestDeadline: NIODeadline? {
        let closing = self.link.closing.deadline
        let own: NIODeadline?
        switch self.stage {
        case .handshake(let handshake): own = handshake.deadline
        case .open: own = self.socket.deadline(self.link.closing, self.configuration.waits)
        case .leaving: own = nil
        case .unread, .ended: return nil
        }
        guard let own, let closing else { return own ?? closing }
        return min(own, closing)
    }

    /// `deadline` has come. Afterwards it lies ahead, or there is none.
    package mutating func timeReached(now: NIODeadline) {
        self.actOnTime(now: now)
        assert(self.earliestDeadline.map { $0 > now } ?? true, "a deadline stays in the past, in \(self.stage)")
    }

    private mutating func actOnTime(now: NIODeadline) {
        if let deadline = self.link.closing.deadline, deadline <= now {
            self.perform(self.link.closing.deadlineReached(now: now), now: now)
            return
        }
        switch self.stage {
        case .handshake(.client(let client)): self.timeReached(in: client, now: now)
        case .handshake(.server(let server)): self.timeReached(in: server, now: now)
        case .open: self.openTimeReached(now: now)
        case .leaving, .unread, .ended: break
        }
    }

    private mutating func timeReached(in client: ClientHandshake, now: NIODeadline) {
        if let deadline = client.connectDeadline, deadline <= now {
            if self.settleAnswer(of: client, now: now) { return }
            self.timedOut("The connect was not complete within \(self.configuration.timeouts.total.words).", now: now)
            return
        }
        switch client.state {
        case .connecting where client.isAnswerLate(now):
            self.timedOut(
                "The TLS handshake was not complete within \(self.configuration.timeouts.connect.words).",
                now: now
            )
        case .opening where client.isAnswerLate(now):
            if self.settleAnswer(of: client, now: now) { return }
            self.timedOut(
                "The server did not answer the opening handshake within \(self.configuration.timeouts.opening.words).",
                now: now
            )
        case .extended(let extended):
            self.perform(extended.machine.deadlineReached(now: now), in: extended, now: now)
        case .connecting, .opening, .challenged:
            break
        }
    }

    private mutating func timeReached(in server: ServerHandshake, now: NIODeadline) {
        guard let deadline = server.deadline, deadline <= now else { return }
        switch server.state {
        case .connecting:
            self.end(clean: false)
        case .reading(let reading):
            // No byte of a request has come: there is no answer.
            if reading.machine.isIdle { return self.end(clean: false) }
            self.refuseOpening(Refusal(408, "The request was not complete in time."), now: now)
        case .deciding:
            // As inside, the status tells which side is late: a client may try again where it was the endpoint.
            self.refuseOpening(.lateAnswer, now: now)
        case .awaitingKey(let awaited):
            self.awaitedTooLong(awaited, of: server, now: now)
        case .extended(let extended):
            let action = extended.machine.deadlineReached(date: self.configuration.date(), now: now)
            self.perform(action, in: extended, now: now)
        }
    }

    /// Server: replaces the end of the session; `nil` for a session without an end.
    package mutating func moveSessionEnd(to deadline: NIODeadline?) { self.socket.moveSessionEnd(to: deadline) }

    private mutating func openTimeReached(now: NIODeadline) {
        var due = self.socket.due(self.link.closing, self.configuration.waits, now: now)
        if case .extensions = due {
            self.extensionsTimeReached(now: now)
            guard self.stage.isOpen, self.link.closing.canSend else { return }
            due = .keepAlive
        }
        switch due {
        case .stalledWrite: self.drop("The peer did not take any bytes for too long.", now: now)
        case .heldClose: self.answerHeldClose(now: now)
        case .session: self.close(code: .policyViolation, reason: Self.sessionIsOver, now: now)
        case .idle: self.close(code: .goingAway, reason: "idle for too long", now: now)
        case .keepAlive: self.keepAliveTimeReached(now: now)
        case .extensions, nil: break
        }
    }

    private mutating func keepAliveTimeReached(now: NIODeadline) {
        // A message that was unfinished after some read may have been completed by one that left nothing behind.
        self.socket.keepAlive?.unfinishedMessage(self.link.codec.unfinishedMessage, now)
        switch self.socket.keepAlive?.expired(now) {
        case .sendPing(let payload): self.writePing(payload)
        case .messageTooSlow: self.drop("A message was not complete in time.", now: now)
        case .timedOut: self.drop("The peer did not answer a ping in time.", now: now)
        case nil: break
        }
    }

    /// The reason that goes with 1008; a client that connects again is challenged anew.
    private static let sessionIsOver = "the session is over; authenticate again"

    private mutating func drop(_ message: String, now: NIODeadline) {
        if self.failure == nil {
            self.failure = self.located(WebSocketError(.timeout, message, closeCode: .abnormal, phase: .open))
        }
        self.perform(self.link.closing.fail(ClosePayload(code: .policyViolation, reason: message), now: now), now: now)
    }

    // MARK: The shell's view of the network and the application

    /// Sets whether the peer keeps up with the bytes that are written.
    package mutating func setCongested(_ isCongested: Bool, now: NIODeadline) {
        if isCongested {
            self.socket.congested(now)
        } else {
            self.socket.decongested(now)
            self.link.closing.writesProgressed(now: now)
            self.answerPendingPing(now: now)
        }
    }

    /// Sets whether written bytes wait for the network: answers to pings wait with them.
    package mutating func setBacklogged(_ isBacklogged: Bool, now: NIODeadline) {
        self.socket.setBacklogged(isBacklogged)
        self.answerPendingPing(now: now)
    }

    /// Some of the written bytes have left: a slow peer is not a stalled one.
    package mutating func writesProgressed(now: NIODeadline) {
        self.socket.writesProgressed(now)
        self.link.closing.writesProgressed(now: now)
    }

    /// How often to look whether some of it has left, while the peer does not keep up: a stalled one is then dropped at
    /// most an eighth of the time late.
    package var stallLook: TimeAmount {
        let waits = self.configuration.waits
        return max(.nanoseconds(min(waits.stalledWrite.nanoseconds / 8, waits.close.nanoseconds / 4)), .milliseconds(1))
    }

    /// Notes that nothing is read from the peer, since the application does not keep up: silence of the peer then does not
    /// count. Call it before `timeReached` whenever reading is paused.
    package mutating func readingIsPaused(now: NIODeadline) {
        self.socket.readingIsPaused(now)
    }

    /// Notes that the peer is read from again after a pause. Call it before the messages that the pause held back are taken.
    package mutating func readingResumes(now: NIODeadline, pausedSince: NIODeadline) {
        self.socket.readingResumes(now, pausedSince: pausedSince)
    }
}
