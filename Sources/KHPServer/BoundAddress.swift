// The address of a server or listener that listens, and the wait for it.

import KHPProtocol
import NIOCore
import Synchronization

final class BoundAddress: Sendable {
    private struct State: ~Copyable {
        var hasStarted = false
        var result: Result<SocketAddress, any Error>?
        var waiters: [UInt64: CheckedContinuation<SocketAddress, any Error>] = [:]
        var nextID: UInt64 = 0
    }

    private let state = Mutex(State())

    /// It listens once.
    /// - Throws: ``WebSocketError/Code/invalidArgument``, which says so, for a second time.
    func start(_ fault: String) throws(WebSocketError) {
        let isFirst = self.state.withLock { state in
            defer { state.hasStarted = true }
            return !state.hasStarted
        }
        guard isFirst else {
            throw WebSocketError(.invalidArgument, fault)
        }
    }

    func settle(_ result: Result<SocketAddress, any Error>) {
        let waiters = self.state.withLock { state in
            state.result = result
            defer { state.waiters = [:] }
            return state.waiters
        }
        for waiter in waiters.values { waiter.resume(with: result) }
    }

    func wait() async throws -> SocketAddress {
        let id = self.state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let known: Result<SocketAddress, any Error>? = self.state.withLock { state in
                    if let result = state.result { return result }
                    if Task.isCancelled { return .failure(CancellationError()) }
                    state.waiters[id] = continuation
                    return nil
                }
                if let known { continuation.resume(with: known) }
            }
        } onCancel: {
            let waiter = self.state.withLock { $0.waiters.removeValue(forKey: id) }
            waiter?.resume(throwing: CancellationError())
        }
    }
}

extension BoundAddress: CustomReflectable {
    /// Empty: the values behind the lock change while a server is printed.
    var customMirror: Mirror { Mirror(self, children: []) }
}
