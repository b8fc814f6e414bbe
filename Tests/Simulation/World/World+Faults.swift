// The faults of a run as they begin. A fault counts as met where it makes a difference: one that comes too late, or to
// a side that it has nothing to do with, meets nothing.

import KHPProtocol
import NIOCore

extension World {
    /// - Parameter amount: a number that the fault takes for its place, length or kind.
    func begin(_ fault: Fault, _ role: Role, _ amount: Int) throws(Violation) {
        guard !self.isOver || self.hasUnread else { return }
        let side = self[role]
        self.trace.note(self.now, "fault: \(fault) of the \(role) in \(side.connection.stageName)")
        if fault != .split { self.isCalm = false }
        let place = self.place(of: role)
        if try self.apply(fault, role, amount) { self.coverage.visit(place, fault) }
    }

    /// The place at which a fault meets this side.
    func place(of role: Role) -> Coverage.Place {
        // A connection that leaves has times of its own, and nothing of the answer.
        let isAsking = role == .client && self.caller.question != nil && self.client.connection.stageName != .leaving
        return Coverage.Place(self[role], isAsking: isAsking)
    }

    /// - Returns: true where the fault makes a difference.
    private func apply(_ fault: Fault, _ role: Role, _ amount: Int) throws(Violation) -> Bool {
        let side = self[role]
        switch fault {
        case .split:
            // Counted where bytes are cut.
            try self.deliver(to: role, atMost: amount % 7 + 1)
            return false
        case .delay, .stall, .halfClose, .reset, .cut, .garbage, .takeover:
            return try self.applyToWire(fault, role, amount)
        case .answersLate, .answersTwice, .answersNever:
            return self.applyToAnswers(fault, owed: self.awaitsAnswer(side), amount)
        case .lateTimer:
            self.time.timers = .milliseconds(Int64(amount % 3_000))
            self.time.isReversed = amount % 2 == 0
            // A ping and the wait for its pong have a timer each, and either may fire as late as another that is late.
            for _ in 0..<4 { self.time.slack = self.time.slack + self.time.timers }
            return self.time.timers > .zero && !side.isOver && side.connection.deadline != nil
        case .gone:
            let wasOver = side.isOver
            try self.act(role, .gone) { $0.transportEnded(self.now) }
            self[wireTo: Self.other(role)].finish(.orderly)
            return !wasOver
        case .readsNothing:
            let wasDeaf = side.isDeaf
            side.isDeaf = true
            side.isPaused = side.opened != nil
            // Whoever closes takes messages in any case.
            return !wasDeaf && ![.closing, .leaving, .ended].contains(side.connection.stageName)
        case .neverDrains:
            guard side.hasStarted, !side.isOver, !side.neverDrains else { return false }
            side.beginStep(self.now)
            side.neverDrains = true
            self[wireTo: Self.other(role)].isStalled = true
            try self.after(role)
            return true
        case .cancelled:
            let closes = !side.isOver && ![.closing, .leaving].contains(side.connection.stageName)
            try self.close(role)
            return closes
        case .clockJump:
            let isOver = side.isOver
            let length = TimeAmount.seconds(amount % 3 == 0 ? Int64(amount % 36_000) : Int64(amount % 120))
            try self.sleep(length, readsFirst: amount % 2 == 0)
            return length > .zero && !isOver
        case .flood:
            let before = side.accepted.count
            side.beginStep(self.now)
            for number in 0..<150 where side.opened != nil && !side.isOver {
                side.ping(self.now)
                side.send(.text, Payloads.make(1, number: number), self.now)
            }
            let isSent = side.accepted.count > before
            try self.after(role)
            return isSent
        }
    }

    private func applyToWire(_ fault: Fault, _ role: Role, _ amount: Int) throws(Violation) -> Bool {
        let side = self[role]
        let hears = !side.isOver && !self[wireTo: role].endIsDelivered
        switch fault {
        case .delay:
            self[wireTo: role].heldUntil = self.now + .milliseconds(Int64(amount % 12_000))
            return hears && amount % 12_000 > 0 && self.awaitsBytes(role)
        case .stall:
            self[wireTo: role].isStalled = true
            self[wireTo: role].mayHeal = amount % 2 == 0
            return hears && self.awaitsBytes(role)
        case .halfClose:
            return self[wireTo: Self.other(role)].finish(.orderly) && !side.isOver && !self[Self.other(role)].isOver
        case .reset:
            self[wireTo: Self.other(role)].finish(.reset)
            return self[wireTo: role].finish(.reset) && hears
        case .cut:
            // The words of an attacker may be lost as well.
            self.promise = nil
            let isNew = !self.toClient.isCut || !self.toServer.isCut
            // The place in one wire says nothing about the one in the other.
            for (role, number) in [(Role.client, amount), (.server, amount &* 40_503 >> 4)] {
                let pending = self[wireTo: role].pendingBytes
                let left = number % (pending + 1)
                self[wireTo: role].cut(after: left)
                if isNew { self.coverage.visit(Coverage.Cut(left: left, of: pending), to: role) }
            }
            return isNew && hears
        case .garbage: return try self.slipIn(amount, role) && hears
        default: return self.takeOver(amount, role) && hears
        }
    }

    /// True where bytes or an end are on their way to this side, or may yet be.
    private func awaitsBytes(_ role: Role) -> Bool {
        let wire = self[wireTo: role]
        if wire.pendingBytes > 0 || wire.end != nil && !wire.endIsDelivered { return true }
        return wire.end == nil && !wire.isCut && !wire.isTaken && !self[Self.other(role)].isOver
    }

    /// Bytes that the peer never wrote come between its own.
    private func slipIn(_ amount: Int, _ role: Role) throws(Violation) -> Bool {
        guard self[role].hasStarted else { return false }
        if role == .client { self.promise = nil }
        let isDone: Bool
        // In a handshake a damaged byte may turn the name of a secret into that of none.
        if amount % 3 == 0, self[role].opened != nil {
            isDone = self[wireTo: role].damage(at: amount)
        } else {
            isDone = self[wireTo: role].inject(Attacks.bytes(amount, against: role), takesOver: false)
        }
        self.noteForgery(of: role)
        try self.deliver(to: role, atMost: 65_536)
        return isDone
    }

    /// An attacker stands in the peer's place.
    private func takeOver(_ amount: Int, _ role: Role) -> Bool {
        let side = self[role]
        guard side.hasStarted else { return false }
        if role == .client { self.promise = nil }
        if role == .client, side.connection.stageName == .opening, side.read == 0, self.scenario.dialect == .rfc6455,
            self[wireTo: role].end == nil
        {
            self.promise = Attacks.refusal(amount).map { Promise(status: $0, until: self.now) }
        }
        let script = Attacks.script(amount, against: role, in: side.connection.stageName)
        let isDone = self[wireTo: role].inject(script, takesOver: true, staysOpen: amount / 3 % 2 == 0)
        if isDone, Attacks.isFlood(amount, against: side), self.scenario.dialect == .rfc6455 {
            self.flood = Flood(role: role, since: self.now, end: side.read + script.count)
        }
        if isDone, role == .client {
            let stage = side.connection.stageName
            self.foreign = Attacks.status(amount, against: role, in: stage)
                .map { ($0, stage == .opening ? .opening : .extended, script.count) }
        }
        self.noteForgery(of: role)
        return isDone
    }

    /// An attacker takes part in a handshake that one of the ends has yet to finish.
    private func noteForgery(of role: Role) {
        guard self.client.opened == nil || self.server.opened == nil, self[wireTo: role].isTampered else { return }
        self[wireTo: role].isForged = true
    }

    private func applyToAnswers(_ fault: Fault, owed: Bool, _ amount: Int) -> Bool {
        let before = (self.endpoint.heldUntil, self.endpoint.repeats, self.endpoint.isSilent)
        switch fault {
        case .answersLate: self.endpoint.heldUntil = self.now + .milliseconds(Int64(amount % 125_000))
        case .answersTwice: self.endpoint.repeats = true
        default: self.endpoint.isSilent = true
        }
        return owed && before != (self.endpoint.heldUntil, self.endpoint.repeats, self.endpoint.isSilent)
    }

    /// True where the endpoint, or the handler of challenges, may yet be asked by this side.
    private func awaitsAnswer(_ side: Side) -> Bool {
        switch side.connection.stageName {
        case .connecting, .opening, .challenged, .challengedInside, .reading, .deciding, .decidingPlain,
            .decidingInside, .extended:
            true
        // An extended handshake may follow.
        case .awaitingKey: self.scenario.policy != .off && self.scenario.serverExtends
        case .open, .closeHeld, .closing, .leaving, .unread, .ended: false
        }
    }
}
