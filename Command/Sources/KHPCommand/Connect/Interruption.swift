import Synchronization

/// The effect of an interrupt at the moment: cancel a connect, close an open socket, or nothing yet.
final class Interruption: Sendable {
    /// Why somebody or something wants the command to end.
    enum Cause: Sendable, Equatable {
        /// SIGINT or SIGTERM.
        case signal(Int32)
        /// Nothing that comes can be shown any more.
        case outputLost(OutputLoss)
    }

    private struct State {
        var cause: Cause?
        var action: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())

    /// The first one; `nil` where there was none.
    var cause: Cause? { self.state.withLock { $0.cause } }

    /// Sets what an interrupt does from now on; does it at once when there was one already.
    func set(_ action: (@Sendable () -> Void)?) {
        let isInterrupted = state.withLock { state in
            state.action = action
            return state.cause != nil
        }
        if isInterrupted { action?() }
    }

    /// Has an interrupt do something else while a body runs.
    func doing<R>(_ action: @escaping @Sendable () -> Void, _ body: () async throws -> R) async rethrows -> R {
        let before = self.state.withLock { $0.action }
        set(action)
        defer { self.state.withLock { $0.action = before } }
        return try await body()
    }

    /// For the signals, and for an output that is lost.
    func interrupt(_ cause: Cause) {
        let action = state.withLock { state in
            state.cause = state.cause ?? cause
            return state.action
        }
        action?()
    }

    /// Runs a body in a task that an interrupt cancels.
    func cancelling<R: Sendable>(_ body: @escaping @Sendable () async throws -> R) async throws -> R {
        let task = Task { try await body() }
        set { task.cancel() }
        defer { set(nil) }
        return try await task.value
    }
}
