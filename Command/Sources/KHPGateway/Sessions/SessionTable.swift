// All open sessions, each on its event loop, with the counts of those that have ended. A message costs no lock: whoever wants
// to know asks each event loop.

import NIOCore
import Synchronization

/// The end of a session, as it is counted.
struct EndKey: Hashable, Sendable {
    var party: SessionEnd.Party
    var cause: SessionEnd.Cause
}

/// The counts of a service over sessions that are over and, once asked for, open ones.
struct ServiceTotals: Sendable {
    /// The bounds of the histogram of durations, in seconds.
    static let durations: [Double] = [1, 10, 60, 300, 1800, 3600, 14_400, 86_400]

    var open = 0
    var opened = 0
    var ended: [EndKey: Int] = [:]
    var tally = Tally()
    var buffered = 0
    var clientPauses = 0
    var clientPaused = TimeAmount.zero
    var backendPauses = 0
    var backendPaused = TimeAmount.zero
    /// How many lasted no longer than each bound, and all.
    var durations = [Int](repeating: 0, count: Self.durations.count)
    var duration = 0.0

    mutating func add(_ session: Session, now: NIODeadline) {
        self.tally += session.tally
        self.clientPauses += session.clientPause.count
        self.clientPaused = self.clientPaused + session.clientPause.all(now)
        self.backendPauses += session.backendPause.count
        self.backendPaused = self.backendPaused + session.backendPause.all(now)
    }

    mutating func ended(_ session: Session, _ end: SessionEnd, now: NIODeadline) {
        self.ended[EndKey(party: end.party, cause: end.cause), default: 0] += 1
        self.add(session, now: now)
        let seconds = Double((now - session.opened).nanoseconds) / 1e9
        self.duration += seconds
        for (place, bound) in Self.durations.enumerated() where seconds <= bound { self.durations[place] += 1 }
    }

    static func += (all: inout ServiceTotals, one: ServiceTotals) {
        all.open += one.open
        all.opened += one.opened
        all.ended.merge(one.ended, uniquingKeysWith: +)
        all.tally += one.tally
        all.buffered += one.buffered
        all.clientPauses += one.clientPauses
        all.clientPaused = all.clientPaused + one.clientPaused
        all.backendPauses += one.backendPauses
        all.backendPaused = all.backendPaused + one.backendPaused
        all.duration += one.duration
        for place in all.durations.indices { all.durations[place] += one.durations[place] }
    }
}

/// The sessions of one event loop.
final class LoopSessions {
    private(set) var sessions: [String: Session] = [:]
    private var totals: [String: ServiceTotals] = [:]
    private var looks: RepeatedTask?

    /// Looks at all sessions each second, while there are some: how long nothing has moved is known to the second.
    private func lookOn(_ eventLoop: any EventLoop) {
        guard self.looks == nil else { return }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        self.looks = eventLoop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { task in
            let own = bound.value
            guard !own.sessions.isEmpty else {
                task.cancel()
                own.looks = nil
                return
            }
            let now = NIODeadline.now()
            for session in own.sessions.values {
                session.look(now)
                session.tellSlow(now)
                session.tellUse(now)
            }
        }
    }

    func add(_ session: Session, on eventLoop: any EventLoop) {
        self.lookOn(eventLoop)
        self.sessions[session.facts.id] = session
        self.totals[session.facts.service, default: ServiceTotals()].opened += 1
    }

    func remove(_ session: Session, _ end: SessionEnd, now: NIODeadline) {
        guard self.sessions.removeValue(forKey: session.facts.id) != nil else { return }
        self.totals[session.facts.service, default: ServiceTotals()].ended(session, end, now: now)
    }

    /// The counts of all services, with what the open sessions have carried so far.
    func allTotals(now: NIODeadline) -> [String: ServiceTotals] {
        var all = self.totals
        for session in self.sessions.values {
            all[session.facts.service, default: ServiceTotals()].open += 1
            all[session.facts.service, default: ServiceTotals()].buffered += session.buffered()
            all[session.facts.service, default: ServiceTotals()].add(session, now: now)
        }
        return all
    }
}

final class SessionTable: Sendable {
    private typealias Box = NIOLoopBoundBox<LoopSessions>

    private let loops: [ObjectIdentifier: Box]

    init(_ group: any EventLoopGroup) {
        var loops: [ObjectIdentifier: Box] = [:]
        for eventLoop in group.makeIterator() {
            loops[ObjectIdentifier(eventLoop)] = NIOLoopBoundBox.makeBoxSendingValue(
                LoopSessions(),
                eventLoop: eventLoop
            )
        }
        self.loops = loops
    }

    /// The sessions of the event loop that this is called on; `nil` for one of another group.
    func sessions(on eventLoop: any EventLoop) -> LoopSessions? { self.loops[ObjectIdentifier(eventLoop)]?.value }

    /// Asks every event loop, and waits for all answers.
    func collect<Answer: Sendable>(_ body: @escaping @Sendable (LoopSessions) -> Answer) async -> [Answer] {
        await withTaskGroup(of: Answer?.self) { tasks in
            for box in self.loops.values {
                let eventLoop = box.eventLoop
                tasks.addTask { try? await eventLoop.submit { body(box.value) }.get() }
            }
            var answers: [Answer] = []
            for await answer in tasks { if let answer { answers.append(answer) } }
            return answers
        }
    }

    /// The counts of each service, over all event loops.
    func totals() async -> [String: ServiceTotals] {
        var all: [String: ServiceTotals] = [:]
        for part in await self.collect({ $0.allTotals(now: .now()) }) {
            for (service, totals) in part { all[service, default: ServiceTotals()] += totals }
        }
        return all
    }

    /// How many are open.
    func count() async -> Int { await self.collect { $0.sessions.count }.reduce(0, +) }

    /// Ends the sessions that `choice` says, evenly over a time.
    /// - Parameter isCalledOff: asked before each end; `true` lets the session go on.
    /// - Returns: how many.
    @discardableResult
    func close(
        _ end: SessionEnd,
        over time: Duration = .zero,
        where choice: @escaping @Sendable (SessionFacts) -> Bool = { _ in true },
        unless isCalledOff: @escaping @Sendable () -> Bool = { false }
    ) async -> Int {
        let chosen = await self.collect { sessions in
            sessions.sessions.values.filter { $0.close != nil && choice($0.facts) }.map(\.facts.id)
        }
        let count = chosen.reduce(0) { $0 + $1.count }
        guard count > 0 else { return 0 }
        let step = TimeAmount(time) / count
        // Dealt out to the event loops in turn, each in its own order: no two moments have more than their share.
        let loops = Array(self.loops.values)
        let ids = Set(chosen.joined())
        let place = Turns()
        for box in loops {
            box.eventLoop.execute {
                for (id, session) in box.value.sessions where ids.contains(id) {
                    let turn = place.next()
                    if time == .zero {
                        if !isCalledOff() { session.close?(end) }
                    } else {
                        box.eventLoop.scheduleTask(in: step * turn) {
                            if !isCalledOff() { box.value.sessions[id]?.close?(end) }
                        }
                    }
                }
            }
        }
        return count
    }
}

/// Counts from 0, for all who ask.
private final class Turns: Sendable {
    private let count = Mutex(0)

    func next() -> Int {
        self.count.withLock { count in
            defer { count += 1 }
            return count
        }
    }
}

extension TimeAmount {
    fileprivate static func / (time: TimeAmount, parts: Int) -> TimeAmount {
        .nanoseconds(time.nanoseconds / Int64(max(parts, 1)))
    }

    fileprivate static func * (time: TimeAmount, times: Int) -> TimeAmount {
        .nanoseconds(time.nanoseconds.multipliedReportingOverflow(by: Int64(times)).partialValue)
    }
}
