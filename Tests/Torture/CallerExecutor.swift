// Runs the caller's task turn by turn, so that it can be cancelled at each of its awaits: before it goes on, or while it
// waits behind the next one.

import NIOCore
import Synchronization

final class CallerExecutor: TaskExecutor {
    private let loop: any EventLoop
    private let plan: FaultPlan
    private let cancel = Mutex<(@Sendable () -> Void)?>(nil)
    private let isCancelled = Atomic(false)

    init(on loop: any EventLoop, _ plan: FaultPlan) {
        self.loop = loop
        self.plan = plan
    }

    /// Tells how the task is cancelled, which may have been decided already.
    func runs(_ task: Task<Outcome, Never>) {
        self.cancel.withLock { $0 = { task.cancel() } }
        if self.isCancelled.load(ordering: .sequentiallyConsistent) { task.cancel() }
    }

    /// The task has ended.
    func ended() { self.cancel.withLock { $0 = nil } }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        self.loop.execute {
            let way = self.plan.next(.turn)
            if way == .isHeldAndCancelled {
                self.loop.scheduleTask(in: .milliseconds(20)) {
                    self.cancelTask()
                    job.runSynchronously(on: self.asUnownedTaskExecutor())
                }
                return
            }
            if way == .isCancelled { self.cancelTask() }
            job.runSynchronously(on: self.asUnownedTaskExecutor())
            if way == .isCancelledBehind { self.cancelTask() }
            if way == .isCancelledLater { self.loop.scheduleTask(in: .milliseconds(20)) { self.cancelTask() } }
        }
    }

    private func cancelTask() {
        self.isCancelled.store(true, ordering: .sequentiallyConsistent)
        self.cancel.withLock { $0 }?()
    }
}

/// The one result that the caller gets.
enum Outcome: Sendable, CustomStringConvertible {
    case value(String)
    case failed(any Error)

    var description: String {
        switch self {
        case .value(let value): "\"\(value)\""
        case .failed(let error): "\(error)"
        }
    }
}
