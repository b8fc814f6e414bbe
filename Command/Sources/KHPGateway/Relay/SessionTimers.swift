// The rules `idle` and `maxLifetime` for sessions that the gateway answers itself; a relay has looks of its own at what waits.

import NIOCore

/// Ends one session when its time is over, or when nothing has moved for a while. On its event loop.
final class SessionTimers {
    private let session: Session
    private let lifetime: GatewayConfiguration.Lifetime
    private let eventLoop: any EventLoop
    /// Counts what moves: another number means that something has.
    private let moved: () -> Int
    private var idleness: Idleness?
    private var next: Scheduled<Void>?
    private var last: Scheduled<Void>?

    init(
        _ session: Session,
        _ lifetime: GatewayConfiguration.Lifetime,
        on eventLoop: any EventLoop,
        moved: @escaping () -> Int
    ) {
        self.session = session
        self.lifetime = lifetime
        self.eventLoop = eventLoop
        self.moved = moved
    }

    /// The session is open.
    func begin() {
        let bound = NIOLoopBound(self, eventLoop: self.eventLoop)
        if let maximum = self.lifetime.maximum {
            self.last = self.eventLoop.scheduleTask(in: TimeAmount(maximum)) { bound.value.end(.lifetime, maximum) }
        }
        if let idle = self.lifetime.idle {
            self.idleness = Idleness(limit: TimeAmount(idle), mark: self.moved(), now: .now())
            self.lookLater(idle)
        }
    }

    /// The session is over.
    func cancel() {
        self.next?.cancel()
        self.last?.cancel()
    }

    private func lookLater(_ idle: Duration) {
        let bound = NIOLoopBound(self, eventLoop: self.eventLoop)
        self.next = self.eventLoop.scheduleTask(in: max(TimeAmount(idle / 8), .milliseconds(5))) {
            bound.value.look(idle)
        }
    }

    private func look(_ idle: Duration) {
        if self.idleness?.isOver(self.moved(), now: .now()) ?? false { return self.end(.idle, idle) }
        self.lookLater(idle)
    }

    private func end(_ cause: SessionEnd.Cause, _ time: Duration) {
        self.session.close?(.timer(cause, time, service: self.session.facts.service))
    }
}

/// Since when nothing has moved, as far as looks from time to time can tell.
struct Idleness {
    let limit: TimeAmount
    private var mark: Int
    private var since: NIODeadline

    init(limit: TimeAmount, mark: Int, now: NIODeadline) {
        self.limit = limit
        self.mark = mark
        self.since = now
    }

    /// - Returns: `true` where the mark has been the same for too long.
    mutating func isOver(_ mark: Int, now: NIODeadline) -> Bool {
        if mark != self.mark { (self.mark, self.since) = (mark, now) }
        return now - self.since >= self.limit
    }
}
