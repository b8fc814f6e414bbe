// The tasks that wait on a connection: to send, for a pong, for the end, for the socket's next state.

import KHPProtocol
import NIOCore

extension ConnectionHandler {
    /// The waits of tasks. Each task is resumed once: by its event, by the end of the socket or by its own cancellation.
    struct Waiters {
        /// The waits to send, in the order in which they came.
        private(set) var senders: [BlockedSender] = []
        private var pings: [SentPing] = []
        private var closeWaiters: [CloseWaiter] = []
        /// The groups that the socket is a member of.
        private var memberships: [Membership] = []
        var states: StateWatch?

        var hasSenders: Bool { mutating get { !self.senders.isEmpty } }
        var hasPings: Bool { mutating get { !self.pings.isEmpty } }
        var hasCloseWaiters: Bool { mutating get { !self.closeWaiters.isEmpty } }
        var hasMemberships: Bool { mutating get { !self.memberships.isEmpty } }

        mutating func add(_ sender: BlockedSender) { self.senders.append(sender) }
        mutating func add(_ ping: SentPing) { self.pings.append(ping) }
        mutating func add(_ waiter: CloseWaiter) { self.closeWaiters.append(waiter) }

        mutating func takeSenders() -> ArraySlice<BlockedSender> {
            defer { self.senders = [] }
            return self.senders[...]
        }

        /// Puts senders back before all that have come since.
        mutating func putBack(_ senders: ArraySlice<BlockedSender>) {
            self.senders = Array(senders) + self.senders
        }

        mutating func failSenders(_ error: WebSocketError) {
            for sender in self.takeSenders() { sender.fail(error) }
        }

        /// A pong has come, which answers all earlier pings too (RFC 6455 section 5.5.3).
        mutating func answerPings(upTo number: UInt64, at now: NIODeadline) {
            let answered = self.pings.filter { $0.number <= number }
            self.pings.removeAll { $0.number <= number }
            for ping in answered {
                ping.continuation.resume(returning: .nanoseconds((now - ping.sent).nanoseconds))
            }
        }

        mutating func failPings(_ error: WebSocketError) {
            let pings = self.pings
            self.pings = []
            for ping in pings { ping.continuation.resume(throwing: error) }
        }

        mutating func tellClosed(_ info: CloseInfo) {
            let waiters = self.closeWaiters
            self.closeWaiters = []
            for waiter in waiters { waiter.tell(info) }
        }

        mutating func add(_ membership: Membership) { self.memberships.append(membership) }

        mutating func remove(_ membership: Membership) { self.memberships.removeAll { $0 == membership } }

        mutating func takeMemberships() -> [Membership] {
            defer { self.memberships = [] }
            return self.memberships
        }

        /// Ends the wait of a task that was cancelled.
        mutating func giveUp(_ wait: TaskWait) {
            if let index = self.senders.firstIndex(where: { $0.wait === wait }) {
                self.senders.remove(at: index).fail(CancellationError())
            } else if let index = self.pings.firstIndex(where: { $0.wait === wait }) {
                self.pings.remove(at: index).continuation.resume(throwing: CancellationError())
            } else if let index = self.closeWaiters.firstIndex(where: { $0.isGivenUp(with: wait) }) {
                self.closeWaiters.remove(at: index).giveUp()
            }
        }
    }

    /// A place in a group. Keeps the group alive.
    struct Membership: Equatable {
        let group: WebSocketGroup
        let shard: GroupShard
        let id: UInt64

        static func == (one: Membership, other: Membership) -> Bool { one.id == other.id && one.shard === other.shard }
    }

    /// A wait to send.
    struct BlockedSender {
        enum Action {
            /// The operation of a task that waits for it. Where it throws, none of it has been or will be sent.
            case send(SendOperation, UnsafeContinuation<Void, any Error>)
            /// The call for a group, which then sends by itself.
            case tell(@Sendable () -> Void)
        }

        let wait: TaskWait
        let action: Action

        func perform(on handler: ConnectionHandler) {
            switch self.action {
            case .send(let send, let continuation):
                do throws(WebSocketError) {
                    try send(handler)
                    continuation.resume()
                } catch {
                    continuation.resume(throwing: error)
                }
            case .tell(let body):
                body()
            }
        }

        func fail(_ error: any Error) {
            switch self.action {
            case .send(_, let continuation): continuation.resume(throwing: error)
            case .tell(let body): body()
            }
        }
    }

    /// A ping that a task waits on.
    struct SentPing {
        let number: UInt64
        let sent: NIODeadline
        let wait: TaskWait
        let continuation: UnsafeContinuation<Duration, any Error>
    }

    /// A task that waits for the socket's end.
    enum CloseWaiter {
        /// Waits even where the task is cancelled.
        case always(UnsafeContinuation<CloseInfo, Never>)
        /// Waits until the task is cancelled.
        case unless(TaskWait, UnsafeContinuation<CloseInfo?, Never>)

        func tell(_ info: CloseInfo) {
            switch self {
            case .always(let continuation): continuation.resume(returning: info)
            case .unless(_, let continuation): continuation.resume(returning: info)
            }
        }

        func isGivenUp(with wait: TaskWait) -> Bool {
            if case .unless(let own, _) = self { own === wait } else { false }
        }

        func giveUp() {
            if case .unless(_, let continuation) = self { continuation.resume(returning: nil) }
        }
    }
}
