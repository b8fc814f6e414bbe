// Checks of credentials by many connections at once: each runs in a task of its own, which waits here for its turn.

import NIOCore
import Synchronization

/// Admits the checks of credentials in the order of ``AttemptTurns``.
final class AttemptGate: Sendable {
    enum Permission: Sendable {
        case granted(AttemptTurns<AddressKey>.Attempt)
        /// Too many wrong answers came from the address: not for this long.
        case refused(TimeAmount)
        /// Too many wait.
        case turnedAway
        /// The connection ended before its turn came.
        case givenUp

        /// `nil` where the attempt waits.
        fileprivate init?(_ answer: AttemptTurns<AddressKey>.Answer) {
            switch answer {
            case .begins(let attempt): self = .granted(attempt)
            case .refused(let wait): self = .refused(wait)
            case .turnedAway: self = .turnedAway
            case .waits: return nil
            }
        }
    }

    private struct State {
        var turns: AttemptTurns<AddressKey>
        var lastNumber: UInt64 = 0
        var waiting: [UInt64: CheckedContinuation<Permission, Never>] = [:]
    }

    private let state: Mutex<State>

    init(_ turns: AttemptTurns<AddressKey>) {
        self.state = Mutex(State(turns: turns))
    }

    /// How long `address` is refused; `nil` where it is not.
    func refusal(_ address: AddressKey?) -> TimeAmount? {
        self.state.withLock { $0.turns.refusal(address, now: .now()) }
    }

    /// Waits until credentials of `address` may be looked at. A permitted caller ends the attempt with ``end(_:isWrong:)``.
    func begin(_ address: AddressKey?) async -> Permission {
        let number = self.state.withLock { state in
            state.lastNumber += 1
            return state.lastNumber
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                typealias Known = (CheckedContinuation<Permission, Never>, Permission)
                let known: Known? = self.state.withLock { state in
                    // Checked under the lock: a later cancellation finds the waiter.
                    if Task.isCancelled { return (continuation, .givenUp) }
                    if let permission = Permission(state.turns.ask(address, number, now: .now())) {
                        return (continuation, permission)
                    }
                    state.waiting[number] = continuation
                    guard let turn = state.turns.turnAway() else { return nil }
                    return state.waiting.removeValue(forKey: turn.number).map { ($0, .turnedAway) }
                }
                if let known { known.0.resume(returning: known.1) }
            }
        } onCancel: {
            let waiting = self.state.withLock { state in
                let waiting = state.waiting.removeValue(forKey: number)
                if waiting != nil { state.turns.giveUp(address, number) }
                return waiting
            }
            waiting?.resume(returning: .givenUp)
        }
    }

    /// Ends a permitted attempt.
    /// - Returns: `true` when the address is refused from now on.
    func end(_ attempt: AttemptTurns<AddressKey>.Attempt, isWrong: Bool) -> Bool {
        let (answered, isRefused) = self.state.withLock { state in
            let turns = state.turns.end(attempt, isWrong: isWrong, now: .now())
            let answered = turns.compactMap { turn -> (CheckedContinuation<Permission, Never>, Permission)? in
                guard let continuation = state.waiting.removeValue(forKey: turn.number) else { return nil }
                return Permission(turn.answer).map { (continuation, $0) }
            }
            return (answered, state.turns.refusal(attempt.address, now: .now()) != nil)
        }
        for (continuation, permission) in answered { continuation.resume(returning: permission) }
        return isRefused
    }

    /// `true` while nothing is checked and nothing waits.
    var isIdle: Bool { self.state.withLock { $0.turns.isIdle && $0.waiting.isEmpty } }
}

extension AttemptGate: CustomReflectable {
    /// Empty: the values behind the lock change while a server is printed.
    var customMirror: Mirror { Mirror(self, children: []) }
}
