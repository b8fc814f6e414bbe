// An event loop whose timers are counted, and of which one comes at once. It stands before a real one, whose thread it
// shares with the loops of other runs.

import Dispatch
import NIOCore
import Synchronization

@testable import KHPWebSocket

final class CountingLoop: EventLoop {
    private struct State {
        var nextID: UInt64 = 0
        var timers: Set<UInt64> = []
        var callbacks: [UInt64: Scheduled<Void>] = [:]
    }

    private let base: any EventLoop
    private let plan: FaultPlan
    private let state = Mutex(State())

    init(on base: any EventLoop, _ plan: FaultPlan) {
        self.base = base
        self.plan = plan
    }

    /// How many timers are set. The callback that all connections of a loop share is none of them.
    var timers: Int { self.state.withLock { $0.timers.count } }

    var inEventLoop: Bool { self.base.inEventLoop }

    func execute(_ task: @escaping @Sendable () -> Void) { self.base.execute(task) }

    @discardableResult
    func scheduleTask<T>(deadline: NIODeadline, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        let id = self.nextID()
        self.state.withLock { _ = $0.timers.insert(id) }
        return self.schedule(deadline, task) { self.state.withLock { _ = $0.timers.remove(id) } }
    }

    @discardableResult
    func scheduleTask<T>(in delay: TimeAmount, _ task: @escaping @Sendable () throws -> T) -> Scheduled<T> {
        // Not ours: the library's, which does not cancel it when the channel closes.
        if delay == EndTimeouts().goodbye { return self.schedule(.now() + delay, task) {} }
        return self.scheduleTask(deadline: .now() + delay, task)
    }

    private func nextID() -> UInt64 {
        self.state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
    }

    private func schedule<T>(
        _ deadline: NIODeadline,
        _ task: @escaping @Sendable () throws -> T,
        over: @escaping @Sendable () -> Void
    ) -> Scheduled<T> {
        let promise = self.makePromise(of: T.self)
        let due = self.plan.next(.timer) == .isDue ? NIODeadline.now() : deadline
        let scheduled = self.base.scheduleTask(deadline: due) {
            over()
            do {
                promise.assumeIsolated().succeed(try task())
            } catch {
                promise.fail(error)
            }
        }
        return Scheduled(promise: promise) {
            over()
            scheduled.cancel()
        }
    }

    func scheduleCallback(
        at deadline: NIODeadline,
        handler: some (NIOScheduledCallbackHandler & Sendable)
    ) throws -> NIOScheduledCallback {
        let id = self.nextID()
        let over: @Sendable () -> Void = { self.state.withLock { _ = $0.callbacks.removeValue(forKey: id) } }
        let scheduled = self.schedule(deadline, { handler.handleScheduledCallback(eventLoop: self) }, over: over)
        self.state.withLock { $0.callbacks[id] = scheduled }
        return NIOScheduledCallback(self, id: id)
    }

    func cancelScheduledCallback(_ scheduledCallback: NIOScheduledCallback) {
        guard let id = scheduledCallback.customCallbackID else { return }
        self.state.withLock { $0.callbacks[id] }?.cancel()
    }

    func shutdownGracefully(queue: DispatchQueue, _ callback: @escaping @Sendable ((any Error)?) -> Void) {
        queue.async { callback(EventLoopError.unsupportedOperation) }
    }
}
