// When a connection is to be woken: at its deadline, and once it was used and is idle.

import KHPProtocol
import NIOCore

extension ConnectionHandler {
    /// When the connection is to be woken.
    struct Alarm {
        /// Its place among the loop's deadlines, which alone write it.
        var place = -1
        private(set) var wakesAt = NIODeadline.distantFuture
        /// A connection that is busy is woken once in this time, and looks for its deadline then instead of after each
        /// read: none can come before. Zero where that cannot be told.
        private var busyLook = TimeAmount.zero
        /// From this time on, ``wakesAt`` comes before any deadline that has come nearer.
        private var isSoonFrom = NIODeadline.distantFuture
        /// Not to be woken before this time, since a deadline has stayed in the past: a fault of ours, which must not
        /// spin.
        private var restsUntil: NIODeadline?
        /// How often the deadline's timer has fired.
        private(set) var wakeUps = 0

        mutating func lookOnlyEach(_ time: TimeAmount) {
            self.busyLook = time
            self.wake(at: self.wakesAt)
        }

        private mutating func wake(at time: NIODeadline) {
            self.wakesAt = time
            self.isSoonFrom = time - self.busyLook
        }

        /// True where it is woken before any deadline that has come nearer since.
        func isSoon(_ now: NIODeadline) -> Bool { self.isSoonFrom <= now }

        /// When a busy connection is to look for its deadline.
        func nextLook(_ now: NIODeadline) -> NIODeadline {
            self.busyLook > .zero ? now + self.busyLook : .distantFuture
        }

        /// - Returns: when to be woken instead of the time set so far; `nil` where that is early enough. A deadline that
        ///   has moved ahead is found out when this one comes.
        mutating func set(to deadline: NIODeadline) -> NIODeadline? {
            let due = self.restsUntil.map { max($0, deadline) } ?? deadline
            guard due < self.wakesAt else { return nil }
            self.wake(at: due)
            return due
        }

        mutating func fired() {
            self.wake(at: .distantFuture)
            self.restsUntil = nil
            self.wakeUps &+= 1
        }

        mutating func rest(until time: NIODeadline) { self.restsUntil = time }

        mutating func end() { self.wake(at: .distantFuture) }
    }

    var heapPlace: Int {
        get { self.alarm.place }
        set { self.alarm.place = newValue }
    }

    /// How often the deadline's timer has fired.
    package var wakeUps: Int { self.alarm.wakeUps }

    /// Sees to it that the connection is woken at its deadline.
    /// - Parameter soon: when to look again at the latest, for a deadline that may come nearer meanwhile.
    func updateTimer(soon: NIODeadline = .distantFuture) {
        guard var deadline = self.connection.deadline else { return }
        deadline = min(deadline, soon)
        if let stall = self.writing.stall { deadline = min(deadline, stall.lookedAt + self.connection.stallLook) }
        if let due = self.alarm.set(to: deadline) { self.loopDeadlines.wake(self, at: due) }
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
        self.alarm.end()
    }

    func timerFired(now: NIODeadline) {
        self.alarm.fired()
        guard !self.hasEnded else { return }
        self.lookAtStall(now: now)
        if self.reading.isPaused { self.connection.readingIsPaused(now: now) }
        guard let deadline = self.connection.deadline, deadline <= now else { return self.updateTimer() }
        self.connection.timeReached(now: now)
        if let next = self.connection.deadline, next <= now {
            assertionFailure("a deadline stays in the past")
            self.alarm.rest(until: now + .milliseconds(100))
        }
        self.drive()
        self.flush()
    }
}
