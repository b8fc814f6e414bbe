// Everything that the shell does, in memory, while each of its operations fails in turn.

import Foundation
import Testing

@Suite("Torture in memory", .serialized)
struct TortureTests {
    @Test("without a fault every scenario comes to its result, and leaves nothing", arguments: Scenario.all)
    func faultless(_ scenario: Scenario) async {
        let report = await TortureRun(scenario: scenario, fault: nil).inMemory()
        #expect(report.complaints.isEmpty, "\(report.complaints)")
    }

    @Test("whichever operation fails, the caller gets one result and nothing is left")
    func everyFault() async {
        let chains = Chain.all
        let (began, before) = (Date(), Descriptors.processorTime())
        var ledger = Ledger()
        await withTaskGroup(of: Chain.End.self) { group in
            var next = chains.makeIterator()
            func start() {
                guard let chain = next.next() else { return }
                group.addTask { await chain.follow() }
            }
            for _ in 0..<48 { start() }
            for await end in group {
                ledger.note(end)
                for complaint in end.complaints { Issue.record(Comment(rawValue: complaint)) }
                start()
            }
        }
        ledger.show()
        let (time, used) = (Date().timeIntervalSince(began), Descriptors.processorTime() - before)
        print("torture: \(ledger.runs) runs, \(chains.count) chains, \(time) s, \(used) s of processor time")
        #expect(ledger.runs > chains.count)
    }
}

/// The runs of one scenario in which the same operation fails in the same way, each time a later one.
private struct Chain: Sendable {
    let scenario: Scenario
    let operation: Operation
    let way: Way

    struct End: Sendable {
        let chain: Chain
        let runs: Int
        let seconds: Double
        let complaints: [String]
    }

    static var all: [Chain] {
        let only = ProcessInfo.processInfo.environment["KHP_TORTURE_ONLY"]
        let all = Scenario.all.flatMap { scenario in
            Fault.all.filter { scenario.has($0.operation) }
                .map { Chain(scenario: scenario, operation: $0.operation, way: $0.way) }
        }
        // A chain of a scenario that waits long takes longest, and the rest runs beside it.
        guard let only else {
            return all.filter { $0.scenario.only != nil } + all.filter { $0.scenario.only == nil }
        }
        return all.filter { "\($0.scenario.name) \($0.operation) \($0.way.rawValue)".contains(only) }
    }

    /// All that there is is asked for, or some of it by name.
    private static let isComplete =
        ProcessInfo.processInfo.environment["KHP_TORTURE"] == "all"
        || ProcessInfo.processInfo.environment["KHP_TORTURE_ONLY"] != nil

    /// Has the first operation fail, then the second, until there are not so many. Of a scenario that is taken in part,
    /// each way begins at another.
    func follow() async -> End {
        var complaints: [String] = []
        var seconds = 0.0
        var stride = Self.isComplete ? 1 : self.scenario.stride
        // A connection takes each of these steps once or twice.
        if case .tls = self.operation { stride = 1 }
        let place = Fault.all.firstIndex { $0.operation == self.operation && $0.way == self.way } ?? 0
        var number = place % stride + 1 - stride
        var runs = 0
        while true {
            number += stride
            runs += 1
            if number > Fault.most {
                complaints.append("\(self.scenario.name), \(self.operation): there is no end of these operations")
                break
            }
            let fault = Fault(operation: self.operation, way: self.way, number: number)
            let report = await TortureRun(scenario: self.scenario, fault: fault).inMemory()
            seconds += report.seconds.result + report.seconds.rest
            if !report.complaints.isEmpty {
                complaints.append("\(self.scenario.name), \(fault): \(report.complaints.joined(separator: "; "))")
            }
            if !report.hasStruck || complaints.count >= 3 { break }
        }
        return End(chain: self, runs: runs, seconds: seconds, complaints: complaints)
    }
}

/// How often each operation has failed, and how long that took.
private struct Ledger {
    private(set) var runs = 0
    private var faults: [String: (count: Int, seconds: Double)] = [:]
    private var scenarios: [String: (count: Int, seconds: Double)] = [:]

    mutating func note(_ end: Chain.End) {
        self.runs += end.runs
        let fault = "\(end.chain.operation) \(end.chain.way.rawValue)"
        let known = self.faults[fault] ?? (0, 0)
        // The last run of a chain has no such operation.
        self.faults[fault] = (known.count + end.runs - 1, known.seconds + end.seconds)
        let scenario = self.scenarios[end.chain.scenario.name] ?? (0, 0)
        self.scenarios[end.chain.scenario.name] = (scenario.count + end.runs, scenario.seconds + end.seconds)
    }

    func show() {
        let rows = [self.faults, self.scenarios].flatMap { table in table.sorted { $0.key < $1.key } }
        for (name, entry) in rows { print("  \(name): \(entry.count), \(Int(entry.seconds * 1000)) ms") }
    }
}
