// The one who needs a backend: the client of a handshake, or a check.

import NIOCore
import NIOSSL

struct BackendCall: Sendable {
    /// The connection is to live here.
    var eventLoop: any EventLoop
    var rules: GatewayConfiguration.Relay
    /// The client's address, as trusted proxies name it; `nil` for one without, such as the peer of a Unix domain socket.
    var client: SocketAddress?
    var principal: String?
    var session: String?
    var authority: String?
    var usesTLS = false
    var certificateName: String?
    /// The subprotocol that was agreed on, for backends that speak WebSocket.
    var subprotocol: String?

    init(on eventLoop: any EventLoop, rules: GatewayConfiguration.Relay = GatewayConfiguration.Relay()) {
        self.eventLoop = eventLoop
        self.rules = rules
    }

    /// The key of a hash.
    func key(_ balance: GatewayConfiguration.Pool.Balance) -> String {
        switch balance {
        case .principalHash: self.principal ?? self.client?.ipAddress ?? ""
        case .sourceHash, .roundRobin, .leastConnections: self.client?.ipAddress ?? ""
        }
    }

    /// The header that names this caller; the gateway's own addresses where it has none.
    func header(_ version: GatewayConfiguration.Pool.ProxyHeader, from own: SocketAddress?, to backend: SocketAddress?)
        -> ByteBuffer?
    {
        guard version != .off else { return nil }
        guard let own, own.port != nil, let backend else { return nil }
        var header = ProxyHeader(source: self.client?.port == nil ? own : self.client ?? own, destination: backend)
        header.uniqueID = self.session
        header.authority = self.authority
        header.usesTLS = self.usesTLS
        header.certificateName = self.certificateName
        header.principal = self.principal
        return version == .v1 ? header.v1 : header.v2
    }
}
