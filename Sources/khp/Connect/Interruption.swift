import Synchronization

/// What an interrupt does at the moment: cancel a connect, close an open socket, or nothing yet.
final class Interruption: Sendable {
    private struct State {
        var isInterrupted = false
        var action: (@Sendable () -> Void)?
    }

    private let state = Mutex(State())

    /// Whether there was one.
    var isInterrupted: Bool { state.withLock { $0.isInterrupted } }

    /// Sets what an interrupt does from now on; does it at once when there was one already.
    func set(_ action: (@Sendable () -> Void)?) {
        let isInterrupted = state.withLock { state in
            state.action = action
            return state.isInterrupted
        }
        if isInterrupted { action?() }
    }

    /// Has an interrupt do something else while a body runs.
    func doing<R>(_ action: @escaping @Sendable () -> Void, _ body: () async throws -> R) async rethrows -> R {
        let before = state.withLock { $0.action }
        set(action)
        defer { state.withLock { $0.action = before } }
        return try await body()
    }

    /// For the signals.
    func interrupt() {
        let action = state.withLock { state in
            state.isInterrupted = true
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
