// Runs the tasks of one connection on its event loop, so that a message costs no thread hop.
//
// A job that becomes ready while the connection handles a read burst is kept and run when the burst ends, before the
// one flush: what the application sends in answer leaves in the same write.

package import NIOCore

package final class ConnectionExecutor: TaskExecutor, @unchecked Sendable {
    // Unchecked: `ready` and `isInBurst` are touched on `eventLoop` only; every path checks or is on it already.
    package let eventLoop: any EventLoop
    /// Made for the first job: a connection without tasks needs none.
    private var ready: CircularBuffer<UnownedJob>?
    private var isInBurst = false
    /// `true` when `ready` holds a job; read in every burst, mostly without one.
    private var hasReady = false

    package init(eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if self.eventLoop.inEventLoop && self.isInBurst {
            if self.ready == nil { self.ready = CircularBuffer(initialCapacity: 2) }
            self.ready?.append(job)
            self.hasReady = true
        } else {
            self.eventLoop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
        }
    }

    package func beginBurst() {
        self.isInBurst = true
    }

    /// Runs the jobs that became ready in the burst. A job that makes itself ready again and again is handed to the
    /// loop after a bounded number of turns, so that it cannot starve other connections.
    /// - Returns: `true` when a job ran.
    package func endBurst() -> Bool {
        guard self.hasReady else {
            self.isInBurst = false
            return false
        }
        var turns = 0
        while turns < 64, let job = self.ready?.popFirst() {
            turns += 1
            job.runSynchronously(on: self.asUnownedTaskExecutor())
        }
        self.abandonBurst()
        return true
    }

    /// Ends the burst without running anything now; the event loop's next turn does.
    package func abandonBurst() {
        self.isInBurst = false
        self.hasReady = false
        while let job = self.ready?.popFirst() {
            self.eventLoop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
        }
    }
}
