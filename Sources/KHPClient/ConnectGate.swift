// R-C1: at most one connection in CONNECTING state per remote address, and a bounded number of them where a proxy
// resolves the names; others wait their turn.

import KHPProtocol
import KHPWebSocket
import NIOCore
import Synchronization

/// The place that a connection in CONNECTING state takes up.
struct ConnectPlace: Hashable, Sendable {
    let name: String
    /// How many connections fit.
    let capacity: Int

    /// An address without its port, or the path of a Unix domain socket.
    static func address(_ address: SocketAddress) -> ConnectPlace {
        ConnectPlace(name: address.ipAddress ?? address.peerName, capacity: 1)
    }

    /// The places of a host that a proxy connects to: its own, and one that all names share which proxies resolve. Two
    /// of these names may be one address (D38).
    static func through(proxyTo host: String) -> [ConnectPlace] {
        let own = ConnectPlace(name: host, capacity: 1)
        // No host has this name.
        return Host.isAddress(host)
            ? [own] : [own, ConnectPlace(name: "*", capacity: Limits.Fixed.connectsThroughProxies)]
    }
}

final class ConnectGate: Sendable {
    private struct State: ~Copyable {
        var holders: [String: Int] = [:]
        var waiters: [String: [(id: UInt64, continuation: UnsafeContinuation<Bool, Never>)]] = [:]
        var nextID: UInt64 = 0
    }

    private let state = Mutex(State())

    /// How many connections wait for a place.
    var waiting: Int { self.state.withLock { $0.waiters.values.reduce(0) { $0 + $1.count } } }

    /// How many places are taken.
    var held: Int { self.state.withLock { $0.holders.values.reduce(0, +) } }

    /// Waits until there is room at all of these places, which are taken in their order.
    /// - Returns: `nil` when the task was cancelled or `deadline` passed first.
    func permit(
        for places: [ConnectPlace],
        until deadline: NIODeadline,
        on eventLoop: any EventLoop
    ) async -> ConnectPermit? {
        var taken: [ConnectPlace] = []
        for place in places {
            guard await self.enter(place, until: deadline, on: eventLoop) else {
                for place in taken.reversed() { self.leave(place) }
                return nil
            }
            taken.append(place)
        }
        return ConnectPermit(gate: self, places: places)
    }

    /// - Returns: `false` when the task was cancelled or `deadline` passed first; then there is nothing to release.
    private func enter(_ place: ConnectPlace, until deadline: NIODeadline, on eventLoop: any EventLoop) async -> Bool {
        let id = self.state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        let timer = eventLoop.scheduleTask(deadline: deadline) { self.giveUp(id, place) }
        defer { timer.cancel() }
        return await withTaskCancellationHandler {
            await withUnsafeContinuation { (continuation: UnsafeContinuation<Bool, Never>) in
                let answer: Bool? = self.state.withLock { state in
                    if Task.isCancelled || NIODeadline.now() >= deadline { return false }
                    let holders = state.holders[place.name, default: 0]
                    if holders < place.capacity {
                        state.holders[place.name] = holders + 1
                        return true
                    }
                    state.waiters[place.name, default: []].append((id, continuation))
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            self.giveUp(id, place)
        }
    }

    private func giveUp(_ id: UInt64, _ place: ConnectPlace) {
        let waiter = self.state.withLock { state -> UnsafeContinuation<Bool, Never>? in
            guard let index = state.waiters[place.name]?.firstIndex(where: { $0.id == id }) else {
                return nil
            }
            return state.waiters[place.name]?.remove(at: index).continuation
        }
        waiter?.resume(returning: false)
    }

    /// A connection at this place is established or has failed.
    fileprivate func leave(_ place: ConnectPlace) {
        let next = self.state.withLock { state -> UnsafeContinuation<Bool, Never>? in
            guard var queue = state.waiters[place.name], !queue.isEmpty else {
                state.waiters[place.name] = nil
                let holders = state.holders[place.name, default: 1] - 1
                state.holders[place.name] = holders > 0 ? holders : nil
                return nil
            }
            let first = queue.removeFirst()
            state.waiters[place.name] = queue
            return first.continuation
        }
        next?.resume(returning: true)
    }
}

/// The right to be in CONNECTING state, given back once.
final class ConnectPermit: Sendable {
    private let gate: ConnectGate
    private let places: [ConnectPlace]
    private let isHeld = Mutex(true)

    fileprivate init(gate: ConnectGate, places: [ConnectPlace]) {
        self.gate = gate
        self.places = places
    }

    func giveBack() {
        let wasHeld = self.isHeld.withLock { isHeld in
            defer { isHeld = false }
            return isHeld
        }
        guard wasHeld else { return }
        for place in self.places.reversed() { self.gate.leave(place) }
    }

    /// Waits for the same right once more.
    /// - Returns: `nil` when the task was cancelled or `deadline` passed first.
    func again(until deadline: NIODeadline, on eventLoop: any EventLoop) async -> ConnectPermit? {
        await self.gate.permit(for: self.places, until: deadline, on: eventLoop)
    }
}

extension ConnectGate: CustomReflectable {
    /// Empty: the values behind the lock change while a client is printed.
    var customMirror: Mirror { Mirror(self, children: []) }
}
