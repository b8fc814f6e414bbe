// The simulated clock, the timers of the two sides and of the handler of challenges.

import KHPProtocol
import NIOCore

/// The ways in which the clock and the timers of this run are not exact.
struct Lateness {
    /// How much later than asked timers fire.
    var timers = TimeAmount.zero
    /// The server's timer fires before the client's where both are due.
    var isReversed = false
    /// How much later than documented an end may come for all that.
    var slack = TimeAmount.zero
}

extension World {
    private enum Timer { case side(Role), challenge }

    /// Most wake-ups of one side in a minute: a ping, its answer and some bounds.
    private static let mostWakeUps: Int64 = 60

    func advance(by amount: TimeAmount) throws(Violation) {
        let target = self.now + amount
        self.trace.note(self.now, "the clock goes on by \(amount.nanoseconds / 1_000_000) ms")
        var wakeUps: Int64 = 0
        let most = Self.mostWakeUps * (amount.nanoseconds / 60_000_000_000 + 1)
        while let (deadline, timer) = self.nextTimer(by: target) {
            self.now = max(deadline + self.time.timers, self.now)
            // A bound that no timer was set for has passed unseen by then.
            for role in Self.roles { try self.checkAge(role) }
            wakeUps += 1
            switch timer {
            case .side(let role): try self.wake(role)
            case .challenge: try self.challengeTimedOut()
            }
            if wakeUps > most {
                throw Violation(.deadlineAhead, "more than \(most) wake-ups in \(amount.nanoseconds) ns")
            }
        }
        self.now = max(self.now, target)
        for role in Self.roles { try self.checkAge(role) }
    }

    private func nextTimer(by target: NIODeadline) -> (NIODeadline, Timer)? {
        var timers: [(NIODeadline, Timer)] = []
        for role in self.time.isReversed ? Self.roles.reversed() : Self.roles where !self[role].isOver {
            if let deadline = self[role].connection.deadline { timers.append((deadline, .side(role))) }
        }
        if let question = self.caller.question { timers.append((question.dialogue.deadline, .challenge)) }
        let due = timers.filter { $0.0 + self.time.timers <= target }
        guard let earliest = due.min(by: { $0.0 < $1.0 }), self.time.isReversed else { return due.min { $0.0 < $1.0 } }
        // Late timers that are due by then fire together, in this order.
        return due.first { $0.0 <= earliest.0 + self.time.timers }
    }

    /// The timer of one side fires, as the channel handler's does.
    private func wake(_ role: Role) throws(Violation) {
        let side = self[role]
        self.trace.note(self.now, "the \(role) wakes")
        if side.isPaused {
            if side.connection.deadline.map({ $0 <= self.now }) ?? false { self.coverage.visitPause(side) }
            side.connection.readingIsPaused(now: self.now)
        }
        guard let deadline = side.connection.deadline, deadline <= self.now else { return }
        try self.act(role, .deadline) { $0.connection.timeReached(now: self.now) }
        guard !side.isOver, let next = side.connection.deadline, next <= self.now else { return }
        throw Violation(.deadlineAhead, "the \(role)'s deadline stays in the past, in \(side.stage)")
    }

    /// The machine sleeps: no timer fires meanwhile, all that are due fire behind it.
    func sleep(_ amount: TimeAmount, readsFirst: Bool) throws(Violation) {
        self.trace.note(self.now, "the machine sleeps for \(amount.nanoseconds / 1_000_000) ms")
        self.now = self.now + amount
        self.time.slack = self.time.slack + amount
        if readsFirst { for role in Self.roles { try self.deliver(to: role, atMost: 65_536) } }
        try self.advance(by: .zero)
    }
}
