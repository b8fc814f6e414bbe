// When a connection is to be woken: at its deadline, and once it was used and is idle.

import KHPProtocol
import NIOCore

extension ConnectionHandler {
    /// Sees to it that the connection is woken at its deadline.
    /// - Parameter soon: when to look again at the latest, for a deadline that may come nearer meanwhile.
    func updateTimer(soon: NIODeadline = .distantFuture) {
        guard var deadline = self.connection.deadline else { return }
        deadline = min(deadline, soon)
        if let stall { deadline = min(deadline, stall.lookedAt + self.connection.stallLook) }
        if let restsUntil { deadline = max(deadline, restsUntil) }
        // A deadline that has moved ahead is found out when this one comes.
        if self.wakesAt <= deadline { return }
        self.wakesAt = deadline
        self.loopDeadlines.wake(self, at: deadline)
    }

    private var loopDeadlines: LoopDeadlines {
        if let deadlines = self.deadlines { return deadlines }
        let deadlines = LoopDeadlines.of(self.eventLoop)
        self.deadlines = deadlines
        return deadlines
    }

    /// Something was read or written: the loop looks later on if that was the last, and then has unused memory released.
    @inline(__always)
    func noteUse() {
        self.memory.isBusy = true
        if self.memory.place < 0 { self.joinBusy() }
    }

    @inline(never)
    private func joinBusy() {
        if !self.hasEnded { self.loopDeadlines.noteBusy(self) }
    }

    func endTimer() {
        self.deadlines?.forget(self)
        self.deadlines?.busy.remove(self)
        self.wakesAt = .distantFuture
    }

    func timerFired(now: NIODeadline) {
        self.wakesAt = .distantFuture
        guard !self.hasEnded else { return }
        self.wakeUps &+= 1
        self.restsUntil = nil
        self.lookAtStall(now: now)
        if self.isPaused { self.connection.readingIsPaused(now: now) }
        guard let deadline = self.connection.deadline, deadline <= now else { return self.updateTimer() }
        self.connection.timeReached(now: now)
        if let next = self.connection.deadline, next <= now {
            assertionFailure("a deadline stays in the past")
            self.restsUntil = now + .milliseconds(100)
        }
        self.drive()
        self.flush()
    }
}
