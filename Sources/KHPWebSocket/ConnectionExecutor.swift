// Runs the tasks of one connection on its event loop, so that a message costs no thread hop.
//
// A job that becomes ready while the connection handles a read burst is kept and run when the burst ends, before the
// one flush: what the application sends in answer leaves in the same write.

package import NIOCore

package final class ConnectionExecutor: TaskExecutor, @unchecked Sendable {
    // Unchecked: what changes is touched on `eventLoop` only; every path checks or is on it already. The runtime's check
    // of each access would cost more than the access, and none is left open across a call.
    package let eventLoop: any EventLoop
    /// The first job that became ready in the burst: most often the only one, the connection's own task.
    @exclusivity(unchecked) private var first: UnownedJob?
    /// The jobs after it; made for the first of them.
    @exclusivity(unchecked) private var rest: CircularBuffer<UnownedJob>?
    @exclusivity(unchecked) private var isInBurst = false
    /// The jobs that have run since the loop has last read, as far as that is known.
    @exclusivity(unchecked) private var jobsInTurn = 0
    /// The mark of the job that runs now; 0 for none.
    @exclusivity(unchecked) private var running = 0

    package init(eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if self.eventLoop.inEventLoop { self.accept(job) } else { self.eventLoop.execute { self.run(job) } }
    }

    /// Event loop: runs a job after the burst that is going on, or soon. A loop runs what is ready until nothing is, and
    /// reads only then: a job that makes itself ready again and again lets it, after a bounded number of turns.
    func accept(_ job: UnownedJob) {
        guard self.isInBurst else {
            self.jobsInTurn += 1
            guard self.jobsInTurn > Self.mostJobsInTurn else { return self.eventLoop.execute { self.run(job) } }
            self.jobsInTurn = 0
            return self.eventLoop.executeBehindReads { self.run(job) }
        }
        if self.first == nil, self.rest == nil {
            self.first = job
        } else {
            self.rest = self.rest ?? CircularBuffer(initialCapacity: 2)
            self.rest?.append(job)
        }
    }

    private static let mostJobsInTurn = 64

    package func beginBurst() {
        self.isInBurst = true
        self.jobsInTurn = 0
    }

    /// Runs what became ready in the burst. A job that makes itself ready again and again is handed to the loop after
    /// a bounded number of turns.
    /// - Returns: `true` when anything ran.
    package func endBurst() -> Bool {
        guard let job = self.first else {
            self.isInBurst = false
            return false
        }
        self.first = nil
        self.run(job)
        // Most often that was all.
        if self.first == nil, self.rest == nil {
            self.isInBurst = false
            return true
        }
        var turns = 1
        while turns < Self.mostJobsInTurn, let job = self.next() {
            turns += 1
            self.run(job)
        }
        self.abandonBurst()
        return true
    }

    /// Ends the burst without running anything now; the event loop's next turn does.
    package func abandonBurst() {
        self.isInBurst = false
        while let job = self.next() {
            self.eventLoop.execute { self.run(job) }
        }
    }

    private func run(_ job: UnownedJob) {
        // The job's address, which is only ever compared: a task's is its own for as long as it lives.
        self.running = unsafeBitCast(job, to: Int.self)
        job.runSynchronously(on: self.asUnownedTaskExecutor())
        self.running = 0
    }

    /// True where this is the code of a task that runs here and has this mark. To ask the runtime for the current task costs
    /// as much as ten times this. On the event loop only.
    func isRunning(_ task: Int) -> Bool { task != 0 && self.running == task }

    private func next() -> UnownedJob? {
        if let job = self.first {
            self.first = nil
            return job
        }
        guard let job = self.rest?.popFirst() else { return nil }
        if self.rest?.isEmpty == true { self.rest = nil }
        return job
    }
}

extension EventLoop {
    /// Runs `body` once the loop has read what there is to read. SwiftNIO's loops run all that is ready, what becomes so
    /// meanwhile too, before they look at their channels again: only what is due a little later lets them.
    package func executeBehindReads(_ body: @escaping @Sendable () -> Void) {
        self.scheduleTask(in: .microseconds(250), body)
    }
}
