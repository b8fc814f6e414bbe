// A group's state under its lock: the event loops that have members, the items that wait for these, and the publishers that
// wait.

import NIOCore

struct GroupState {
    /// The publishers that go on after a change.
    struct Woken {
        fileprivate var publishers: [UnsafeContinuation<Void, Never>] = []

        /// Resumes the publishers. Call it outside of the lock.
        func resume() { for publisher in self.publishers { publisher.resume() } }
    }

    /// A publication to the members of an event loop or a change of one of them; all take effect in one order.
    enum Item: Sendable {
        case publish(Publication)
        case subscribe(UInt64, String)
        case unsubscribe(UInt64, String)
        case leave(UInt64)
    }

    /// The items for the members of one event loop.
    private struct Queue {
        let shard: GroupShard
        var members = 1
        var items: [Item] = []
        /// The number of publications among the items.
        var publications = 0
    }

    /// The time for which slow members may hold publishers up.
    struct Hold {
        let since: NIODeadline
        let until: NIODeadline
        /// The shard whose event loop ends the hold.
        let shard: GroupShard
    }

    /// The outcome of a publication.
    enum Outcome {
        case queued(wake: [GroupShard])
        /// An event loop has too much before it.
        case behind
        /// A member is full. Holds the hold that begins with this publication; `nil` where one goes on.
        case held(Hold?)
    }

    /// The time that a member gets even where others have used up the patience; enough for a peer that takes any bytes.
    private static let grace = TimeAmount.milliseconds(250)

    private(set) var members = 0
    /// Members whose queue is full.
    private(set) var fullMembers = 0
    /// The queue of each event loop that has members. An event loop without members has none: it may be shut down.
    private var queues: [ObjectIdentifier: Queue] = [:]
    /// Members and publications are counted together: one gets what has a higher number than itself.
    private var lastID: UInt64 = 0
    private var hold: Hold?
    /// The patience of the last hold.
    private var patience = TimeAmount.zero
    private var debt = SlowMemberDebt()
    private var publishers: [UInt64: UnsafeContinuation<Void, Never>] = [:]
    /// Publishers whose task was cancelled before it waited.
    private var givenUp: Set<UInt64> = []

    // MARK: Members

    mutating func enter(_ eventLoop: any EventLoop, _ group: WebSocketGroup) -> (id: UInt64, shard: GroupShard) {
        self.lastID += 1
        self.members += 1
        let key = ObjectIdentifier(eventLoop)
        if let queue = self.queues[key] {
            self.queues[key]?.members += 1
            return (self.lastID, queue.shard)
        }
        let shard = GroupShard(group: group, eventLoop: eventLoop)
        self.queues[key] = Queue(shard: shard)
        return (self.lastID, shard)
    }

    mutating func leave(_ shard: GroupShard, wasFull: Bool, now: NIODeadline) -> Woken {
        self.members -= 1
        var woken = wasFull ? self.moved(isFull: false, now: now) : Woken()
        let key = self.key(of: shard)
        if let key { self.queues[key]?.members -= 1 }
        guard let key, self.queues[key]?.members == 0 else { return woken }
        self.queues[key] = nil
        // The next publisher that is held up begins another hold.
        if self.hold?.shard === shard, let hold = self.hold.take() { self.count(hold, now: now) }
        woken.publishers += self.wake().publishers
        return woken
    }

    /// The key of a shard's queue; `nil` for a shard without members, whose event loop may have a newer shard.
    private func key(of shard: GroupShard) -> ObjectIdentifier? {
        let key = ObjectIdentifier(shard.eventLoop)
        return self.queues[key]?.shard === shard ? key : nil
    }

    mutating func moved(isFull: Bool, now: NIODeadline) -> Woken {
        self.fullMembers += isFull ? 1 : -1
        guard self.fullMembers == 0 else { return Woken() }
        if let hold = self.hold.take() { self.count(hold, now: now) }
        return self.wake()
    }

    // MARK: Publications

    /// Queues a publication for all event loops with members, or for none.
    mutating func put(_ publication: Publication, _ options: WebSocketGroup.Options, now: NIODeadline) -> Outcome {
        if case .wait(let patience) = options.slowMembers, self.fullMembers > 0 {
            return .held(self.beginHold(max(TimeAmount(patience), .zero), now: now))
        }
        guard self.queues.values.allSatisfy({ $0.publications < options.queuedPublications }) else { return .behind }
        var publication = publication
        self.lastID += 1
        publication.number = self.lastID
        var idle: [GroupShard] = []
        for key in self.queues.keys {
            self.queues[key]?.publications += 1
            self.queues[key]?.items.append(.publish(publication))
            if let queue = self.queues[key], queue.items.count == 1 { idle.append(queue.shard) }
        }
        return .queued(wake: idle)
    }

    /// Queues a member's change of itself.
    /// - Returns: true where the shard is to be woken.
    mutating func put(_ change: Item, for shard: GroupShard) -> Bool {
        guard let key = self.key(of: shard) else { return false }
        self.queues[key]?.items.append(change)
        return self.queues[key]?.items.count == 1
    }

    mutating func take(_ shard: GroupShard) -> ([Item], Woken) {
        guard let key = self.key(of: shard), let items = self.queues[key]?.items else { return ([], Woken()) }
        self.queues[key]?.items = []
        self.queues[key]?.publications = 0
        return (items, self.wake())
    }

    // MARK: Slow members

    /// Publishers have to wait for slow members.
    /// - Returns: the hold, where it begins now.
    private mutating func beginHold(_ patience: TimeAmount, now: NIODeadline) -> Hold? {
        guard self.hold == nil, let shard = self.queues.values.first?.shard else { return nil }
        self.patience = patience
        let left = max(patience - self.debt.length(now: now, patience: patience), min(patience, Self.grace))
        self.hold = Hold(since: now, until: now + left, shard: shard)
        return self.hold
    }

    /// - Returns: the beginning of a hold that is over now, and the shards that have members to drop.
    mutating func endHold(now: NIODeadline) -> (since: NIODeadline, shards: [GroupShard])? {
        guard let hold = self.hold, hold.until <= now else { return nil }
        self.hold = nil
        self.debt.add(now - hold.since, now: now, patience: self.patience)
        return (hold.since, self.queues.values.map(\.shard))
    }

    /// A hold has ended before it ran out: no member is full any more. Its time beyond the grace counts as well, so that no
    /// member can hold publishers up again and again by taking a message or leaving just in time. Shorter holds are the pace
    /// of members that keep up, and do not count.
    private mutating func count(_ hold: Hold, now: NIODeadline) {
        let cost = now - hold.since - min(self.patience, Self.grace)
        if cost > .zero { self.debt.add(cost, now: now, patience: self.patience) }
    }

    // MARK: Publishers

    func hasRoom(_ options: WebSocketGroup.Options) -> Bool {
        if case .wait = options.slowMembers, self.fullMembers > 0 { return false }
        return self.queues.values.allSatisfy { $0.publications < options.queuedPublications }
    }

    /// A number for a publisher that is about to wait.
    mutating func ticket() -> UInt64 {
        self.lastID += 1
        return self.lastID
    }

    /// - Returns: false for one that was cancelled meanwhile.
    mutating func wait(_ ticket: UInt64, _ publisher: UnsafeContinuation<Void, Never>) -> Bool {
        guard self.givenUp.remove(ticket) == nil else { return false }
        self.publishers[ticket] = publisher
        return true
    }

    mutating func giveUp(_ ticket: UInt64) -> Woken {
        guard let publisher = self.publishers.removeValue(forKey: ticket) else {
            self.givenUp.insert(ticket)
            return Woken()
        }
        return Woken(publishers: [publisher])
    }

    /// The publisher has gone on: a cancellation that came too late is none.
    mutating func forget(_ ticket: UInt64) { self.givenUp.remove(ticket) }

    /// `true` while something of a publisher is kept.
    var knowsPublishers: Bool { !self.publishers.isEmpty || !self.givenUp.isEmpty }

    /// Wakes all waiting publishers in the order of their arrival.
    private mutating func wake() -> Woken {
        defer { self.publishers = [:] }
        return Woken(publishers: self.publishers.sorted { $0.key < $1.key }.map(\.value))
    }
}
