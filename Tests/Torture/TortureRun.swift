// One run: the caller acts, one operation fails, and what is left behind is counted.

import KHPProtocol
import NIOCore
import NIOPosix
import Synchronization
import TestSupport

@testable import KHPClient

struct TortureReport: Sendable {
    /// How long the caller waited, and then how long it took until nothing was left.
    var seconds: (result: Double, rest: Double) = (0, 0)
    var outcome: Outcome?
    /// `false` where there were fewer operations than the one that was to fail.
    var hasStruck = false
    /// All that is wrong with the run.
    var complaints: [String] = []
}

struct TortureRun: Sendable {
    let scenario: Scenario
    let fault: Fault?
    /// The connections on one thread, the callers on another.
    static let connections = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    static let callers = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    /// All of a world in memory stands on one loop. Several worlds run at the same time.
    private static let worlds = MultiThreadedEventLoopGroup(numberOfThreads: 2)

    /// Longer than all waits of a run together.
    private static let life = TimeAmount.seconds(6 * Int64(Sanitizer.patience))
    /// Twice as long over HTTP/2: a stream waits a second for a peer that has gone silent, and then TLS does.
    private static let hasty = TimeAmount.milliseconds(2500 * Int64(Sanitizer.patience))
    /// Shorter than the long waits of the scenarios.
    private static let prompt = TimeAmount.milliseconds(1500 * Int64(Sanitizer.patience))
    /// Shorter than the second for which something of the product might be kept.
    private static let atOnce = TimeAmount.milliseconds(700 * Int64(Sanitizer.patience))

    private struct Hung: Error {}

    func inMemory() async -> TortureReport {
        let plan = FaultPlan(self.fault)
        do {
            let world = try MemoryWorld(self.scenario, plan, on: Self.worlds.next())
            var report = await self.run(in: world)
            if let fault, report.hasStruck, !self.scenario.isNoticed(fault), case .failed(let error)? = report.outcome {
                report.complaints.append("is not got over: \(error)")
            }
            return report
        } catch {
            return TortureReport(complaints: ["no world: \(error)"])
        }
    }

    func overSockets() async -> TortureReport {
        let plan = FaultPlan(self.fault)
        do {
            let world = try await SocketWorld(self.scenario, plan, on: Self.connections)
            return await self.run(in: world)
        } catch {
            return TortureReport(complaints: ["no world: \(error)"])
        }
    }

    func run(in world: any TortureWorld) async -> TortureReport {
        var report = TortureReport()
        let began = NIODeadline.now()
        let outcome = await self.act(in: world)
        let over = NIODeadline.now()
        let plan = world.plan
        report.outcome = outcome
        report.hasStruck = plan.hasStruck
        let told = plan.hasStruck ? self.fault.flatMap { self.scenario.error(of: $0) } : nil
        if told != nil, case .value? = outcome { report.complaints.append("is got over") }
        switch outcome {
        case nil:
            report.complaints.append(
                "hangs, with \((Self.inUse(of: world) + Self.left(of: world)).joined(separator: ", "))"
            )
        case .failed(let error)?:
            let mayBeLate = !TortureSettings(plan, world.watch).isTold
            if !plan.hasStruck, !mayBeLate { report.complaints.append("fails without a fault: \(error)") }
            if !(error is WebSocketError || error is CancellationError) {
                report.complaints.append("throws an error without a type: \(error) (\(type(of: error)))")
            }
            if let told { report.complaints += Self.complaint(of: error, instead: told) }
            if self.isCancellation {
                if plan.hasStruck, !(error is CancellationError) { report.complaints.append("throws \(error)") }
            } else if error is CancellationError {
                report.complaints.append("throws CancellationError to a caller that is not cancelled")
            }
        case .value(let value)?:
            // Nothing in WebSocket notices bytes that change within a payload.
            let mayBeAnother = value == Scenario.anotherMessage && self.fault?.way == .isCorrupt && plan.hasStruck
            if value != "hi", !mayBeAnother { report.complaints.append("returns \"\(value)\"") }
        }
        if self.isCancellation, let struckAt = plan.struckAt, over - struckAt > Self.prompt {
            report.complaints.append("is cancelled, and waits on")
        }
        report.complaints += await self.leftovers(of: world)
        report.seconds = (Self.seconds(over - began), Self.seconds(.now() - over))
        if !report.complaints.isEmpty { report.complaints.append("trail: \(plan.trail)") }
        return report
    }

    /// A complaint of an error of another kind than the caller is to get.
    private static func complaint(
        of error: any Error,
        instead told: (code: WebSocketError.Code, detail: WebSocketError.Detail?)
    ) -> [String] {
        let error = error as? WebSocketError
        if error?.code == told.code, told.detail == nil || error?.detail == told.detail { return [] }
        let kind = "\(error.map { "\($0.code)" } ?? "no code") with \(error?.detail.map { "\($0)" } ?? "no detail")"
        return ["throws an error of another kind, \(kind): \(error?.message ?? "")"]
    }

    private static func seconds(_ time: TimeAmount) -> Double { Double(time.nanoseconds) / 1e9 }

    private var isCancellation: Bool { self.fault?.operation == .turn }

    /// The caller's one result; `nil` where there is none in time.
    private func act(in world: any TortureWorld) async -> Outcome? {
        let loop = Self.callers.next()
        let executor = CallerExecutor(on: loop, world.plan)
        let result = loop.makePromise(of: Outcome.self)
        let act = self.scenario.act
        let task = Task(executorPreference: executor) { () -> Outcome in
            do {
                return .value(try await act(world))
            } catch {
                return .failed(error)
            }
        }
        executor.runs(task)
        let end = Task { result.succeed(await task.value) }
        let watchdog = loop.scheduleTask(in: Self.life) { result.fail(Hung()) }
        defer { watchdog.cancel() }
        do {
            let outcome = try await result.futureResult.get()
            await end.value
            executor.ended()
            return outcome
        } catch {
            task.cancel()
            return nil
        }
    }

    /// All that is not gone soon after the caller has its result.
    private func leftovers(of world: any TortureWorld) async -> [String] {
        // The peer may have to find out first that the caller has gone.
        let hasty = self.scenario.usesStreams ? Self.hasty * 2 : Self.hasty
        var complaints = await Self.complaint(within: hasty) { Self.inUse(of: world) }
        // With the channels and tasks all goes that waits for them.
        if complaints.isEmpty { complaints = await Self.complaint(within: Self.atOnce) { Self.left(of: world) } }
        let began = NIODeadline.now()
        await world.drain()
        if NIODeadline.now() - began > hasty { complaints.append("does not drain") }
        if world.connections != 0, complaints.isEmpty { complaints.append("drains by force") }
        return complaints
    }

    private static func complaint(within time: TimeAmount, _ left: () -> [String]) async -> [String] {
        let limit = NIODeadline.now() + time
        while true {
            let left = left()
            if left.isEmpty { return [] }
            if NIODeadline.now() > limit { return ["leaves " + left.joined(separator: ", ")] }
            try? await Task.sleep(for: .milliseconds(1))
        }
    }

    private static func inUse(of world: any TortureWorld) -> [String] {
        Self.named([
            (world.watch.open, "open channels"), (world.watch.tasks, "tasks"),
            (world.connections, "places on the server"),
            (world.client.gate.held, "places of the client's gate"),
            (world.client.gate.waiting, "waits at the client's gate"),
        ])
    }

    private static func left(of world: any TortureWorld) -> [String] {
        world.watch.left + Self.named([(world.timers, "timers")])
    }

    private static func named(_ counts: [(count: Int, name: String)]) -> [String] {
        counts.filter { $0.count != 0 }.map { "\($0.count) \($0.name)" }
    }
}
