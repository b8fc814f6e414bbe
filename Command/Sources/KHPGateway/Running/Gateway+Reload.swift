// A reload leaves sockets alone: it makes all that is new first, then puts it in force at once, and a failure leaves everything
// as it was.

import KHPServer
import NIOCore
import NIOPosix
import NIOSSL

extension Gateway {
    /// Takes another configuration.
    ///
    /// Sessions keep the service that they began with. Those of a service that is gone end as `onRemove` says.
    /// - Throws: ``Failure``; then the old configuration is in force as before.
    package func reload(_ new: GatewayMaterials) async throws(Failure) -> ReloadChanges {
        if let unavailability { throw .unavailable(unavailability) }
        self.beginReload()
        defer { self.endReload() }
        let old = self.materials
        let changes = ReloadChanges(old.configuration, new.configuration)
        defer { self.warn(of: new, after: old.configuration) }
        if new.hash == old.hash, self.lostListeners.isEmpty {
            self.log.write(.info, "reload.done", "nothing has changed", [("sha256", .string(new.hash))])
            self.noteReload(new, succeeded: true)
            return changes
        }
        do throws(Failure) {
            try await self.take(new, changes)
        } catch {
            self.reloadFailed([error.words])
            throw error
        }
        self.noteReload(new, succeeded: true)
        self.log.set(new.configuration.log)
        self.log.write(
            .notice,
            "reload.done",
            "the configuration has changed",
            [("sha256", .string(new.hash)), ("changes", changes.json)]
        )
        let kept = changes.services.removed.filter { self.onRemove($0, old.configuration, new.configuration) == .keep }
        self.inForce.use(self.services, keeping: Set(kept), renew: new.renew)
        await self.endSessions(of: changes.services.removed, old.configuration, new.configuration)
        await self.reauthorize()
        return changes
    }

    /// A start has told of its own warnings on standard error.
    private func warn(of new: GatewayMaterials, after old: GatewayConfiguration) {
        let waiting = [
            ("admin", old.admin != new.configuration.admin), ("instance", old.instance != new.configuration.instance),
        ]
        let words = waiting.filter(\.1).map { "\($0.0): has changed, which counts from the next start on" }
        for warning in new.warnings + words {
            self.log.write(.warning, "reload.warning", warning, [("warning", .string(warning))])
        }
    }

    /// A configuration could not be read: the old one stays in force.
    package func reloadFailed(_ errors: [String]) {
        self.noteReload(self.materials, succeeded: false)
        for error in errors {
            self.log.write(.error, "reload.failed", error, [("error", .string(error))])
        }
    }

    private func take(_ new: GatewayMaterials, _ changes: ReloadChanges) async throws(Failure) {
        let before = (self.pools, self.services, self.listeners)
        let pools = try self.makePools(new)
        let services: [String: RunningService]
        do {
            services = try self.makeServices(new, pools: pools)
        } catch {
            self.drop(pools, unlessIn: before.0)
            throw .invalid("\(error)")
        }
        self.use(pools: pools, services: services)
        self.names.add(services, new.configuration)
        var steps: [Step] = []
        do throws(Failure) {
            self.use(listeners: try await self.listeners(new, before.2, &steps))
        } catch {
            self.drop(pools, unlessIn: before.0)
            self.use(pools: before.0, services: before.1)
            self.names.add(before.1, self.materials.configuration)
            await self.undo(steps)
            throw error
        }
        for case .closed(_, let socket?) in steps { socket.letGo() }
        for (service, rules) in services.map({ ($0.value, $0.value.rules) }) { service.gate.set(rules.rules.limits) }
        self.drop(before.0, unlessIn: pools)
        for (name, pool) in pools where before.0[name]?.pool !== pool.pool {
            pool.pool.begin()
        }
        for case .tls(let listener, _) in steps
        where self.asksOtherwise(listener.rules.name, self.materials.configuration, new.configuration) {
            listener.retireConnections()
        }
        for listener in self.line.retired {
            await listener.close()
            // Handshakes that have begun are asked about yet.
            try? listener.replaceEndpoints(self.endpoints(behind: listener, in: new.configuration))
            listener.retireConnections()
        }
    }

    // MARK: Listeners

    /// The listeners of a configuration: those that go on under its rules, and new ones. New addresses are bound before anything
    /// else happens. A listener that is to have the address of another takes its socket over, and one that cannot be bound
    /// beside another is bound when that one is closed.
    /// - Parameter steps: all that has been done, also where it fails.
    private func listeners(
        _ new: GatewayMaterials,
        _ old: [RunningListener],
        _ steps: inout [Step]
    ) async throws(Failure) -> [RunningListener] {
        typealias Planned = (rules: GatewayConfiguration.Listener, known: RunningListener?)
        let plan = new.configuration.listeners.map { rules -> Planned in
            let answers = self.answer(rules, new.configuration) != nil
            let bounds = self.bounds(of: rules, in: new.configuration)
            return (rules, old.first { $0.mayBecome(rules, answering: answers, bounds) })
        }
        let going = old.filter { listener in !plan.contains { $0.known === listener } }
        let opening = plan.filter { $0.known == nil }.map(\.rules)
        let sockets = try await self.bind(opening, beside: going)
        defer { for socket in sockets.values { socket.closeUnused() } }
        let taken = Set(opening.map(\.listen))
        for listener in going where !taken.contains(listener.rules.listen) {
            guard opening.contains(where: { listener.isInTheWay(of: $0.listen) }) else { continue }
            await listener.close()
            steps.append(.closed(listener, nil))
        }
        var listeners: [RunningListener] = []
        for (rules, known) in plan {
            guard let known else {
                var socket = sockets[rules.name]
                if let before = going.first(where: { $0.socket(for: rules) != nil }) {
                    socket = before.socket(for: rules)
                    // Clients that come meanwhile wait in the queue of the socket, also where all of this is undone.
                    socket?.keep()
                    // Never two at once: one finds the queue empty that the other has been told of.
                    await before.close()
                    steps.append(.closed(before, socket))
                }
                let listener = try await self.listen(rules, new, at: socket)
                steps.append(.opened(listener))
                listeners.append(listener)
                continue
            }
            let endpoints = try self.endpoints(of: rules, in: new.configuration)
            steps.append(.endpoints(known, known.endpoints))
            steps.append(.connections(known, known.connections))
            do {
                try known.replaceEndpoints(endpoints)
                try known.replaceConnections(self.connections(of: rules, among: new.configuration.listeners))
                if let tls = new.listenerTLS[rules.name] {
                    steps.append(.tls(known, self.materials.listenerTLS[rules.name]))
                    try known.replaceTLS(tls)
                }
            } catch {
                throw .invalid("listener \(rules.name): \(error)")
            }
            listeners.append(known)
        }
        return listeners
    }

    /// Binds the addresses, by the names of their listeners, that are free while the old listeners listen.
    private func bind(
        _ opening: [GatewayConfiguration.Listener],
        beside going: [RunningListener]
    ) async throws(Failure) -> [String: ListeningSocket] {
        var sockets: [String: ListeningSocket] = [:]
        for rules in opening {
            let isTaken = going.contains { $0.isInTheWay(of: rules.listen) || $0.socket(for: rules) != nil }
            guard !isTaken else { continue }
            do throws(ListeningSocket.Failure) {
                sockets[rules.name] = try await ListeningSocket.bound(to: rules.listen, on: self.group.next())
            } catch {
                for socket in sockets.values { socket.closeUnused() }
                throw .cannotListen(rules.name, error.words)
            }
        }
        return sockets
    }

    /// `true` where a listener asks its clients for other certificates than before.
    private func asksOtherwise(_ name: String, _ old: GatewayConfiguration, _ new: GatewayConfiguration) -> Bool {
        func asked(_ configuration: GatewayConfiguration) -> GatewayConfiguration.TLS? {
            configuration.listeners.first { $0.name == name }?.tls
        }
        let (before, after) = (asked(old), asked(new))
        return before?.clientAuthentication != after?.clientAuthentication || before?.clientCA != after?.clientCA
    }

    /// The endpoints for connections of a listener that is gone: those of the one of its name, or at its address.
    private func endpoints(behind listener: RunningListener, in configuration: GatewayConfiguration) -> [Endpoint] {
        let listeners = configuration.listeners
        let successor =
            listeners.first { $0.name == listener.rules.name }
            ?? listeners.first { $0.listen == listener.rules.listen && !$0.listen.isOfAnyPort }
        guard let successor else { return [] }
        return (try? self.endpoints(of: successor, in: configuration)) ?? []
    }

    /// Something that a reload has done, and how it was before.
    private enum Step {
        case opened(RunningListener)
        /// With the socket that is kept open for whoever listens at it next.
        case closed(RunningListener, ListeningSocket?)
        case endpoints(RunningListener, [Endpoint])
        case connections(RunningListener, Int)
        case tls(RunningListener, TLSConfiguration?)
    }

    /// Has everything listen as before, and then ends the connections that have come in under the new rules.
    private func undo(_ steps: [Step]) async {
        for step in steps.reversed() { await self.undo(step) }
        await withDiscardingTaskGroup { group in
            for case .opened(let listener) in steps { group.addTask { await listener.drain() } }
        }
    }

    private func undo(_ step: Step) async {
        switch step {
        case .opened(let listener):
            await listener.close()
        case .closed(let listener, let socket):
            await self.listenAgain(listener, at: socket)
            socket?.letGo()
        case .endpoints(let listener, let endpoints):
            try? listener.replaceEndpoints(endpoints)
        case .connections(let listener, let connections):
            try? listener.replaceConnections(connections)
        case .tls(let listener, let tls):
            if let tls { try? listener.replaceTLS(tls) }
        }
    }

    /// Has a listener of the configuration in force listen that was closed for a new one.
    private func listenAgain(_ known: RunningListener, at socket: ListeningSocket?) async {
        do throws(Failure) {
            let again = try await self.listen(known.rules, self.materials, at: socket)
            self.use(listeners: self.listeners.map { $0 === known ? again : $0 })
        } catch {
            known.noteLost()
            self.log.write(
                .error,
                "listener.lost",
                "listener \(known.rules.name) cannot listen again: \(error.words)",
                [("listener", .string(known.rules.name)), ("error", .string(error.words))]
            )
        }
    }

    /// Ends the checks of pools that are not in force.
    func drop(_ pools: [String: RunningPool], unlessIn others: [String: RunningPool]) {
        for (name, pool) in pools where others[name]?.pool !== pool.pool { pool.checks.cancel() }
    }

    /// Ends the sessions of clients that would not be let in any more, where their service says so.
    private func reauthorize() async {
        let renew = self.materials.renew
        for service in self.services.values where service.rules.reauthorizes {
            await self.sessions.close(.noLongerAllowed) { facts in
                facts.service == service.rules.name && service.wouldRefuse(facts, renew: renew)
            }
        }
    }

    private func onRemove(
        _ service: String,
        _ old: GatewayConfiguration,
        _ new: GatewayConfiguration
    ) -> GatewayConfiguration.OnRemove {
        old.service(service)?.onRemove ?? new.reload.onRemove
    }

    /// Ends the sessions of services that are gone, as each of them says.
    private func endSessions(
        of removed: [String],
        _ old: GatewayConfiguration,
        _ new: GatewayConfiguration
    ) async {
        for name in removed {
            let time: Duration
            switch self.onRemove(name, old, new) {
            case .keep: continue
            case .close: time = .zero
            case .drain: time = new.shutdown.drain
            }
            await self.sessions.close(.removed, over: time) { $0.service == name }
        }
    }
}

extension Gateway.Failure {
    /// As the log and the command say it.
    package var words: String {
        switch self {
        case .cannotListen(_, let words): words
        case .invalid(let words), .unavailable(let words): words
        }
    }
}
