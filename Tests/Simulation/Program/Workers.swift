// Runs seeds on all cores. A seed that crashes, or never ends, is named all the same.

import Foundation
import Synchronization

final class Workers: Sendable {
    private struct State {
        var next: UInt64
        var coverage = Coverage()
        var failures: [Runs.Failure] = []
    }

    private let seeds: Range<UInt64>
    private let state: Mutex<State>
    /// Seeds that one thread takes at a time.
    private static let share: UInt64 = 64
    /// More failures than these tell nothing new.
    private static let mostFailures = 20

    init(_ seeds: Range<UInt64>) {
        self.seeds = seeds
        self.state = Mutex(State(next: seeds.lowerBound))
    }

    /// The visits and the failures of all runs, in the order of the seeds.
    var result: (coverage: Coverage, failures: [Runs.Failure]) {
        self.state.withLock { ($0.coverage, $0.failures.sorted { $0.seed < $1.seed }) }
    }

    func run() {
        let began = ContinuousClock.now
        let count = max(1, ProcessInfo.processInfo.activeProcessorCount)
        Watch.start(threads: count)
        let group = DispatchGroup()
        for number in 0..<count {
            group.enter()
            let thread = Thread {
                self.work(number)
                group.leave()
            }
            thread.stackSize = 8 << 20
            thread.start()
        }
        while group.wait(timeout: .now() + 10) == .timedOut {
            Watch.check()
            let (next, failures) = self.state.withLock { ($0.next, $0.failures.count) }
            self.tell("\(next - self.seeds.lowerBound) of \(self.seeds.count) seeds, \(failures) failures", began)
        }
        self.tell("all seeds", began)
    }

    private func tell(_ words: String, _ began: ContinuousClock.Instant) {
        let seconds = (ContinuousClock.now - began).components.seconds
        FileHandle.standardError.write(Data("\(words) after \(seconds) s\n".utf8))
    }

    private func work(_ number: Int) {
        while true {
            let share = self.state.withLock { state -> Range<UInt64>? in
                guard state.next < self.seeds.upperBound, state.failures.count < Self.mostFailures else { return nil }
                let share = state.next..<min(state.next + Self.share, self.seeds.upperBound)
                state.next = share.upperBound
                return share
            }
            guard let share else { return }
            var coverage = Coverage()
            var failures: [Runs.Failure] = []
            for seed in share {
                Watch.note(seed, thread: number)
                if let failure = Runs.run(seed, inWords: seed % 16 == 0, into: &coverage) { failures.append(failure) }
            }
            self.state.withLock { [coverage, failures] state in
                state.coverage.add(coverage)
                state.failures += failures
            }
        }
    }
}

/// The seed that each thread runs, for a handler of signals that can do no more than print it.
private enum Watch {
    private final class Slot: Sendable {
        let seed = Atomic<UInt64>(0)
    }

    private static let slots = (0..<256).map { _ in Slot() }
    /// Of the thread that checks alone.
    nonisolated(unsafe) private static var seen = [UInt64](repeating: 0, count: 256)
    nonisolated(unsafe) private static var count = 0

    static func start(threads: Int) {
        self.count = min(threads, self.slots.count)
        for number in [SIGILL, SIGTRAP, SIGSEGV, SIGABRT] {
            signal(number) { _ in
                Watch.name("a run has crashed")
                _exit(1)
            }
        }
    }

    static func note(_ seed: UInt64, thread: Int) {
        self.slots[thread % self.slots.count].seed.store(seed, ordering: .relaxed)
    }

    /// A run takes milliseconds: a thread that is still at the seed of ten seconds ago hangs.
    static func check() {
        for thread in 0..<self.count {
            let seed = self.slots[thread].seed.load(ordering: .relaxed)
            if seed != 0, seed == self.seen[thread] {
                self.name("a run does not end")
                _exit(1)
            }
            self.seen[thread] = seed
        }
    }

    private static func name(_ fault: StaticString) {
        write(2, fault.utf8Start, fault.utf8CodeUnitCount)
        for thread in 0..<self.count {
            var text: [UInt8] = Array(" seed ".utf8)
            text += Array(String(self.slots[thread].seed.load(ordering: .relaxed)).utf8)
            text += [0x0A]
            write(2, text, text.count)
        }
    }
}
