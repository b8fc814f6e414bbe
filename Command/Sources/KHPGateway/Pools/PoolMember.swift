// One backend of a pool, known by its URL: what is counted of it, and its health, outlive a reload that leaves it.

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
        /// Of the connects that succeeded.
        var connectTimes = Durations()
    }

    private let state = Mutex(State())

    init(_ backend: GatewayConfiguration.Backend) {
        self.backend = backend
    }

    var url: String { self.backend.url }

    var snapshot: State { self.state.withLock { $0 } }

    func withState<Result>(_ body: (inout State) -> Result) -> Result {
        self.state.withLock { state in body(&state) }
    }
}
