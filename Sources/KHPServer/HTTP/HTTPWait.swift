// A task's wait for something that happens on the event loop: ends with it, or with the task's cancellation.
//
//   begun ── the task waits ──▶ waiting ── an outcome, or cancellation ──▶ over
//     └── an outcome, or cancellation, before it waits ──▶ over

import Synchronization

final class HTTPWait<Value: Sendable>: Sendable {
    typealias Outcome = Result<Value, HTTPExchangeError>

    private enum State {
        case begun
        case waiting(CheckedContinuation<Outcome, Never>)
        case over(Outcome)
    }

    private let state = Mutex(State.begun)
    private let whenCancelled: Outcome

    /// - Parameter whenCancelled: the outcome where the task is cancelled.
    init(whenCancelled: Outcome = .failure(.cancelled)) {
        self.whenCancelled = whenCancelled
    }

    /// `true` once it has its outcome, such as the task's cancellation.
    var isOver: Bool { self.state.withLock { if case .over = $0 { true } else { false } } }

    /// Ends the wait.
    /// - Returns: `false`, with nothing done, where it has ended.
    @discardableResult
    func complete(_ outcome: Outcome) -> Bool {
        let (isFirst, waiting): (Bool, CheckedContinuation<Outcome, Never>?) = self.state.withLock { state in
            switch state {
            case .over:
                return (false, nil)
            case .begun:
                state = .over(outcome)
                return (true, nil)
            case .waiting(let continuation):
                state = .over(outcome)
                return (true, continuation)
            }
        }
        waiting?.resume(returning: outcome)
        return isFirst
    }

    func value() async throws(HTTPExchangeError) -> Value {
        let outcome = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let outcome: Outcome? = self.state.withLock { state in
                    if case .over(let outcome) = state { return outcome }
                    state = .waiting(continuation)
                    return nil
                }
                if let outcome { continuation.resume(returning: outcome) }
            }
        } onCancel: {
            self.complete(self.whenCancelled)
        }
        return try outcome.get()
    }
}
