// The address that a service names to its clients in its own place: always one, or the member of a balancer whose turn it is.

import KHPProtocol
import NIOCore
import NIOSSL
import Synchronization

final class RedirectTurns: Sendable {
    private let members: [String]
    private let rule: GatewayConfiguration.Pool.Balance?
    private let balance: Mutex<Balance>
    /// Set for least-sessions.
    private let loads: MemberLoads?
    private let questions: Task<Void, Never>?
    /// The members that are this gateway under one of its own names.
    private let own: Set<String>
    /// Shared with the one before a reload.
    private let counted: Counts

    private final class Counts: Sendable {
        let byMember = Mutex<[String: Int]>([:])
    }

    /// `nil` for a service that has sessions itself.
    /// - Parameters:
    ///   - former: the same service's before a reload, whose counts and answers go on.
    ///   - names: of this gateway: the public URLs of its listeners.
    init?(
        _ kind: GatewayConfiguration.Kind,
        former: RedirectTurns? = nil,
        instance: String = "",
        names: [String] = [],
        tls: TLSConfiguration? = nil,
        report: @escaping @Sendable (MemberLoads.News) -> Void = { _ in }
    ) {
        var loads: MemberLoads?
        var questions: Task<Void, Never>?
        switch kind {
        case .redirect(let url):
            self.members = [url]
            self.rule = .roundRobin
        case .balancer(let balancer):
            self.members = balancer.members
            switch balancer.by {
            case .roundRobin, .leastSessions: self.rule = .roundRobin
            case .sourceHash: self.rule = .sourceHash
            case .random: self.rule = nil
            }
            if balancer.by == .leastSessions, let check = balancer.check {
                let known = former?.loads.flatMap { $0.balancer == balancer ? $0 : nil }
                let all = known ?? MemberLoads(balancer, instance: instance, report: report)
                let asking = LoadQuestions(loads: all, check: check, tls: tls)
                loads = all
                questions = Task { await asking.run() }
            }
        case .proxy, .routed, .echo, .broadcast:
            return nil
        }
        self.balance = Mutex(Balance(self.rule ?? .roundRobin))
        self.loads = loads
        self.questions = questions
        let origins = Set(names.compactMap { try? WebSocketURL($0).origin })
        self.own = Set(
            self.members.filter { member in
                guard let origin = try? WebSocketURL(member).origin else { return false }
                return origins.contains(origin)
            }
        )
        self.counted = former?.counted ?? Counts()
    }

    deinit { self.questions?.cancel() }

    /// How many clients were sent to each member.
    var counts: [String: Int] { self.counted.byMember.withLock { $0 } }

    /// The address for a client; `nil` where nobody can take it.
    /// - Parameters:
    ///   - address: the client's.
    ///   - target: of its request, whose query goes on.
    ///   - leaving: `true` while this gateway is draining, and is not to be named.
    func next(for address: String?, query target: String?, leaving: Bool = false) -> String? {
        guard let member = self.member(for: address, leaving: leaving) else { return nil }
        self.counted.byMember.withLock { $0[member, default: 0] += 1 }
        guard let target, let mark = target.firstIndex(of: "?"), !member.contains("?") else { return member }
        return member + target[mark...]
    }

    private func member(for address: String?, leaving: Bool) -> String? {
        var generator = SystemRandomNumberGenerator()
        switch self.loads?.choose(leaving: leaving, now: .now(), using: &generator) {
        case .member(let member): return member
        case .nobody: return nil
        case .unknown, nil: break
        }
        let members = leaving ? self.members.filter { !self.own.contains($0) } : self.members
        if self.rule == nil { return members.randomElement() }
        let candidates = members.map { Candidate(url: $0, weight: 1, connections: 0) }
        return self.balance.withLock { $0.choose(candidates, key: address ?? "") }.map { members[$0] }
    }
}
