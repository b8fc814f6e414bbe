// A task's wait on the event loop, by which it can be found again when the task is cancelled.

import Synchronization

package final class TaskWait: Sendable {
    private let givenUp = Atomic(false)

    package init() {}

    /// `true` once the task was cancelled, perhaps before the event loop knew of the wait.
    package var isGivenUp: Bool { self.givenUp.load(ordering: .acquiring) }

    package func giveUp() { self.givenUp.store(true, ordering: .releasing) }
}
