// The race for a connection to one of a host's addresses (RFC 8305 section 5): they are dialled in turn, the next one when the
// last has failed or after a quarter of a second, until one answers. The race is for TCP alone; no byte is sent on the
// connections that lose it.

import KHPProtocol
import KHPWebSocket
import NIOCore

struct AddressRace {
    /// The addresses, in the order in which they are tried; not empty.
    let addresses: [SocketAddress]
    let gate: ConnectGate
    /// True where each attempt takes the place of its address (R-C1). Not where these are a proxy's: in CONNECTING state is
    /// the host behind it, whose place is taken already.
    let takesPlaces: Bool
    /// The end of the whole connect.
    let deadline: NIODeadline
    /// The time that TCP may take altogether, without the waits for a turn.
    let bound: TimeAmount
    let limits: Limits
    let liveness: SocketLiveness
    let hooks: ShellHooks?
    let eventLoop: any EventLoop
    let observer: ConnectObserver

    /// The connection that was first.
    struct Winner: Sendable {
        let address: SocketAddress
        let dialled: Dialled
        /// The right to its address's place.
        let permit: ConnectPermit

        func giveUp() {
            self.dialled.channel.close(promise: nil)
            self.permit.giveBack()
        }
    }

    /// The place of an address was not free in time.
    struct NoTurn: Error {}

    /// No address could be connected to. Holds the failure of the first address that was tried: the order prefers it.
    struct Lost: Error {
        let address: SocketAddress
        let reason: any Error
    }

    private enum Event: Sendable {
        case connected(Winner)
        case failed(Int, any Error)
        /// The last address that was dialled has had its time alone.
        case pauseEnded(Int)
    }

    /// Runs the race. However it ends, no connection but the winner's is left.
    /// - Throws: ``Lost``, or `CancellationError`.
    func run() async throws -> Winner {
        let began = NIODeadline.now()
        // Where there is little time, each gets its share of it.
        let share = self.bound.nanoseconds / Int64(max(1, min(self.addresses.count, Limits.Fixed.racingAddresses)))
        let pause = min(Limits.Fixed.connectionAttemptDelay.nanoseconds, share)
        let result = await withTaskGroup(of: Event.self) { group -> Result<Winner, Lost>? in
            var next = 0
            var running = 0
            var winner: Winner?
            var failure: (index: Int, reason: any Error)?

            func dialNext() {
                guard winner == nil, running < Limits.Fixed.racingAddresses, next < self.addresses.count else { return }
                let index = next
                next += 1
                running += 1
                group.addTask { await self.attempt(index, began: began) }
                guard next < self.addresses.count else { return }
                group.addTask {
                    try? await Task.sleep(for: .nanoseconds(pause))
                    return .pauseEnded(index)
                }
            }

            dialNext()
            while running > 0, let event = await group.next() {
                switch event {
                case .connected(let connected):
                    running -= 1
                    if winner == nil {
                        winner = connected
                        group.cancelAll()
                    } else {
                        connected.giveUp()
                    }
                case .failed(let index, let reason):
                    running -= 1
                    if failure.map({ index < $0.index }) ?? true { failure = (index, reason) }
                    if !Task.isCancelled { dialNext() }
                case .pauseEnded(let index):
                    if index == next - 1, !Task.isCancelled { dialNext() }
                }
            }
            group.cancelAll()
            if let winner { return .success(winner) }
            return failure.map { .failure(Lost(address: self.addresses[$0.index], reason: $0.reason)) }
        }
        if case .success(let winner)? = result { return winner }
        try Task.checkCancellation()
        guard let result else { throw CancellationError() }
        return try result.get()
    }

    private func attempt(_ index: Int, began: NIODeadline) async -> Event {
        let address = self.addresses[index]
        let asked = NIODeadline.now()
        let places: [ConnectPlace] = self.takesPlaces ? [.address(address)] : []
        guard let permit = await self.gate.permit(for: places, until: self.deadline, on: self.eventLoop) else {
            return .failed(index, NoTurn())
        }
        do {
            let limit = began + self.bound + (NIODeadline.now() - asked)
            let dialled = try await self.observer.around(.tcp, address.peerName) {
                try await self.dial(address, until: min(self.deadline, limit))
            }
            return .connected(Winner(address: address, dialled: dialled, permit: permit))
        } catch {
            permit.giveBack()
            return .failed(index, error)
        }
    }

    private func dial(_ address: SocketAddress, until limit: NIODeadline) async throws -> Dialled {
        if let dial = self.hooks?.dial { return try await dial(address, self.eventLoop) }
        return try await Dialer.dial(
            address,
            until: limit,
            limits: self.limits,
            liveness: self.liveness,
            prepare: self.hooks?.prepare,
            on: self.eventLoop
        )
    }
}
