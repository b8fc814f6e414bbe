// The decision if a client may use a service, made once the handshake has settled the client's principal and the subprotocol.

import KHPProtocol
import KHPServer
import NIOCore

extension GatewayConfiguration.Requirement {
    /// The part that keeps a client out.
    enum Denial: String, Sendable, CaseIterable {
        case role
        case claim
        case principal
        case network
    }

    /// - Parameters:
    ///   - principal: the client, where it has proved who it is.
    ///   - address: the client's, as trusted proxies name it.
    /// - Returns: `nil` where all parts are met.
    func denial(of principal: Principal?, at address: SocketAddress?) -> Denial? {
        if !self.networks.isEmpty, !self.networks.contains(where: { $0.contains(address) }) { return .network }
        if !self.roles.isEmpty, principal?.roles.isDisjoint(with: self.roles) ?? true { return .role }
        for claim in self.claims where principal?.claims[claim.name] != claim.value { return .claim }
        if !self.principals.isEmpty, !self.principals.contains(principal?.name ?? "") { return .principal }
        return nil
    }
}
