// The state of a group: who is there, what waits for whom, who waits for whom, and since when. Touched under the group's
// lock; each change returns whom it wakes, which happens outside of it. Time is an argument.

import KHPServer
import NIOCore

struct GroupState {
    /// How long members that take nothing may hold the others up, unless told otherwise.
    static let patience = Duration.seconds(5)

    /// The time that a member gets even where others have used up the patience: one that takes anything at all needs less.
    private static let grace = Duration.milliseconds(250)

    /// Time after which what dropped members have cost is forgotten.
    private static let memory = Duration.seconds(60)

    /// Messages that wait for one member before the senders do.
    static let queuedMessages = 64

    /// Bytes that wait for one member before the senders do; the last message goes beyond.
    static let queuedBytes = 1024 * 1024

    /// Takes the next message of a member; `nil` once it is a member no longer.
    typealias Taker = @Sendable (WebSocketMessage?) -> Void
    /// Learns that a member leaves, or with `true` that it is dropped.
    typealias Watcher = @Sendable (_ isDropped: Bool) -> Void
    /// Goes on with sending.
    typealias Sender = @Sendable () -> Void

    private struct Member {
        var queue = CircularBuffer<WebSocketMessage>()
        var bytes = 0
        /// When something of the queue was last taken.
        var tookAt: ContinuousClock.Instant
        /// The member's own task, while there is nothing to send.
        var taker: Taker?
        /// Waits to learn that the member is dropped.
        var watcher: Watcher?

        var isFull: Bool { self.queue.count >= queuedMessages || self.bytes >= queuedBytes }
    }

    /// All that go on after a change, each with its value.
    struct Woken {
        fileprivate var takers: [(Taker, WebSocketMessage?)] = []
        fileprivate var senders: [Sender] = []
        fileprivate var watchers: [(Watcher, Bool)] = []

        func resume() {
            for (taker, message) in self.takers { taker(message) }
            for sender in self.senders { sender() }
            for (watcher, isDropped) in self.watchers { watcher(isDropped) }
        }
    }

    private let patience: Duration
    private var members: [Int: Member] = [:]
    private var lastMember = 0
    /// How many queues are full. While one is, nobody puts anything into any.
    private var fullQueues = 0
    private var senders: [UInt64: Sender] = [:]
    private var lastTicket: UInt64 = 0
    /// Since when senders have been held up, and how long they may be.
    private var hold: (since: ContinuousClock.Instant, until: ContinuousClock.Instant)?
    /// The time that dropped members have cost the others, as it was when the last one was dropped; it wears off.
    private var cost: (length: Duration, at: ContinuousClock.Instant)?

    init(patience: Duration) {
        self.patience = patience
    }

    // MARK: Members

    var count: Int { self.members.count }

    mutating func enter(now: ContinuousClock.Instant) -> Int {
        self.lastMember += 1
        self.members[self.lastMember] = Member(tookAt: now)
        return self.lastMember
    }

    mutating func leave(_ id: Int) -> Woken { self.remove(id, isDropped: false) }

    private mutating func remove(_ id: Int, isDropped: Bool) -> Woken {
        var woken = Woken()
        guard let member = self.members.removeValue(forKey: id) else { return woken }
        if member.isFull { self.fullQueues -= 1 }
        if let taker = member.taker { woken.takers.append((taker, nil)) }
        if let watcher = member.watcher { woken.watchers.append((watcher, isDropped)) }
        self.admit(&woken)
        return woken
    }

    mutating func take(
        _ id: Int,
        now: ContinuousClock.Instant,
        isCancelled: Bool = false,
        _ taker: @escaping Taker
    ) -> Woken {
        var woken = Woken()
        // Out of the dictionary and back, so that the queue is not copied.
        guard !isCancelled, var member = self.members.removeValue(forKey: id) else {
            woken.takers.append((taker, nil))
            return woken
        }
        let wasFull = member.isFull
        if let message = member.queue.popFirst() {
            member.bytes -= message.byteCount
            member.tookAt = now
            woken.takers.append((taker, message))
        } else {
            member.taker = taker
        }
        if wasFull, !member.isFull { self.fullQueues -= 1 }
        self.members[id] = member
        self.admit(&woken)
        return woken
    }

    mutating func watch(_ id: Int, isCancelled: Bool = false, _ watcher: @escaping Watcher) -> Woken {
        var woken = Woken()
        if isCancelled || self.members[id] == nil {
            woken.watchers.append((watcher, false))
        } else {
            self.members[id]?.watcher = watcher
        }
        return woken
    }

    // MARK: Sending

    /// Puts a message into all queues, or into none: then `deadline` tells when those that are full are to be dropped.
    mutating func put(_ message: WebSocketMessage, now: ContinuousClock.Instant) -> (
        deadline: ContinuousClock.Instant?, woken: Woken
    ) {
        var woken = Woken()
        if self.fullQueues > 0 {
            let hold = self.hold ?? (now, now + max(self.patience - self.debt(now), min(self.patience, Self.grace)))
            self.hold = hold
            return (hold.until, woken)
        }
        for id in Array(self.members.keys) {
            guard var member = self.members.removeValue(forKey: id) else { continue }
            if let taker = member.taker {
                member.taker = nil
                member.tookAt = now
                woken.takers.append((taker, message))
            } else {
                member.queue.append(message)
                member.bytes += message.byteCount
                if member.isFull { self.fullQueues += 1 }
            }
            self.members[id] = member
        }
        return (nil, woken)
    }

    /// A number for a sender that is about to wait.
    mutating func ticket() -> UInt64 {
        self.lastTicket += 1
        return self.lastTicket
    }

    mutating func wait(_ ticket: UInt64, isCancelled: Bool = false, _ sender: @escaping Sender) -> Woken {
        var woken = Woken()
        if isCancelled || self.fullQueues == 0 {
            woken.senders.append(sender)
        } else {
            self.senders[ticket] = sender
        }
        return woken
    }

    mutating func giveUp(_ ticket: UInt64) -> Woken {
        var woken = Woken()
        if let sender = self.senders.removeValue(forKey: ticket) { woken.senders.append(sender) }
        return woken
    }

    private mutating func admit(_ woken: inout Woken) {
        guard self.fullQueues == 0 else { return }
        self.hold = nil
        // In the order in which they came.
        woken.senders += self.senders.sorted { $0.key < $1.key }.map(\.value)
        self.senders = [:]
    }

    // MARK: Patience

    /// The time that dropped members have cost of late.
    private func debt(_ now: ContinuousClock.Instant) -> Duration {
        guard let cost else { return .zero }
        return max(cost.length - self.patience * ((now - cost.at) / Self.memory), .zero)
    }

    /// Once the others have been held up for too long, drops those whose queues are full, and those who are about to be the
    /// next: they took nothing for as long, though something is there for them.
    mutating func dropFull(now: ContinuousClock.Instant) -> Woken {
        var woken = Woken()
        guard let hold, hold.until <= now else { return woken }
        self.cost = (self.debt(now) + (now - hold.since), now)
        let deaf = self.members.filter { $0.value.isFull || !$0.value.queue.isEmpty && $0.value.tookAt <= hold.since }
        for id in deaf.keys {
            let more = self.remove(id, isDropped: true)
            woken.takers += more.takers
            woken.watchers += more.watchers
            woken.senders += more.senders
        }
        return woken
    }
}
