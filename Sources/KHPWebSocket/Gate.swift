// The place where the task in which a socket lives waits for its next message.
//
// A continuation costs the runtime four looks, each under a lock, at the executor that the task prefers, and a state of
// its own. This wait is a change of actor instead: the actor's executor keeps the job that is to run there, and the
// event loop runs it once a message has come. That is two looks, and nothing besides the job.
//
// The job then runs as all jobs of the connection do, not as one of this actor: so what follows the wait is where it
// belongs already, and need not be made ready again. The actor protects nothing that this could touch.

public import KHPProtocol
import NIOCore

@usableFromInline
package final actor Gate: SerialExecutor {
    // All that changes is touched on the event loop only, where the task runs when it comes here, and messages arrive.
    // The runtime's check of each access would cost more than the access, and none is left open across a call.
    private let tasks: ConnectionExecutor
    /// The task that waits.
    @exclusivity(unchecked) nonisolated(unsafe) private var job: UnownedJob?
    /// True once the task that waits, or is about to, need wait no longer.
    @exclusivity(unchecked) nonisolated(unsafe) private var isOpen = false
    /// The message that has opened the gate.
    @exclusivity(unchecked) nonisolated(unsafe) private var message: ReceivedMessage?

    /// - Parameter tasks: runs the task that waits here.
    package init(tasks: ConnectionExecutor) {
        self.tasks = tasks
    }

    @usableFromInline
    package nonisolated var unownedExecutor: UnownedSerialExecutor { self.asUnownedSerialExecutor() }

    /// Event loop: the task has come. It stays until the gate opens.
    @usableFromInline
    package nonisolated func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if self.isOpen { self.tasks.accept(job) } else { self.job = job }
    }

    /// Event loop: true while a task waits.
    package nonisolated var isWaitedAt: Bool { self.job != nil }

    /// Event loop: true where this is the code of the task that has this mark.
    nonisolated func isReached(by mark: Int) -> Bool { self.tasks.isRunning(mark) }

    /// Event loop: lets the task go on, after the read that is going on.
    /// - Parameter message: the message that it has waited for; `nil` where it has to look for itself.
    nonisolated func open(with message: ReceivedMessage?) {
        self.message = message
        self.isOpen = true
        if let job = self.job {
            self.job = nil
            self.tasks.accept(job)
        }
    }

    /// Any thread: lets the task go on. From another one it may be on its way still, and has come when the loop turns.
    nonisolated func openFromAnywhere() {
        let eventLoop = self.tasks.eventLoop
        if eventLoop.inEventLoop { self.open(with: nil) } else { eventLoop.execute { self.open(with: nil) } }
    }

    /// Waits until the gate opens. The call itself is the wait: the body runs once it is over.
    /// - Returns: the message that has come, or `nil` where the task has to look for itself.
    @inline(never)
    @usableFromInline
    package func pass() -> WebSocketMessage? {
        self.isOpen = false
        return self.message.take()?.message
    }

    /// The event loop is where this runs, whatever executor the runtime names.
    @usableFromInline
    package nonisolated func checkIsolated() { self.tasks.eventLoop.preconditionInEventLoop() }
}
