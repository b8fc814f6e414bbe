// The services in force, for sessions that open after a reload which their own service did not live through: they were let in
// before it, and were not there yet when it judged and ended the others.

import KHPProtocol
import KHPServer
import Synchronization

final class ServicesInForce: Sendable {
    /// The gateway holds its services, and each of them holds this list: it holds none of them, or all would stay for ever.
    private struct Listed {
        weak var service: RunningService?
    }

    private struct State {
        var services: [String: Listed] = [:]
        /// The services that are gone, and whose sessions stay.
        var kept: Set<String> = []
        var renew: @Sendable (Principal) -> Principal? = { $0 }
    }

    private let state = Mutex(State())

    /// - Parameters:
    ///   - kept: the services that are gone, and whose sessions stay.
    ///   - renew: as ``GatewayMaterials/renew``.
    func use(
        _ services: [String: RunningService],
        keeping kept: Set<String> = [],
        renew: @escaping @Sendable (Principal) -> Principal?
    ) {
        self.state.withLock { state in
            state.services = services.mapValues { Listed(service: $0) }
            // Until a service of the name comes again.
            state.kept = state.kept.union(kept).subtracting(services.keys)
            state.renew = renew
        }
        // After the list: whoever sees a mark sees the list that has set it, or a later one.
        for service in services.values { service.noteInForce() }
    }

    /// The end that a session of a service meets that is not in force any more; `nil` where it goes on, also at a service
    /// that is not in force yet: a reload puts it before its clients while it is under way still.
    func end(of facts: SessionFacts, at service: RunningService) -> SessionEnd? {
        guard service.hasBeenInForce else { return nil }
        let state = self.state.withLock { $0 }
        guard let now = state.services[facts.service]?.service else {
            return state.kept.contains(facts.service) ? nil : .removed
        }
        guard now !== service, now.rules.reauthorizes else { return nil }
        return now.wouldRefuse(facts, renew: state.renew) ? .noLongerAllowed : nil
    }
}
