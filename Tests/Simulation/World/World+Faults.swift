// The faults of a run as they begin.

import KHPProtocol
import NIOCore

extension World {
    /// - Parameter amount: a number that the fault takes for its place, length or kind.
    func begin(_ fault: Fault, _ role: Role, _ amount: Int) throws(Violation) {
        let side = self[role]
        let other = Self.other(role)
        guard !self.isOver || self.hasUnread else { return }
        self.trace.note(self.now, "fault: \(fault) of the \(role) in \(side.connection.stageName)")
        self.coverage.visit(side, fault)
        if fault != .split { self.isCalm = false }
        switch fault {
        case .split: try self.deliver(to: role, atMost: amount % 7 + 1)
        case .delay: self[wireTo: role].heldUntil = self.now + .milliseconds(Int64(amount % 12_000))
        case .stall:
            self[wireTo: role].isStalled = true
            self[wireTo: role].mayHeal = amount % 2 == 0
        case .lateTimer:
            self.time.timers = .milliseconds(Int64(amount % 3_000))
            self.time.isReversed = amount % 2 == 0
            self.time.slack = self.time.slack + self.time.timers + self.time.timers
        case .halfClose: self[wireTo: other].finish(.orderly)
        case .reset:
            self.toClient.finish(.reset)
            self.toServer.finish(.reset)
        case .cut:
            // The words of an attacker may be lost as well.
            self.promise = nil
            self.toClient.cut(after: amount % 300)
            self.toServer.cut(after: amount / 300 % 300)
        case .gone:
            try self.act(role, .gone) { $0.transportEnded(self.now) }
            self[wireTo: other].finish(.orderly)
        case .readsNothing:
            side.isDeaf = true
            side.isPaused = side.opened != nil
        case .neverDrains:
            guard side.hasStarted, !side.isOver else { return }
            side.beginStep(self.now)
            side.neverDrains = true
            self[wireTo: other].isStalled = true
            try self.after(role)
        case .answersLate: self.endpoint.heldUntil = self.now + .milliseconds(Int64(amount % 125_000))
        case .answersTwice: self.endpoint.repeats = true
        case .answersNever: self.endpoint.isSilent = true
        case .cancelled: try self.close(role)
        case .clockJump:
            let length = TimeAmount.seconds(amount % 3 == 0 ? Int64(amount % 36_000) : Int64(amount % 120))
            try self.sleep(length, readsFirst: amount % 2 == 0)
        case .garbage:
            guard side.hasStarted else { return }
            if role == .client { self.promise = nil }
            // In a handshake a damaged byte may turn the name of a secret into that of none.
            if amount % 3 == 0, side.opened != nil {
                self[wireTo: role].damage(at: amount)
            } else {
                self[wireTo: role].inject(Attacks.bytes(amount, against: role), takesOver: false)
            }
            try self.deliver(to: role, atMost: 65_536)
        case .takeover:
            guard side.hasStarted else { return }
            if role == .client { self.promise = nil }
            if role == .client, side.connection.stageName == .opening, side.read == 0,
                self.scenario.dialect == .rfc6455,
                self[wireTo: role].end == nil
            {
                self.promise = Attacks.refusal(amount).map { Promise(status: $0, until: self.now) }
            }
            self[wireTo: role].inject(
                Attacks.script(amount, against: role, in: side.connection.stageName),
                takesOver: true,
                staysOpen: amount / 3 % 2 == 0
            )
        case .flood:
            side.beginStep(self.now)
            for number in 0..<150 where side.opened != nil && !side.isOver {
                side.ping(self.now)
                side.send(.text, Payloads.make(1, number: number), self.now)
            }
            try self.after(role)
        }
    }
}
