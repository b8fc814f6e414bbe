// A gateway's state as values, for whoever asks: each is taken at one moment, and nothing of it changes afterwards.

import KHPServer
import NIOCore
import NIOPosix

extension Gateway {
    struct BackendStatus: Sendable {
        var url: String
        var state: BackendHealth.State
        var connections: Int
        var lastError: String?
        var ejectedFor: TimeAmount?
        /// Since its health has changed; `nil` where it never has.
        var since: TimeAmount?
        var override: String?
        var counts: PoolMember.State
    }

    struct ServiceStatus: Sendable {
        var rules: GatewayConfiguration.Service
        var pools: [String]
        var sessions: Int
        var totals: ServiceTotals
        var hits: [ServiceGate.Limit: Int]
        var redirects: [String: Int]
    }

    struct Status: Sendable {
        var phase: Phase
        var hash: String
        var loaded: Timestamp
        var reloadSucceeded: Bool
        var services: [ServiceStatus]
        /// By the pool's name, in the order of the file.
        var pools: [(name: String, backends: [BackendStatus])]
        var listeners: [Listening]
        var listenerCounts: [(name: String, counts: ListenerLine.Counts)]
        var sessions: Int
        var capacity: Int
    }

    func status() async -> Status {
        let totals = await self.sessions.totals()
        let configuration = self.materials.configuration
        let now = NIODeadline.now()
        let services = configuration.services.compactMap { rules -> ServiceStatus? in
            guard let service = self.services[rules.name] else { return nil }
            return ServiceStatus(
                rules: rules,
                pools: rules.poolNames,
                sessions: service.gate.sessions,
                totals: totals[rules.name] ?? ServiceTotals(),
                hits: service.gate.hits,
                redirects: service.redirects
            )
        }
        let pools = configuration.pools.map { rules in
            (rules.name, (self.pools[rules.name]?.pool.members ?? []).map { BackendStatus($0, now: now) })
        }
        return Status(
            phase: self.phase,
            hash: self.materials.hash,
            loaded: self.lastReload.loaded,
            reloadSucceeded: self.lastReload.succeeded,
            services: services,
            pools: pools,
            listeners: self.listeners.map { Listening($0) },
            listenerCounts: self.line.counts,
            sessions: totals.values.reduce(0) { $0 + $1.open },
            capacity: self.listeners.reduce(0) { $0 + $1.connections }
        )
    }

    /// Listeners of the configuration in force that a failed reload could not have listen again; another reload tries to.
    var lostListeners: [RunningListener] { self.listeners.filter(\.isLost) }

    /// The reasons for which clients had better go elsewhere; empty while all is well.
    func unreadiness() -> [String] {
        var reasons: [String] = []
        if self.phase != .serving { reasons.append(self.phase.rawValue) }
        reasons += self.lostListeners.map { "listener \($0.rules.name) is lost" }
        for service in self.materials.configuration.services where service.isCritical {
            let names = service.poolNames
            if !names.isEmpty, !names.contains(where: { self.pools[$0]?.pool.isHealthy() ?? false }) {
                reasons.append("service \(service.name) has no healthy backend")
            }
        }
        return reasons
    }

    /// The event loops, by number, that serve no connection for longer than this.
    nonisolated func stalledLoops(within time: Duration = .seconds(2)) async -> [Int] {
        let loops = Array(self.group.makeIterator())
        let answers = LoopAnswers()
        for (number, loop) in loops.enumerated() { answers.ask(loop, number: number) }
        let clock = ContinuousClock()
        let end = clock.now + time
        while clock.now < end {
            if answers.all.count == loops.count { return [] }
            try? await Task.sleep(for: .milliseconds(2))
        }
        return loops.indices.filter { !answers.all.contains($0) }
    }

    /// The URLs of a pool's backends that somebody may mean by a name: a URL, or an address alone.
    func backends(of pool: String, called name: String) -> [String] {
        let members = self.pools[pool]?.pool.members ?? []
        let exact = members.filter { $0.url == name }
        return (exact.isEmpty ? members.filter { $0.backend.addresses.contains(name) } : exact).map(\.url)
    }

    /// Has an operator's word about a backend count, or no longer.
    /// - Returns: `false` where there is no such backend.
    func override(_ override: BackendHealth.Override?, pool: String, backend: String) -> Bool {
        guard let member = self.pools[pool]?.pool.members.first(where: { $0.url == backend }) else { return false }
        member.withState { $0.health.override = override }
        self.log.write(
            .notice,
            "backend.override",
            "an operator has set backend \(backend) of pool \(pool) to \(override?.rawValue ?? "automatic")",
            [("pool", .string(pool)), ("backend", .string(backend))]
        )
        return true
    }
}

extension Gateway.BackendStatus {
    init(_ member: PoolMember, now: NIODeadline) {
        let state = member.snapshot
        self.init(
            url: member.url,
            state: state.health.state(now),
            connections: state.connections,
            lastError: state.health.lastError,
            ejectedFor: state.health.ejectedUntil.flatMap { $0 > now ? $0 - now : nil },
            since: state.health.changedAt.map { now - $0 },
            override: state.health.override?.rawValue,
            counts: state
        )
    }
}

extension GatewayConfiguration.Backend {
    /// Its URL without the scheme, and its host and port alone.
    fileprivate var addresses: [String] {
        guard self.scheme != .unix else { return [self.path] }
        let place = "\(HostAndPort(self.host, self.port))"
        return [place, place + self.path]
    }
}

extension GatewayConfiguration.Service {
    /// The pools that its clients may come to.
    var poolNames: [String] {
        switch self.kind {
        case .proxy(let pool, _):
            return [pool]
        case .routed(let routes):
            var names: [String] = []
            for name in routes.routes.map(\.pool) + [routes.withoutSubprotocol].compactMap({ $0 })
            where !names.contains(name) {
                names.append(name)
            }
            return names
        case .balancer, .redirect, .echo, .broadcast:
            return []
        }
    }
}
