// The loads of a balancer's members, as each told them last. The choice is among two at random, so that balancers which know
// the same do not all send their clients to the same member.

import NIOCore
import Synchronization

final class MemberLoads: Sendable {
    /// The answer to a question for the load.
    struct Load: Sendable, Equatable {
        var sessions: Int
        var isDraining: Bool
        /// The gateway that answered; `nil` where it does not say.
        var instance: String?
    }

    enum Choice: Equatable {
        case member(String)
        /// All members that answer are draining.
        case nobody
        /// No member has answered lately.
        case unknown
    }

    /// Something that an operator wants to know.
    enum News: Sendable, Equatable {
        /// A member does not answer, for this reason.
        case silent(String, String)
        case answers(String)
        /// No member answers: they take turns.
        case blind
    }

    private struct State {
        var loads: [String: (load: Load, at: NIODeadline)] = [:]
        /// How many questions in a row were for nothing.
        var unanswered: [String: Int] = [:]
        var isBlind = false
    }

    /// An answer counts for so long.
    static let lifetime = TimeAmount.seconds(10)

    /// So many questions for nothing are news: a member that starts may miss one.
    private static let patience = 2

    let balancer: GatewayConfiguration.Balancer
    private let instance: String
    private let state = Mutex(State())
    private let report: @Sendable (News) -> Void

    /// - Parameter instance: the gateway's own name: a member that answers with it is this gateway itself.
    init(
        _ balancer: GatewayConfiguration.Balancer,
        instance: String,
        report: @escaping @Sendable (News) -> Void = { _ in }
    ) {
        self.balancer = balancer
        self.instance = instance
        self.report = report
    }

    func note(_ load: Load, of member: String, now: NIODeadline) {
        let isNews = self.state.withLock { state in
            state.loads[member] = (load, now)
            state.isBlind = false
            return (state.unanswered.removeValue(forKey: member) ?? 0) >= Self.patience
        }
        if isNews { self.report(.answers(member)) }
    }

    func note(silence words: String, of member: String) {
        let count = self.state.withLock { state in
            state.unanswered[member, default: 0] += 1
            return state.unanswered[member]
        }
        if count == Self.patience { self.report(.silent(member, words)) }
    }

    /// The member for the next client, which counts as its session until the member tells more.
    /// - Parameter leaving: `true` where this gateway is draining, and is not to be named.
    func choose(
        leaving: Bool = false,
        now: NIODeadline,
        using generator: inout some RandomNumberGenerator
    ) -> Choice {
        let (choice, isNews) = self.state.withLock { state -> (Choice, Bool) in
            let known = self.balancer.members.filter { member in
                state.loads[member].map { now - $0.at <= Self.lifetime } ?? false
            }
            if known.isEmpty {
                defer { state.isBlind = true }
                return (.unknown, !state.isBlind)
            }
            let open = known.filter { member in
                guard let load = state.loads[member]?.load else { return false }
                return !load.isDraining && !(leaving && load.instance == self.instance)
            }
            let two = open.shuffled(using: &generator).prefix(2)
            let least = two.min { one, other in
                (state.loads[one]?.load.sessions ?? 0) < (state.loads[other]?.load.sessions ?? 0)
            }
            guard let least else { return (.nobody, false) }
            state.loads[least]?.load.sessions += 1
            return (.member(least), false)
        }
        if isNews { self.report(.blind) }
        return choice
    }
}
