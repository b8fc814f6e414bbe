// The same over sockets of this machine, where descriptors are counted as well, and the timers of NIO's own loops: some of the
// operations of each scenario, or all of them.

import Foundation
import NIOCore
import NIOPosix
import TestSupport
import Testing

@Suite("Torture over sockets", .serialized)
struct SocketTortureTests {
    /// All of them by `make torture`.
    private static let isComplete = ProcessInfo.processInfo.environment["KHP_TORTURE"] == "all"

    /// The faults at which sockets differ from channels in memory, of these the ones that nobody has to wait for.
    private static let faults = Fault.all.filter { fault in
        switch (fault.operation, fault.way) {
        case (.timer, _), (.connect, .isLate): false
        case (.tls, .fails), (.tls, .isForAnother), (.tls, .stalls): true
        case (.connect, _), (.up, .resets), (.read, .resets), (.write, .resets), (.turn, .isCancelled): true
        default: isComplete
        }
    }

    private static let scenarios = Scenario.all.filter { !$0.isInMemory && (isComplete || !$0.isLong) }

    @Test("the timers of an event loop are seen")
    func timersAreSeen() async throws {
        let loop = TortureRun.connections.next()
        let before = LoopTimers.set()
        let timer = loop.scheduleTask(in: .seconds(60)) {}
        #expect(LoopTimers.left(since: before, withTLS: true) == 1)
        timer.cancel()
        try await loop.submit {}.get()
        #expect(LoopTimers.left(since: before, withTLS: true) == 0)
    }

    @Test("whichever operation fails, no descriptor and no timer is left either", arguments: Self.scenarios)
    func everyFault(_ scenario: Scenario) async {
        // All that is made once is there before.
        _ = (TortureRun.connections, TortureRun.callers, TortureSettings.serverContext)
        await Self.runAlone(scenario, nil)
        var left = Self.faults.filter { scenario.has($0.operation) }
        var number = 0
        var runs = 1
        while !left.isEmpty, number < Fault.most {
            runs += left.count
            number = Self.isComplete ? number + 1 : max(1, number * 3)
            let faults = left.map { Fault(operation: $0.operation, way: $0.way, number: number) }
            left = await Self.runTogether(scenario, faults).map { ($0.operation, $0.way) }
        }
        #expect(left.isEmpty || !Self.isComplete, "there is no end of these operations: \(left)")
        print("torture over sockets: \(runs) runs of \(scenario.name)")
    }

    /// - Returns: the faults that have happened.
    private static func runTogether(_ scenario: Scenario, _ faults: [Fault]) async -> [Fault] {
        let before = Before()
        let struck = await withTaskGroup(of: (Fault, TortureReport).self) { group in
            for fault in faults {
                group.addTask { (fault, await TortureRun(scenario: scenario, fault: fault).overSockets()) }
            }
            var struck: [Fault] = []
            for await (fault, report) in group {
                Self.record(report.complaints, scenario, fault)
                if report.hasStruck { struck.append(fault) }
            }
            return struck
        }
        // Which of them it was is found out one by one.
        if await !before.left(by: scenario).isEmpty { for fault in faults { await Self.runAlone(scenario, fault) } }
        return struck
    }

    private static func runAlone(_ scenario: Scenario, _ fault: Fault?) async {
        let before = Before()
        var complaints = await TortureRun(scenario: scenario, fault: fault).overSockets().complaints
        complaints += await before.left(by: scenario)
        Self.record(complaints, scenario, fault)
    }

    /// All that there was before a run.
    private struct Before {
        private let sockets = Descriptors.sockets()
        private let timers = LoopTimers.set()

        /// All that is not given back. It is in the turn behind the one that tells of the end.
        func left(by scenario: Scenario) async -> [String] {
            var left = await self.looked(scenario)
            for _ in 0..<200 * Sanitizer.patience where !left.isEmpty {
                try? await Task.sleep(for: .milliseconds(1))
                left = await self.looked(scenario)
            }
            return left
        }

        private func looked(_ scenario: Scenario) async -> [String] {
            let counts = [
                (Descriptors.sockets().subtracting(self.sockets).count, "descriptors"),
                (LoopTimers.left(since: self.timers, withTLS: scenario.isSecure), "timers"),
                (await LoopTimers.waiting(), "waits for a deadline"),
            ]
            return counts.filter { $0.0 > 0 }.map { "leaves \($0.0) \($0.1)" }
        }
    }

    private static func record(_ complaints: [String], _ scenario: Scenario, _ fault: Fault?) {
        guard !complaints.isEmpty else { return }
        let name = "\(scenario.name), \(fault.map { "\($0)" } ?? "no fault")"
        Issue.record(Comment(rawValue: "\(name): \(complaints.joined(separator: "; "))"))
    }
}
