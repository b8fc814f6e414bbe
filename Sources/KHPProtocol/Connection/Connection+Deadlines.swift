// When a connection wants to be woken, and what it does then.
//
// One rule holds it together: a deadline that has passed is acted on or goes. One that stayed in the past would wake the
// shell again at once, for ever. So whatever counts as a deadline below is looked at by `timeReached` under the same
// condition, and an action either moves it ahead, ends the state that it belongs to, or ends the connection.

package import NIOCore

extension Connection {
    /// When to call `timeReached`. It may move with every call of anything else.
    ///
    /// Mutating in form only: for a plain getter the compiler copies the whole connection out of the object that holds it.
    package var deadline: NIODeadline? {
        mutating get { self.earliestDeadline }
    }

    private var earliestDeadline: NIODeadline? {
        var earliest = self.link.closing.deadline
        func consider(_ other: NIODeadline?) {
            guard let other else { return }
            if let known = earliest, known <= other { return }
            earliest = other
        }
        switch self.phase {
        case .idle, .opening, .deciding, .awaitingKey:
            consider(self.openingDeadline)
            consider(self.totalDeadline)
        case .extended:
            consider(self.client?.extended?.deadline)
            consider(self.server?.extended?.deadline)
            consider(self.totalDeadline)
        case .open:
            // Behind both close frames the closing handshake's own deadline is all that counts.
            guard self.link.closing.canReceive else { break }
            if let congestedSince { consider(congestedSince + self.configuration.waits.stalledWrite) }
            // Behind our close frame, that and the peer's stall.
            guard self.link.closing.canSend else { break }
            consider(self.keepAlive?.deadline)
            consider(self.heldClose?.until)
            consider(self.sessionEnd)
            if let idleSince, let idle = self.configuration.waits.idle { consider(idleSince + idle) }
            consider(self.extensions?.deadline)
        case .leaving:
            break
        case .unread, .ended:
            return nil
        }
        return earliest
    }

    /// `deadline` has come. Afterwards it lies ahead, or there is none.
    package mutating func timeReached(now: NIODeadline) {
        self.actOnTime(now: now)
        assert(self.earliestDeadline.map { $0 > now } ?? true, "a deadline stays in the past, in \(self.phase)")
    }

    private mutating func actOnTime(now: NIODeadline) {
        if let deadline = self.link.closing.deadline, deadline <= now {
            self.perform(self.link.closing.deadlineReached(now: now), now: now)
            return
        }
        if let deadline = self.totalDeadline, deadline <= now, self.phase != .open, self.phase != .leaving {
            if self.settleAnswer(now: now) { return }
            self.timedOut("The connect was not complete within \(self.configuration.timeouts.total.words).", now: now)
            return
        }
        switch self.phase {
        case .idle, .opening, .deciding, .awaitingKey:
            guard let deadline = self.openingDeadline, deadline <= now else { return }
            self.openingTimedOut(now: now)
        case .extended:
            self.extendedTimeReached(now: now)
        case .open:
            self.openTimeReached(now: now)
        case .leaving, .unread, .ended:
            break
        }
    }

    private mutating func openTimeReached(now: NIODeadline) {
        guard self.link.closing.canReceive else { return }
        if let congestedSince, congestedSince + self.configuration.waits.stalledWrite <= now {
            self.hasStalled = true
            self.drop("The peer did not take any bytes for too long.", now: now)
            return
        }
        guard self.link.closing.canSend else { return }
        if let heldClose, heldClose.until <= now { return self.answerHeldClose(now: now) }
        if let sessionEnd, sessionEnd <= now {
            self.sessionEnd = nil
            self.close(code: .policyViolation, reason: Self.sessionIsOver, now: now)
            return
        }
        if let idleSince, let idle = self.configuration.waits.idle, idleSince + idle <= now {
            self.close(code: .goingAway, reason: "idle for too long", now: now)
            return
        }
        if let deadline = self.extensions?.deadline, deadline <= now {
            self.extensionsTimeReached(now: now)
            guard self.phase == .open, self.link.closing.canSend else { return }
        }
        // A message that was unfinished after some read may have been completed by one that left nothing behind.
        self.keepAlive?.unfinishedMessage(self.link.codec.unfinishedMessage, now)
        switch self.keepAlive?.expired(now) {
        case .sendPing(let payload): self.writePing(payload)
        case .messageTooSlow: self.drop("A message was not complete in time.", now: now)
        case .timedOut, .idle: self.drop("The peer did not answer a ping in time.", now: now)
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

    // MARK: What the shell sees of the network and the application

    /// Tells that the peer does, or does not, keep up with what is written.
    package mutating func setCongested(_ isCongested: Bool, now: NIODeadline) {
        if isCongested {
            if self.congestedSince == nil { self.congestedSince = now }
        } else {
            self.congestedSince = nil
            self.link.closing.writesProgressed(now: now)
            self.answerPendingPing()
        }
    }

    /// Tells that the network has yet to take some of what was written: answers to pings wait for that.
    package mutating func setBacklogged(_ isBacklogged: Bool) {
        self.isBacklogged = isBacklogged
        self.answerPendingPing()
    }

    /// Some of what was written has left: a slow peer is not a stalled one.
    package mutating func writesProgressed(now: NIODeadline) {
        if self.congestedSince != nil { self.congestedSince = now }
        self.link.closing.writesProgressed(now: now)
    }

    /// How often to look whether some of it has left, while the peer does not keep up: a stalled one is then dropped at
    /// most an eighth of the time late.
    package var stallLook: TimeAmount {
        let waits = self.configuration.waits
        return max(.nanoseconds(min(waits.stalledWrite.nanoseconds / 8, waits.close.nanoseconds / 4)), .milliseconds(1))
    }

    /// Nothing is read from the peer, since the application does not keep up: its silence is our doing. To be said before
    /// `timeReached`, whenever it is so then.
    package mutating func readingIsPaused(now: NIODeadline) {
        self.keepAlive?.readingIsPaused(now)
    }
}
