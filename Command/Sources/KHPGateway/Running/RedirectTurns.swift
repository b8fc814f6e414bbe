// The address that a service names to its clients in its own place: always one, or the member of a balancer whose turn it is.

import Synchronization

final class RedirectTurns: Sendable {
    private let members: [String]
    private let rule: GatewayConfiguration.Pool.Balance?
    private let balance: Mutex<Balance>

    /// `nil` for a service that has sessions itself.
    init?(_ kind: GatewayConfiguration.Kind) {
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
        case .proxy, .routed, .echo, .broadcast:
            return nil
        }
        self.balance = Mutex(Balance(self.rule ?? .roundRobin))
    }

    /// The address for a client.
    /// - Parameters:
    ///   - address: the client's.
    ///   - query: the target of its request, whose query goes on.
    func next(for address: String?, query target: String?) -> String {
        let place: Int?
        if self.rule == nil {
            place = self.members.indices.randomElement()
        } else {
            let candidates = self.members.map { Candidate(url: $0, weight: 1, connections: 0) }
            place = self.balance.withLock { $0.choose(candidates, key: address ?? "") }
        }
        guard let place else { return "" }
        let url = self.members[place]
        guard let target, let mark = target.firstIndex(of: "?"), !url.contains("?") else { return url }
        return url + target[mark...]
    }
}
