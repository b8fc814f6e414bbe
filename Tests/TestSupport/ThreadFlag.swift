// Said on one thread, heard on another that has nothing else to do, as the peers on plain sockets are.

import Dispatch

/// Raised once, and seen by whoever waits for it then or later.
package final class ThreadFlag: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)

    package init() {}

    package func raise() { self.semaphore.signal() }

    /// Blocks the thread, ten seconds at most.
    package func wait() {
        // Whoever waits next finds it raised too.
        if self.semaphore.wait(timeout: .now() + .seconds(10)) == .success { self.semaphore.signal() }
    }
}
