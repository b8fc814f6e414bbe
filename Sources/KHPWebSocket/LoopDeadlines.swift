// One timer of an event loop for the deadlines of all its connections.
//
// A deadline moves with every byte; the timer does not, and neither does the connection's place here: one that is woken
// early finds out and waits anew, so that a busy connection sets nothing. The timer stays where the connection that asked
// for it has ended: it finds nothing to do and is set for the next one, which costs less than one for each.

import NIOCore
import NIOPosix

final class LoopDeadlines: LoopTimerTarget {
    /// The most that are woken in one turn of the loop: the rest waits behind what the loop has to read and write.
    private static let mostAtOnce = 128
    private static let nextTurn = TimeAmount.milliseconds(1)

    private let eventLoop: any EventLoop
    /// The connections that were in use lately.
    let busy = BusyConnections()
    // Unchecked: all of it happens on the loop's thread, and no access lasts through a call that comes back here.
    @exclusivity(unchecked) private var heap = DeadlineHeap<ConnectionHandler>()
    @exclusivity(unchecked) private var timer: LoopTimer?
    private var firesAt = NIODeadline.distantFuture
    private var isFiring = false
    /// How often the timer was set.
    private(set) var schedules = 0

    /// The deadlines of a loop; called on it. Its thread keeps them.
    static func of(_ eventLoop: any EventLoop) -> LoopDeadlines {
        if let known = self.ofThread.currentValue, known.eventLoop === eventLoop { return known }
        let made = LoopDeadlines(eventLoop: eventLoop)
        self.ofThread.currentValue = made
        return made
    }

    /// Where a thread runs several loops, as embedded ones are, those of the latest: connections hold on to their own.
    /// Unchecked: each thread has a value of its own.
    nonisolated(unsafe) private static let ofThread = ThreadSpecificVariable<LoopDeadlines>()

    init(eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        self.timer = LoopTimer(eventLoop: eventLoop, target: self)
    }

    /// How many connections wait.
    var count: Int { self.heap.count }

    /// Wakes a connection once, at `deadline` or soon after it, never before, instead of when it was to be woken so far.
    func wake(_ handler: ConnectionHandler, at deadline: NIODeadline) {
        self.heap.set(handler, to: deadline)
        if !self.isFiring { self.arm() }
    }

    /// Wakes a connection no more.
    func forget(_ handler: ConnectionHandler) {
        self.heap.remove(handler)
    }

    /// A connection is in use, and was not for a while.
    func noteBusy(_ handler: ConnectionHandler) {
        self.busy.add(handler)
        if !self.isFiring { self.arm() }
    }

    private func arm(notBefore time: NIODeadline = .uptimeNanoseconds(0)) {
        let due = max(min(self.heap.earliest ?? .distantFuture, self.busy.looksAt), time)
        guard due < self.firesAt else { return }
        self.firesAt = due
        self.schedules &+= 1
        self.timer?.set(to: due)
    }

    func timerFired() {
        self.firesAt = .distantFuture
        self.isFiring = true
        let now = NIODeadline.now()
        var left = Self.mostAtOnce
        while left > 0, let handler = self.heap.popFirst(until: now) {
            left -= 1
            handler.timerFired(now: now)
        }
        self.busy.look(now: now)
        self.isFiring = false
        if left > 0 { self.arm() } else { self.arm(notBefore: now + Self.nextTurn) }
    }
}
