// One backend of a pool, known by its URL: what is counted of it, and its health, outlive a reload that leaves it, or changes
// its weight.

import NIOCore
import Synchronization

final class PoolMember: Sendable {
    let backend: GatewayConfiguration.Backend

    struct State {
        var health = BackendHealth()
        var connections = 0
        /// Connects by their result, `ok` among them.
        var connects: [String: Int] = [:]
        var checks: [String: Int] = [:]
        /// The durations of the connects that succeeded.
        var connectTimes = Durations()
    }

    private final class Shared: Sendable {
        let state = Mutex(State())
    }

    /// The members of one URL before and after a reload share it: sessions of both count.
    private let shared: Shared
    /// The reload that has made it has changed its weight, or its part as a backup.
    private let isChanged: Bool

    /// - Parameter former: the member of the same URL before a reload.
    init(_ backend: GatewayConfiguration.Backend, after former: PoolMember? = nil) {
        self.backend = backend
        self.shared = former?.shared ?? Shared()
        self.isChanged = former.map { $0.backend != backend } ?? false
    }

    /// It is in force: the word of an operator about a backend counts until a reload changes it.
    func begin(_ rules: GatewayConfiguration.Pool) {
        self.withState { state in
            if self.isChanged { state.health.override = nil }
            if rules.check == nil { state.health.endChecks(now: .now()) }
            if rules.eject == nil { state.health.endEjections() }
        }
    }

    var url: String { self.backend.url }

    var snapshot: State { self.shared.state.withLock { $0 } }

    func withState<Result>(_ body: (inout State) -> Result) -> Result {
        self.shared.state.withLock { state in body(&state) }
    }
}
