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
    /// The jobs behind it; made for the first of them.
    @exclusivity(unchecked) private var rest: CircularBuffer<UnownedJob>?
    @exclusivity(unchecked) private var isInBurst = false

    package init(eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        guard self.eventLoop.inEventLoop && self.isInBurst else {
            return self.eventLoop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
        }
        if self.first == nil, self.rest == nil {
            self.first = job
        } else {
            self.rest = self.rest ?? CircularBuffer(initialCapacity: 2)
            self.rest?.append(job)
        }
    }

    package func beginBurst() {
        self.isInBurst = true
    }

    /// Runs what became ready in the burst. A job that makes itself ready again and again is handed to the loop after
    /// a bounded number of turns, so that it cannot starve other connections.
    /// - Returns: whether anything ran.
    package func endBurst() -> Bool {
        guard self.first != nil else {
            self.isInBurst = false
            return false
        }
        var turns = 0
        while turns < 64, let job = self.next() {
            turns += 1
            job.runSynchronously(on: self.asUnownedTaskExecutor())
        }
        self.abandonBurst()
        return true
    }

    /// Ends the burst without running anything now; the event loop's next turn does.
    package func abandonBurst() {
        self.isInBurst = false
        while let job = self.next() {
            self.eventLoop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
        }
    }

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
