// Calls to an event loop that may be shut down: SwiftNIO drops what such a loop is given, and a task that waits for it would
// wait for ever.

package import NIOCore
import Synchronization

extension EventLoop {
    /// Runs `body` on the event loop, or `orElse` where the loop is shut down and drops it: on any thread, and without what
    /// belongs to the loop.
    package func execute(
        _ body: @escaping @Sendable () -> Void,
        orElse: @escaping @Sendable () -> Void
    ) {
        let call = LoopCall(orElse)
        self.execute {
            call.begin()
            body()
        }
    }
}

/// A call that the event loop holds. Nobody else does, so its end tells that the call was dropped.
private final class LoopCall: Sendable {
    private let hasBegun = Atomic(false)
    private let orElse: @Sendable () -> Void

    init(_ orElse: @escaping @Sendable () -> Void) {
        self.orElse = orElse
    }

    func begin() { self.hasBegun.store(true, ordering: .relaxed) }

    deinit {
        if !self.hasBegun.load(ordering: .acquiring) { self.orElse() }
    }
}
