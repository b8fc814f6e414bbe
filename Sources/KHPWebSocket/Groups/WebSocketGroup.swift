// Messages for many sockets at once: rooms, feeds, broadcasts.

public import KHPProtocol
import NIOCore
import Synchronization

/// Sockets that get what is published to them, of all event loops and of either role.
///
/// ```swift
/// let feed = WebSocketGroup()
/// let endpoint = Endpoint("/feed") { socket in
///     try await feed.withMember(socket, topics: ["gold"]) { _ in
///         for try await _ in socket.messages {}
///     }
/// }
/// try await feed.publish("1,912.40", to: "gold")
/// ```
///
/// A message is encoded once, goes to each event loop once, and from there to the members of that loop, which are flushed
/// together. All members see the messages in one order: that in which `publish` was entered. A member has a bounded queue
/// for what its peer does not take yet; ``SlowMembers`` says what becomes of one that is full.
public final class WebSocketGroup: Sendable {
    /// The treatment of a member whose queue is full.
    public enum SlowMembers: Sendable, Hashable {
        /// Drops the oldest messages of its queue.
        case dropOldest
        /// Closes its socket, so that the peer knows that it has missed something.
        case close(code: WebSocketCloseCode = .policyViolation, reason: String = "too slow")
        /// Has `publish` wait until all members have room, so that nobody misses a message and the slowest sets the pace.
        /// Members that have held the publishers up for so long, all of them together, are closed with 1013. That time is
        /// taken off the patience with the next ones, down to a quarter of a second, and wears off within a minute, however
        /// many there were: members that come only to be slow do not stop a group. Nor do those that take something in time
        /// again and again: of a hold that ends before the patience does, all but its first quarter of a second counts in
        /// the same way.
        case wait(atMost: Duration)
    }

    /// How a group treats its members.
    public struct Options: Sendable {
        /// The treatment of a member whose queue is full.
        public var slowMembers = SlowMembers.close()
        /// Messages that may wait for one member.
        public var queuedMessages = 64
        /// Bytes that may wait for one member; the last message goes beyond.
        public var queuedBytes = 1024 * 1024
        /// Messages that may wait for one event loop before a publisher waits for it.
        public var queuedPublications = 1024

        /// The defaults: slow members are closed, 64 messages or 1 MiB may wait for one.
        public init() {}
    }

    /// A socket's place in a group.
    public struct Member: Sendable {
        let id: UInt64
        let shard: GroupShard
        private let group: WebSocketGroup

        fileprivate init(_ id: UInt64, _ shard: GroupShard, _ group: WebSocketGroup) {
            self.id = id
            self.shard = shard
            self.group = group
        }

        /// Subscribes to a topic. Takes effect in the order of calls, as publishing does.
        public func subscribe(to topic: String) {
            self.group.put(.subscribe(self.id, topic), for: self.shard)
        }

        /// Ends the subscription to a topic. Takes effect in the order of calls, as publishing does.
        public func unsubscribe(from topic: String) {
            self.group.put(.unsubscribe(self.id, topic), for: self.shard)
        }

        /// Leaves the group. Messages that wait for the member are dropped.
        public func leave() {
            self.group.put(.leave(self.id), for: self.shard)
        }
    }

    let options: Options
    private let state = Mutex(GroupState())

    /// A group without members.
    public init(options: Options = Options()) {
        self.options = options
    }

    /// The members at this moment.
    public var count: Int { self.state.withLock { $0.members } }

    /// `true` while something of a publisher is kept.
    package var knowsPublishers: Bool { self.state.withLock { $0.knowsPublishers } }

    // MARK: Members

    /// Runs `body` while the socket is a member.
    /// - Parameters:
    ///   - socket: the socket. Others may send on it too, each message is whole.
    ///   - topics: the topics that it is subscribed to from the beginning. A message to no topic goes to all members.
    ///   - body: gets the member, to change its subscriptions and to leave it out of the messages that it publishes itself.
    /// - Returns: the result of `body`.
    /// - Throws: the errors of `body`.
    nonisolated(nonsending) public func withMember<Value>(
        _ socket: WebSocket,
        topics: Set<String> = [],
        _ body: (Member) async throws -> Value
    ) async rethrows -> Value {
        let member = await socket.onHandler(
            { handler in self.add(handler, topics, nil) },
            orElse: self.former(on: socket.eventLoop)
        )
        defer { member.leave() }
        return try await body(member)
    }

    /// Makes a member of the socket of a ``MessageHandler``, until it leaves or closes. On the socket's event loop.
    /// - Parameters:
    ///   - socket: the socket.
    ///   - topics: the topics that it is subscribed to from the beginning.
    ///   - onTooSlow: called on the event loop when the group is about to close the socket, since its peer does not keep up.
    public func add(
        _ socket: EventLoopSocket,
        topics: Set<String> = [],
        onTooSlow: (() -> Void)? = nil
    ) -> Member {
        self.add(socket.handler, topics, onTooSlow)
    }

    private func add(_ handler: ConnectionHandler, _ topics: Set<String>, _ onTooSlow: (() -> Void)?) -> Member {
        handler.eventLoop.preconditionInEventLoop()
        let (id, shard) = self.state.withLock { $0.enter(handler.eventLoop, self) }
        shard.add(id, handler, topics, onTooSlow)
        return Member(id, shard, self)
    }

    /// A member that has left already, of an event loop that was shut down.
    private func former(on eventLoop: any EventLoop) -> Member {
        let (id, shard) = self.state.withLock { $0.enter(eventLoop, self) }
        self.memberLeft(shard, wasFull: false)
        return Member(id, shard, self)
    }

    func memberLeft(_ shard: GroupShard, wasFull: Bool) {
        self.state.withLock { $0.leave(shard, wasFull: wasFull, now: .now()) }.resume()
    }

    /// A member's queue is full, or has room again.
    func memberMoved(isFull: Bool) {
        self.state.withLock { $0.moved(isFull: isFull, now: .now()) }.resume()
    }

    // MARK: Publishing

    /// Sends a message to all members, or to those that are subscribed to a topic. Returns when it is on its way to their
    /// event loops; waits while one of them is behind, and for slow members where ``SlowMembers/wait(atMost:)`` says so.
    ///
    /// A member whose dialect has no binary messages gets none. One that streams a message of its own gets what is
    /// published meanwhile after it.
    /// - Parameters:
    ///   - message: the message.
    ///   - topic: the topic; without one it goes to all members.
    ///   - member: one that does not get it, such as its author.
    /// - Throws: `CancellationError` where the task is cancelled while it waits. Then nothing is sent.
    nonisolated(nonsending) public func publish(
        _ message: WebSocketMessage,
        to topic: String? = nil,
        except member: Member? = nil
    ) async throws(CancellationError) {
        let publication = Publication(message, topic: topic, except: member?.id)
        while !self.put(publication) {
            try await self.room()
        }
    }

    /// Sends a text message; otherwise as the form that takes a message.
    /// - Throws: `CancellationError` where the task is cancelled while it waits. Then nothing is sent.
    nonisolated(nonsending) public func publish(
        _ text: String,
        to topic: String? = nil,
        except member: Member? = nil
    ) async throws(CancellationError) {
        try await self.publish(.text(text), to: topic, except: member)
    }

    /// Sends a message unless that means to wait, for code that cannot.
    /// - Returns: `false` where it would have to wait; nothing is sent then.
    public func offer(_ message: WebSocketMessage, to topic: String? = nil, except member: Member? = nil) -> Bool {
        self.put(Publication(message, topic: topic, except: member?.id))
    }

    private func put(_ publication: Publication) -> Bool {
        let outcome = self.state.withLock { $0.put(publication, self.options, now: .now()) }
        switch outcome {
        case .queued(let shards):
            for shard in shards { shard.wake() }
            return true
        case .behind:
            return false
        case .held(let hold):
            // The first that is held up sees to it that this ends.
            if let hold { hold.shard.scheduleEnd(of: hold) }
            return false
        }
    }

    /// The patience with slow members is over, unless they have become quicker: drops them on all event loops.
    func endHold(now: NIODeadline) {
        guard let (since, shards) = self.state.withLock({ $0.endHold(now: now) }) else { return }
        for shard in shards { shard.dropSlow(since: since) }
    }

    /// Queues a member's change of itself after what has been published.
    fileprivate func put(_ change: GroupState.Item, for shard: GroupShard) {
        if self.state.withLock({ $0.put(change, for: shard) }) { shard.wake() }
    }

    /// All that waits for an event loop, which takes it now.
    func take(_ shard: GroupShard) -> [GroupState.Item] {
        let (items, woken) = self.state.withLock { $0.take(shard) }
        woken.resume()
        return items
    }

    /// Waits until there is room, or there may be.
    nonisolated(nonsending) private func room() async throws(CancellationError) {
        let ticket = self.state.withLock { $0.ticket() }
        await withTaskCancellationHandler {
            await withUnsafeContinuation { continuation in
                let waits = self.state.withLock { state in
                    let mustWait = !Task.isCancelled && !state.hasRoom(self.options)
                    return mustWait && state.wait(ticket, continuation)
                }
                if !waits { continuation.resume() }
            }
        } onCancel: {
            self.state.withLock { $0.giveUp(ticket) }.resume()
        }
        self.state.withLock { $0.forget(ticket) }
        if Task.isCancelled { throw CancellationError() }
    }
}

extension WebSocketGroup: CustomReflectable {
    /// How many members there are. Their state changes on event loops, and is not to be looked at from elsewhere.
    public var customMirror: Mirror { Mirror(self, children: ["members": self.count]) }
}

/// A message on its way to the members.
struct Publication: Sendable {
    let kind: MessageKind
    let payload: ByteBuffer
    let topic: String?
    /// The member that does not get it.
    let except: UInt64?
    /// Its place in the order of a group.
    var number: UInt64 = 0

    init(_ message: WebSocketMessage, topic: String?, except: UInt64?) {
        switch message {
        case .text(let text):
            self.kind = .text
            self.payload = ByteBuffer(string: text)
        case .binary(let bytes):
            self.kind = .binary
            self.payload = bytes
        }
        self.topic = topic
        self.except = except
    }
}
