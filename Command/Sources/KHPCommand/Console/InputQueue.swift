import Dispatch
import Synchronization

/// Lines on their way from the thread that reads standard input to the task that sends them.
///
/// Bounded: the reading thread waits while ``capacity`` lines are not taken yet. A cancelled ``next()`` takes nothing,
/// so that a line survives a lost connection and goes out on the next one.
final class InputQueue: Sendable {
    /// Lines that may wait.
    static let capacity = 64

    private struct State {
        /// The line that was taken last and could not be sent. It has given its room back already.
        var returned: String?
        var items: [Result<String, CommandFailure>] = []
        var hasEnded = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())
    /// Room for lines. It begins at zero and is filled below: a semaphore that is freed below its first value traps.
    private let room = DispatchSemaphore(value: 0)

    init() {
        for _ in 0..<Self.capacity { self.room.signal() }
    }

    /// Adds a line, or the failure that ends the input; waits while the queue is full. For the reading thread only.
    func put(_ item: Result<String, CommandFailure>) {
        self.room.wait()
        self.wake { $0.items.append(item) }
    }

    /// No line will come any more.
    func end() {
        self.wake { $0.hasEnded = true }
    }

    /// Makes a line that was not sent the next one again.
    func putBack(_ line: String) {
        self.wake { $0.returned = line }
    }

    /// The next line; `nil` at the end. One caller at a time.
    func next() async throws -> String? {
        while true {
            try Task.checkCancellation()
            enum Step { case returned(String), item(Result<String, CommandFailure>), end, wait }
            let step: Step = self.state.withLock { state in
                if let line = state.returned.take() { return .returned(line) }
                if !state.items.isEmpty { return .item(state.items.removeFirst()) }
                return state.hasEnded ? .end : .wait
            }
            switch step {
            case .returned(let line): return line
            case .item(let item):
                self.room.signal()
                return try item.get()
            case .end: return nil
            case .wait: await self.waitForItem()
            }
        }
    }

    private func waitForItem() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let ready = self.state.withLock { state in
                    if state.returned != nil || !state.items.isEmpty || state.hasEnded || Task.isCancelled {
                        return true
                    }
                    state.waiter = continuation
                    return false
                }
                if ready { continuation.resume() }
            }
        } onCancel: {
            self.wake { _ in }
        }
    }

    private func wake(_ change: (inout State) -> Void) {
        let waiter = self.state.withLock { state in
            change(&state)
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }
}
