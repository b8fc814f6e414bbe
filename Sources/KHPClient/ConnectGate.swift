// R-C1: at most one connection in CONNECTING state per remote address; others wait their turn.

import KHPProtocol
import NIOCore
import Synchronization

final class ConnectGate: Sendable {
    private struct State: ~Copyable {
        var holders: Set<String> = []
        var waiters: [String: [(id: UInt64, continuation: UnsafeContinuation<Bool, Never>)]] = [:]
        var nextID: UInt64 = 0
    }

    private let state = Mutex(State())

    /// Waits until no other connection to this address is in CONNECTING state.
    /// - Returns: `false` when the task was cancelled or `deadline` passed first; then there is nothing to release.
    func enter(_ address: String, until deadline: NIODeadline, on eventLoop: any EventLoop) async -> Bool {
        let id = self.state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        let timer = eventLoop.scheduleTask(deadline: deadline) { self.giveUp(id, address) }
        defer { timer.cancel() }
        return await withTaskCancellationHandler {
            await withUnsafeContinuation { (continuation: UnsafeContinuation<Bool, Never>) in
                let answer: Bool? = self.state.withLock { state in
                    if Task.isCancelled || NIODeadline.now() >= deadline { return false }
                    if state.holders.insert(address).inserted { return true }
                    state.waiters[address, default: []].append((id, continuation))
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            self.giveUp(id, address)
        }
    }

    private func giveUp(_ id: UInt64, _ address: String) {
        let waiter = self.state.withLock { state -> UnsafeContinuation<Bool, Never>? in
            guard let index = state.waiters[address]?.firstIndex(where: { $0.id == id }) else {
                return nil
            }
            return state.waiters[address]?.remove(at: index).continuation
        }
        waiter?.resume(returning: false)
    }

    /// The connection to this address is established or has failed.
    func leave(_ address: String) {
        let next = self.state.withLock { state -> UnsafeContinuation<Bool, Never>? in
            guard var queue = state.waiters[address], !queue.isEmpty else {
                state.waiters[address] = nil
                state.holders.remove(address)
                return nil
            }
            let first = queue.removeFirst()
            state.waiters[address] = queue
            return first.continuation
        }
        next?.resume(returning: true)
    }
}

/// The right to be in CONNECTING state, given back once.
final class ConnectPermit: Sendable {
    private let gate: ConnectGate
    /// The address.
    private let place: String
    private let isHeld = Mutex(true)

    init(gate: ConnectGate, place: String) {
        self.gate = gate
        self.place = place
    }

    func giveBack() {
        let wasHeld = self.isHeld.withLock { isHeld in
            defer { isHeld = false }
            return isHeld
        }
        if wasHeld { self.gate.leave(self.place) }
    }

    /// Waits for the same right once more.
    /// - Returns: `nil` when the task was cancelled or `deadline` passed first.
    func again(until deadline: NIODeadline, on eventLoop: any EventLoop) async -> ConnectPermit? {
        guard await self.gate.enter(self.place, until: deadline, on: eventLoop) else { return nil }
        return ConnectPermit(gate: self.gate, place: self.place)
    }
}

extension ConnectGate: CustomReflectable {
    /// Nothing: what is behind the lock changes while a client is looked at.
    var customMirror: Mirror { Mirror(self, children: []) }
}
