// The counts of handshakes. They are few beside messages, so one lock for all event loops does.

import KHPServer
import NIOCore
import Synchronization

final class HandshakeCounts: Sendable {
    struct Key: Hashable {
        var service: String
        var layer: String
        var status: Int
    }

    struct State {
        var handshakes: [Key: Int] = [:]
        var times: [String: Durations] = [:]
        var denials: [DenialKey: Int] = [:]
        var proofs: [ProofKey: Int] = [:]
        var tls: [TLSKey: Int] = [:]
    }

    struct TLSKey: Hashable {
        var listener: String
        /// `nil` where none was agreed on.
        var version: String?
    }

    struct ProofKey: Hashable {
        var realm: String
        var scheme: String
        var result: String
    }

    struct DenialKey: Hashable {
        var service: String
        var reason: String
    }

    /// The cause of a refusal that is nobody's decision about a client: its address has guessed too often.
    static let blocked = "auth-blocked"

    private let state = Mutex(State())

    var snapshot: State { self.state.withLock { $0 } }

    func add(_ outcome: AuthenticationOutcome) {
        let key = ProofKey(realm: outcome.realm, scheme: outcome.scheme, result: outcome.result.rawValue)
        self.state.withLock { $0.proofs[key, default: 0] += 1 }
    }

    func add(_ outcome: HandshakeOutcome) {
        // No peer makes a series: a path that is nobody's has one name.
        let service = outcome.service ?? ""
        let seconds = Double(outcome.duration.nanoseconds) / 1e9
        self.state.withLock { state in
            let key = Key(service: service, layer: outcome.layer.rawValue, status: outcome.status)
            state.handshakes[key, default: 0] += 1
            if let cause = outcome.cause, outcome.status == 403, cause != Self.blocked {
                state.denials[DenialKey(service: service, reason: cause), default: 0] += 1
            }
            guard outcome.status == 101 else { return }
            state.times[service, default: Durations()].add(seconds)
        }
    }

    /// TLS was agreed on at a listener, or was not.
    func add(tls version: String?, at listener: String) {
        self.state.withLock { $0.tls[TLSKey(listener: listener, version: version), default: 0] += 1 }
    }
}
