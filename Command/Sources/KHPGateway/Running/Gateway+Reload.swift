// A reload leaves sockets alone: it makes all that is new first, then puts it in force at once, and a failure leaves everything
// as it was.

import KHPServer
import NIOCore

extension Gateway {
    /// Takes another configuration.
    ///
    /// Sessions keep the service that they began with. Those of a service that is gone end as `onRemove` says.
    /// - Throws: ``Failure``; then the old configuration is in force as before.
    package func reload(_ new: GatewayMaterials) async throws(Failure) -> ReloadChanges {
        let old = self.materials
        let changes = ReloadChanges(old.configuration, new.configuration)
        if new.hash == old.hash, new.contents == old.contents {
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
        await self.endSessions(of: changes.services.removed, old.configuration, new.configuration)
        return changes
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
        let pools = self.makePools(new)
        let services: [String: RunningService]
        do {
            services = try self.makeServices(new, pools: pools)
        } catch {
            self.drop(pools, unlessIn: before.0)
            throw .invalid("\(error)")
        }
        self.use(pools: pools, services: services)
        var opened: [RunningListener] = []
        var replaced: [(RunningListener, [Endpoint])] = []
        do throws(Failure) {
            var kept: [RunningListener] = []
            for rules in new.configuration.listeners {
                let endpoints = try self.endpoints(of: rules, in: new.configuration)
                if let listener = before.2.first(where: {
                    $0.rules.name == rules.name && $0.rules.listen == rules.listen
                }) {
                    let former = listener.endpoints
                    do {
                        try listener.replaceEndpoints(endpoints)
                    } catch {
                        throw .invalid("listener \(rules.name): \(error)")
                    }
                    replaced.append((listener, former))
                    kept.append(listener)
                } else {
                    let listener = try await self.listen(rules, new)
                    opened.append(listener)
                    kept.append(listener)
                }
            }
            self.use(listeners: kept)
        } catch {
            for (listener, endpoints) in replaced { try? listener.replaceEndpoints(endpoints) }
            for listener in opened { await listener.close() }
            self.drop(pools, unlessIn: before.0)
            self.use(pools: before.0, services: before.1)
            throw error
        }
        for (service, rules) in services.map({ ($0.value, $0.value.rules) }) { service.gate.set(rules.rules.limits) }
        self.names.add(services)
        self.drop(before.0, unlessIn: pools)
        for listener in before.2 where !self.listeners.contains(where: { $0 === listener }) { await listener.close() }
    }

    private func drop(_ pools: [String: RunningPool], unlessIn others: [String: RunningPool]) {
        for (name, pool) in pools where others[name]?.pool !== pool.pool { pool.checks.cancel() }
    }

    /// Ends the sessions of services that are gone, as each of them says.
    private func endSessions(
        of removed: [String],
        _ old: GatewayConfiguration,
        _ new: GatewayConfiguration
    ) async {
        for name in removed {
            let time: Duration
            switch old.service(name)?.onRemove ?? new.reload.onRemove {
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
        case .invalid(let words): words
        }
    }
}
