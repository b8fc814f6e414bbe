// The bounds of a service on its clients: so many sessions, so many of one address and of one principal, so many new ones in a
// time. A place is taken with the handshake and given back with the session.

import KHPServer
import NIOCore
import Synchronization

final class ServiceGate: Sendable {
    /// The bound that a client has met.
    enum Limit: String, Sendable, CaseIterable {
        case sessions
        case perAddress
        case perPrincipal
        case acceptRate

        /// The status of the handshake (RFC 9110 section 15.6.4, RFC 6585 section 4).
        var status: Int { self == .sessions ? 503 : 429 }
    }

    private struct State {
        var limits: GatewayConfiguration.Limits
        var sessions = 0
        var addresses: [AddressKey: Int] = [:]
        var principals: [String: Int] = [:]
        /// New sessions that may come at once, as of `filledAt`.
        var tokens = 0.0
        var filledAt: NIODeadline?
        var hits: [Limit: Int] = [:]

        /// A bucket that holds one second's worth and fills evenly.
        mutating func hasToken(_ rate: Rate, _ now: NIODeadline) -> Bool {
            let perSecond = Double(rate.count) / Double(max(rate.seconds, 1))
            let most = max(perSecond, 1)
            if let filledAt {
                self.tokens = min(most, self.tokens + perSecond * Double((now - filledAt).nanoseconds) / 1e9)
            } else {
                self.tokens = most
            }
            self.filledAt = now
            return self.tokens >= 1
        }

        /// The bound that a client meets, whoever it is.
        mutating func limit(_ address: AddressKey?, _ now: NIODeadline) -> Limit? {
            if let most = self.limits.sessions, self.sessions >= most { return .sessions }
            if let most = self.limits.perAddress, let address, self.addresses[address, default: 0] >= most {
                return .perAddress
            }
            if let rate = self.limits.acceptRate, !self.hasToken(rate, now) { return .acceptRate }
            return nil
        }
    }

    private let state: Mutex<State>

    init(_ limits: GatewayConfiguration.Limits) {
        self.state = Mutex(State(limits: limits))
    }

    /// New bounds, for those who come from now on.
    func set(_ limits: GatewayConfiguration.Limits) { self.state.withLock { $0.limits = limits } }

    var sessions: Int { self.state.withLock { $0.sessions } }
    var hits: [Limit: Int] { self.state.withLock { $0.hits } }

    /// Takes a place.
    /// - Returns: the bound that keeps it from that, or `nil`; then ``leave(address:principal:)`` gives it back.
    func enter(address: AddressKey?, principal: String?, now: NIODeadline = .now()) -> Limit? {
        self.state.withLock { state in
            var limit = state.limit(address, now)
            if limit == nil, let most = state.limits.perPrincipal, let principal,
                state.principals[principal, default: 0] >= most
            {
                limit = .perPrincipal
            }
            if let limit {
                state.hits[limit, default: 0] += 1
                return limit
            }
            if state.limits.acceptRate != nil { state.tokens -= 1 }
            state.sessions += 1
            if let address { state.addresses[address, default: 0] += 1 }
            if let principal { state.principals[principal, default: 0] += 1 }
            return nil
        }
    }

    /// The bound that keeps a client out whoever it is; takes no place.
    func refusal(of address: AddressKey?, now: NIODeadline = .now()) -> Limit? {
        self.state.withLock { state in
            let limit = state.limit(address, now)
            if let limit { state.hits[limit, default: 0] += 1 }
            return limit
        }
    }

    func leave(address: AddressKey?, principal: String?) {
        self.state.withLock { state in
            state.sessions -= 1
            if let address { state.addresses.giveBack(address) }
            if let principal { state.principals.giveBack(principal) }
        }
    }
}

extension Dictionary where Value == Int {
    fileprivate mutating func giveBack(_ key: Key) {
        guard let count = self[key] else { return }
        self[key] = count > 1 ? count - 1 : nil
    }
}
