// The members of a group on one event loop: delivery, their queues, and the treatment of slow members.

import KHPProtocol
import NIOCore

/// Unchecked: its members are touched on its event loop only, and the rest never changes.
final class GroupShard: @unchecked Sendable {
    /// A member, and the queue of messages that its peer does not take yet.
    private final class Place {
        let id: UInt64
        let handler: ConnectionHandler
        let onTooSlow: (() -> Void)?
        var topics: Set<String>
        var queue = CircularBuffer<SharedMessage>()
        var bytes = 0
        /// True once the queue has reached its bounds, until it is below them.
        var isFull = false
        /// True while the handler is to call when its peer keeps up again.
        var isWaiting = false
        /// The time at which its peer last took a message.
        var tookAt = NIODeadline.now()

        init(id: UInt64, handler: ConnectionHandler, topics: Set<String>, onTooSlow: (() -> Void)?) {
            self.id = id
            self.handler = handler
            self.onTooSlow = onTooSlow
            self.topics = topics
        }
    }

    let eventLoop: any EventLoop
    /// Lives as long as the group: each member and each turn of the event loop holds that.
    private unowned let group: WebSocketGroup
    private var places: [UInt64: Place] = [:]
    private var topics: [String: Set<UInt64>] = [:]
    private let flushes = SharedFlushes()

    init(group: WebSocketGroup, eventLoop: any EventLoop) {
        self.group = group
        self.eventLoop = eventLoop
    }

    // MARK: Members

    func add(_ id: UInt64, _ handler: ConnectionHandler, _ topics: Set<String>, _ onTooSlow: (() -> Void)?) {
        // The handler has ended already, and reports its end no more.
        guard !handler.hasEnded else { return self.group.memberLeft(self, wasFull: false) }
        handler.enter(self.membership(id))
        self.places[id] = Place(id: id, handler: handler, topics: topics, onTooSlow: onTooSlow)
        for topic in topics { self.topics[topic, default: []].insert(id) }
    }

    private func membership(_ id: UInt64) -> ConnectionHandler.Membership {
        ConnectionHandler.Membership(group: self.group, shard: self, id: id)
    }

    private func subscribe(_ id: UInt64, to topic: String) {
        guard let place = self.places[id] else { return }
        place.topics.insert(topic)
        self.topics[topic, default: []].insert(id)
    }

    private func unsubscribe(_ id: UInt64, from topic: String) {
        self.places[id]?.topics.remove(topic)
        self.leave(topic, id)
    }

    private func leave(_ topic: String, _ id: UInt64) {
        self.topics[topic]?.remove(id)
        if self.topics[topic]?.isEmpty == true { self.topics[topic] = nil }
    }

    /// The member has left, or its socket has ended.
    func remove(_ id: UInt64) {
        guard let place = self.places.removeValue(forKey: id) else { return }
        place.handler.leave(self.membership(id))
        for topic in place.topics { self.leave(topic, id) }
        self.group.memberLeft(self, wasFull: place.isFull)
    }

    // MARK: Delivery

    /// Takes the items that wait for this event loop, in a turn of its own.
    func wake() {
        let group = self.group
        self.eventLoop.execute {
            for item in group.take(self) {
                switch item {
                case .publish(let publication): self.deliver(publication)
                case .subscribe(let id, let topic): self.subscribe(id, to: topic)
                case .unsubscribe(let id, let topic): self.unsubscribe(id, from: topic)
                case .leave(let id): self.remove(id)
                }
            }
            self.flushes.perform()
        }
    }

    private func deliver(_ publication: Publication) {
        let message = SharedMessage(publication.kind, publication.payload)
        guard let topic = publication.topic else {
            for place in self.places.values { self.deliver(message, of: publication, to: place) }
            return
        }
        for id in self.topics[topic] ?? [] {
            if let place = self.places[id] { self.deliver(message, of: publication, to: place) }
        }
    }

    private func deliver(_ message: SharedMessage, of publication: Publication, to place: Place) {
        guard place.id != publication.except, place.id < publication.number else { return }
        guard !place.handler.hasEnded else { return }
        if place.queue.isEmpty, place.handler.canSendNow { return self.send(message, to: place) }
        place.queue.append(message)
        place.bytes += message.payload.readableBytes
        self.checkBounds(of: place)
        self.waitForRoom(place)
    }

    private func send(_ message: SharedMessage, to place: Place) {
        // A socket that closes sends no message; a dialect without binary messages, or an extension, may refuse this one.
        try? place.handler.sendMessage(message, self.flushes)
    }

    /// The peer of a member takes bytes again, or its own stream has ended.
    private func drain(_ id: UInt64) {
        guard let place = self.places[id] else { return }
        place.isWaiting = false
        place.tookAt = .now()
        while !place.queue.isEmpty, place.handler.canSendNow {
            let message = place.queue.removeFirst()
            place.bytes -= message.payload.readableBytes
            self.send(message, to: place)
        }
        self.flushes.perform()
        // A write that fails ends the socket, and so the membership, within its call.
        guard self.places[id] != nil else { return }
        self.checkBounds(of: place)
        if !place.queue.isEmpty { self.waitForRoom(place) }
    }

    private func waitForRoom(_ place: Place) {
        guard !place.isWaiting, self.places[place.id] != nil else { return }
        place.isWaiting = true
        let id = place.id
        let group = self.group
        place.handler.whenSendable { [weak self] in
            withExtendedLifetime(group) { self?.drain(id) }
        }
    }

    // MARK: Slow members

    private func checkBounds(of place: Place) {
        let options = self.group.options
        func isFull() -> Bool { place.queue.count > options.queuedMessages || place.bytes > options.queuedBytes }
        switch options.slowMembers {
        case .dropOldest:
            // The last one stays, however large it is.
            while isFull(), place.queue.count > 1 { place.bytes -= place.queue.removeFirst().payload.readableBytes }
        case .close(let code, let reason):
            if isFull() { self.drop(place, code, reason) }
        case .wait:
            let isFull = place.queue.count >= options.queuedMessages || place.bytes >= options.queuedBytes
            guard isFull != place.isFull else { return }
            place.isFull = isFull
            self.group.memberMoved(isFull: isFull)
        }
    }

    func scheduleEnd(of hold: GroupState.Hold) {
        let group = self.group
        self.eventLoop.scheduleTask(deadline: hold.until) { group.endHold(now: .now()) }
    }

    /// Drops the members that are full, and those that are about to be: they took nothing for as long, though something is
    /// there for them.
    func dropSlow(since: NIODeadline) {
        let group = self.group
        self.eventLoop.execute {
            withExtendedLifetime(group) {
                let slow = self.places.values.filter { $0.isFull || !$0.queue.isEmpty && $0.tookAt <= since }
                for place in slow { self.drop(place, .tryAgainLater, "too slow") }
            }
        }
    }

    private func drop(_ place: Place, _ code: WebSocketCloseCode, _ reason: String) {
        self.remove(place.id)
        place.onTooSlow?()
        place.handler.close(code: code, reason: reason)
    }
}
