// The one way to end: whoever changes something that outlives the process registers how to undo it, and every end undoes
// all of it: a return, a failure, a lost output, a signal.

import Foundation
import Synchronization

/// Ends the process, once, after undoing all that was registered; and turns SIGINT and SIGTERM into a sequence.
final class Shutdown: Sendable {
    /// Undoes something. Quickly where it is urgent: a second signal has come.
    /// - Returns: false where something that was asked for is not whole.
    typealias Undo = @Sendable (_ isUrgent: Bool) -> Bool

    private struct State {
        var undos: [Undo] = []
        var signals = 0
        var listener: AsyncStream<Int32>.Continuation?
        var sources: SignalSources?
        /// Has what a prompt changed undone, while somebody is being asked.
        var interruptPrompt: (@Sendable () -> Void)?
    }

    private let console: Console
    private let isLeaving = Atomic<Bool>(false)
    private let state = Mutex(State())

    init(console: Console) {
        self.console = console
    }

    /// Has this done before the process ends, however it ends; later ones come first.
    func register(_ undo: @escaping Undo) {
        self.state.withLock { $0.undos.append(undo) }
    }

    /// Undoes all that was registered, each once.
    /// - Returns: false where something that was asked for is not whole.
    @discardableResult
    func undoAll(isUrgent: Bool) -> Bool {
        let undos = self.state.withLock { state in
            defer { state.undos = [] }
            return state.undos
        }
        return undos.reversed().map { $0(isUrgent) }.allSatisfy { $0 }
    }

    // MARK: Leaving

    /// Ends the process from wherever it is: with success where there is no failure.
    func leave(_ failure: CommandFailure? = nil) -> Never {
        self.claimEnd()
        if let failure {
            self.console.report(.failure(failure))
            self.finish(failure.status)
        }
        // The lines that are still queued may fail as well.
        if let failure = self.console.failure {
            self.console.report(.failure(failure))
            self.finish(failure.status)
        }
        self.finish(.success)
    }

    /// Ends it because of a standard output that takes nothing any more.
    func leave(for loss: OutputLoss) -> Never { self.leave(loss.failure) }

    /// One thread ends the process; another one that wants to waits for that.
    private func claimEnd() {
        guard self.isLeaving.exchange(true, ordering: .sequentiallyConsistent) else { return }
        while true { sleep(60) }
    }

    private func finish(_ ending: Ending) -> Never {
        self.console.setPrompt(nil)
        // A file that was asked for is an output as well.
        let isWhole = self.undoAll(isUrgent: false)
        self.console.finish()
        exit((ending == .success && !isWhole ? Ending.output : ending).rawValue)
    }

    /// Ends the process whatever it is doing, an output that blocks included.
    private func leaveAtOnce(_ status: Int32) -> Never {
        self.undoAll(isUrgent: true)
        _exit(status)
    }

    // MARK: Signals

    /// The numbers of SIGINT and SIGTERM from here on. While nobody iterates it a signal ends the command; a second one ends
    /// it at once, whatever it is doing.
    func signals() -> AsyncStream<Int32> {
        let (stream, continuation) = AsyncStream.makeStream(of: Int32.self)
        continuation.onTermination = { _ in self.state.withLock { $0.listener = nil } }
        self.state.withLock { $0.listener = continuation }
        self.trap()
        return stream
    }

    /// Listens for signals from here on.
    func trap() {
        guard self.state.withLock({ $0.sources == nil }) else { return }
        // An interrupt before that has ended the process as ever.
        let sources = SignalSources([SIGINT: { self.received(SIGINT) }, SIGTERM: { self.received(SIGTERM) }])
        self.state.withLock { $0.sources = sources }
    }

    /// Has a prompt ended by any signal while the body runs.
    func interrupting<R>(_ interrupt: @escaping @Sendable () -> Void, _ body: () -> R) -> R {
        self.state.withLock { $0.interruptPrompt = interrupt }
        defer { self.state.withLock { $0.interruptPrompt = nil } }
        return body()
    }

    /// Takes a signal; for the signal sources and for tests.
    func received(_ number: Int32) {
        let (count, listener, interrupt) = self.state.withLock { state in
            state.signals += 1
            return (state.signals, state.listener, state.interruptPrompt)
        }
        interrupt?()
        if count > 1 { self.leaveAtOnce(128 + number) }
        guard let listener else { self.leave(.interrupted(by: number)) }
        listener.yield(number)
    }
}
