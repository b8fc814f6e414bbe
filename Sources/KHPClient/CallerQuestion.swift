// The caller's closures that a connect waits for: handlers of challenges, choices, permissions.

import KHPProtocol
import KHPWebSocket
import NIOCore

/// A question to the caller. A closure that does not return must not hold the connect, whatever it waits for (threat
/// E12): its task is cancelled at the deadline, and not waited for.
struct CallerQuestion {
    /// The answer did not come in time.
    struct Unanswered: Error {}

    let deadline: NIODeadline
    let eventLoop: any EventLoop
    var hooks: ShellHooks?

    /// - Throws: ``Unanswered`` at the deadline; `CancellationError` when the connect is cancelled first.
    func ask<Answer: Sendable>(_ body: @escaping @Sendable () async -> Answer) async throws -> Answer {
        let answer = self.eventLoop.makePromise(of: Answer.self)
        let hooks = self.hooks
        hooks?.taskStarts()
        let task = answer.completeWithTask {
            defer { hooks?.taskEnds() }
            await hooks?.taskBegins()
            return await body()
        }
        let timer = self.eventLoop.scheduleTask(deadline: self.deadline) { answer.fail(Unanswered()) }
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
