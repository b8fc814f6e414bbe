// The invariants in time: each stage ends by the bounds that are documented for it, and each bound counts by itself, from
// the moment at which it began.

import KHPProtocol
import NIOCore

/// A time by which a side is to be somewhere else.
private struct Bound {
    let name: String
    let end: NIODeadline

    init(_ name: String, _ since: NIODeadline, _ bound: TimeAmount) {
        self.name = name
        self.end = since + bound
    }
}

extension World {
    /// No stage lasts longer than its documented bounds; timers that fire late may make it later by as much.
    func checkAge(_ role: Role) throws(Violation) {
        let side = self[role]
        if role == .client { try self.checkPromise() }
        if side.closing != .open, side.closing != .over, side.connection.closingDeadline == nil {
            throw Violation(.boundedTime, "the closing handshake of the \(role) has no deadline, \(side.closing)")
        }
        guard !side.isOver else { return }
        for bound in self.bounds(of: side) {
            let end = bound.end + self.time.slack
            guard end < self.now else { continue }
            let late = (self.now - end).nanoseconds / 1_000_000
            throw Violation(
                .boundedTime,
                "the \(role) is \(side.stage) for \(late) ms longer than \(bound.name) allows"
            )
        }
    }

    /// A wait that is configured to nothing is a millisecond.
    private func wait(_ duration: Duration) -> TimeAmount { max(TimeAmount(duration), .milliseconds(1)) }

    private func bounds(of side: Side) -> [Bound] {
        let timeouts = self.configuration.timeouts
        let last = max(side.stageSince, side.lastProgress)
        // Both close frames have been seen.
        if side.closing == .closed {
            let wait = min(self.wait(timeouts.close), ClosingHandshake.serverEndsFirst)
            return [Bound("close", side.closingSince, wait)]
        }
        switch side.stage {
        case .connecting where side.role == .client:
            return [self.total, Bound("connect", side.born, self.wait(timeouts.connect))]
        case .opening: return [self.total, Bound("opening", side.stageSince, self.wait(timeouts.opening))]
        // The handler's time, in which no other passes.
        case .challenged, .challengedInside:
            return [Bound("challenge", side.stageSince, self.wait(timeouts.challenge))]
        // Threat A2: one bound for all of it, TLS included, whatever has been reached meanwhile.
        case .connecting, .reading, .deciding, .decidingPlain, .awaitingKey:
            return [Bound("opening", side.born, self.wait(timeouts.opening))]
        case .extended where side.role == .server:
            let wait = max(self.wait(timeouts.extended), self.wait(timeouts.replay))
            return [self.extended(of: side), Bound("extended and replay", side.stageSince, wait)]
        case .extended:
            let wait = self.wait(timeouts.extended) + self.wait(timeouts.wait)
            return [self.total, Bound("extended and wait", side.stageSince, wait)]
        case .decidingInside:
            let wait = self.wait(timeouts.extended) + self.wait(timeouts.wait)
            return [self.extended(of: side), Bound("extended and wait", side.stageSince, wait)]
        case .closeHeld: return [Bound("closeHold", side.stageSince, self.wait(timeouts.closeHold))]
        case .closing: return [Bound("close", last, self.wait(timeouts.close))]
        case .leaving: return [Bound("close", last, min(self.wait(timeouts.close), .seconds(2)))]
        case .open: return self.openBounds(of: side)
        case .unread, .ended: return []
        }
    }

    /// The server's whole extended handshake, whatever its stages: a request and its answer, and as many again as there may
    /// be wrong answers to a challenge, or one to an old nonce (threat E1).
    private func extended(of side: Side) -> Bound {
        let timeouts = self.configuration.timeouts
        let round = self.wait(timeouts.extended) + self.wait(timeouts.wait)
        let replays = Int64(self.configuration.limits.wrongAnswers + 1)
        let replay = round + self.wait(timeouts.replay)
        let all = round + .nanoseconds(replay.nanoseconds * replays)
        return Bound("the whole extended handshake", side.extendedSince ?? side.stageSince, all)
    }

    /// The whole connect, over all hops; the time of handlers does not count.
    private var total: Bound { Bound("total", self.caller.deadline, .milliseconds(1)) }

    /// A server that promises to be heard within a time says something in half of it, and its client waits no longer.
    private func promise(of side: Side) -> Bound {
        let promise = ExtensionKind.promise
        guard side.role == .server else {
            return Bound("idle-timeout", max(side.connection.socket.lastReceived, side.stageSince), promise)
        }
        return Bound(
            "half of idle-timeout",
            max(side.lastWritten, side.stageSince),
            .nanoseconds(promise.nanoseconds / 2)
        )
    }

    /// An open socket ends when the peer takes nothing, is silent in spite of a ping or does not end a message, when no
    /// message goes either way, and when its session is over.
    private func openBounds(of side: Side) -> [Bound] {
        let timeouts = self.configuration.timeouts
        let keepAlive = self.configuration.keepAlive
        var bounds: [Bound] = []
        if side.isCongested {
            let last = max(side.lastProgress, side.stageSince)
            bounds.append(Bound("stalledWrite", last, self.wait(timeouts.stalledWrite)))
        }
        if let end = side.sessionEnd { bounds.append(Bound("sessionLifetime", end, .zero)) }
        if side.extensions.contains(.idleTimeout) { bounds.append(self.promise(of: side)) }
        // The peer's silence is our doing while nothing is read.
        guard !side.isPaused else { return bounds }
        if let idle = keepAlive.idleTimeout {
            let last = max(side.lastData, side.lastTaken, side.stageSince)
            bounds.append(Bound("idleTimeout", last, self.wait(idle)))
        }
        if let message = timeouts.message, let unfinished = side.unfinished, self.scenario.delivery == .messages {
            bounds.append(Bound("message", unfinished.since, self.wait(message)))
        }
        if let interval = keepAlive.pingInterval, self.scenario.dialect == .rfc6455 {
            let last = max(side.connection.socket.lastReceived, side.lastTaken, side.stageSince)
            let wait = self.wait(interval) + self.wait(keepAlive.pongTimeout)
            bounds.append(Bound("pingInterval and pongTimeout", last, wait))
        }
        return bounds
    }
}
