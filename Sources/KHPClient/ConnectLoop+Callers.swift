// What the caller brought along and a connect waits for: handlers of challenges, choices, permissions.

import KHPProtocol
import NIOCore

extension ConnectLoop {
    /// The answer of a closure of the caller. One that does not come back, whatever it waits for, must not hold the
    /// connect (threat E12): its task is cancelled at `deadline`, and not waited for.
    /// - Throws: `late` then; `CancellationError` when the connect is cancelled first.
    func answer<Answer: Sendable>(
        until deadline: NIODeadline,
        else late: WebSocketError,
        of body: @escaping @Sendable () async -> Answer
    ) async throws -> Answer {
        let answer = self.eventLoop.makePromise(of: Answer.self)
        let task = answer.completeWithTask { await body() }
        let timer = self.eventLoop.scheduleTask(deadline: deadline) { answer.fail(late) }
        defer {
            timer.cancel()
            task.cancel()
        }
        return try await withTaskCancellationHandler {
            try await answer.futureResult.get()
        } onCancel: {
            answer.fail(CancellationError())
        }
    }
}
