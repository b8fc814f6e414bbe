import Synchronization

/// The way in which an interrupt ends the command, by its stage: cancel a connect, close an open socket, nothing yet.
final class Interruption: Sendable {
    /// Why somebody or something wants the command to end.
    enum Cause: Sendable, Equatable {
        /// SIGINT or SIGTERM.
        case signal(Int32)
        /// Nothing that comes can be shown any more.
        case outputLost(OutputLoss)
    }

    /// The stage of the command, with the way to end it.
    enum Stage: Sendable {
        /// Nothing to end yet, or no longer.
        case idle
        /// A connect is under way: it is cancelled.
        case connecting(cancel: @Sendable () -> Void)
        /// A socket is open: it is closed.
        case open(close: @Sendable () -> Void)

        fileprivate func end() {
            switch self {
            case .idle: break
            case .connecting(let cancel): cancel()
            case .open(let close): close()
            }
        }
    }

    private struct State {
        var cause: Cause?
        var stage = Stage.idle
    }

    private let state = Mutex(State())

    /// The first one; `nil` where there was none.
    var cause: Cause? { self.state.withLock { $0.cause } }

    /// Enters a stage; ends it at once when there was an interrupt already.
    /// - Returns: the stage before.
    @discardableResult
    func enter(_ stage: Stage) -> Stage {
        let (before, isInterrupted) = self.state.withLock { state in
            defer { state.stage = stage }
            return (state.stage, state.cause != nil)
        }
        if isInterrupted { stage.end() }
        return before
    }

    /// An interrupt closes this socket while the body runs, and afterwards does again what it did before.
    func closing<R>(_ close: @escaping @Sendable () -> Void, _ body: () async throws -> R) async rethrows -> R {
        let before = self.enter(.open(close: close))
        defer { self.enter(before) }
        return try await body()
    }

    /// For the signals, and for an output that is lost.
    func interrupt(_ cause: Cause) {
        let stage = self.state.withLock { state in
            state.cause = state.cause ?? cause
            return state.stage
        }
        stage.end()
    }

    /// Runs a body in a task that an interrupt cancels, as the caller's own cancellation does.
    func cancelling<R: Sendable>(_ body: @escaping @Sendable () async throws -> R) async throws -> R {
        // It begins once the stage is entered: a body that is quick enters stages of its own.
        let (entered, entry) = AsyncStream.makeStream(of: Void.self)
        let task = Task {
            for await _ in entered {}
            return try await body()
        }
        self.enter(.connecting { task.cancel() })
        entry.finish()
        defer { self.enter(.idle) }
        return try await withTaskCancellationHandler {
            try await task.value
        } onCancel: {
            task.cancel()
        }
    }
}
