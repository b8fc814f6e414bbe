// A request for a connection to a backend, by the client of a handshake or by a check.

import KHPProtocol
import NIOCore
import NIOSSL

struct BackendCall: Sendable {
    /// The connection is to live here.
    var eventLoop: any EventLoop
    var rules: GatewayConfiguration.Relay
    /// The client's address, as trusted proxies name it; `nil` for one without, such as the peer of a Unix domain socket.
    var client: SocketAddress?
    /// The gateway's own address that the client, or a proxy on its way, has connected to.
    var listener: SocketAddress?
    var principal: String?
    var session: String?
    /// The host that the client's request asks for.
    var authority: String?
    /// The name that the client's TLS has asked for.
    var serverName: String?
    var usesTLS = false
    /// Such as `TLSv1.3`; `nil` where it is not known.
    var tlsVersion: String?
    var certificateName: String?
    /// Set for a connection of the gateway's own that names nobody: a check whose header is to be LOCAL.
    var isLocal = false
    /// The subprotocols to offer to a backend that speaks WebSocket, in the client's order.
    var subprotocols: [String] = []
    /// The bounds on the messages of such a backend.
    var messages = GatewayConfiguration.Limits().messages

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

    /// The header that names this caller, with the gateway's own addresses where it has none. A backend that reads headers
    /// always gets one: without it, a client could send one of its own making.
    /// - Parameters:
    ///   - own: the gateway's end of the connection to the backend.
    ///   - backend: the other end. A Unix domain socket has no address that a header could name; the address that the client
    ///     called stands there instead.
    /// - Returns: `nil` where the backend reads none.
    func header(_ version: GatewayConfiguration.Pool.ProxyHeader, from own: SocketAddress?, to backend: SocketAddress?)
        -> ByteBuffer?
    {
        guard version != .off else { return nil }
        let source = [self.client, own].lazy.compactMap(\.self).first { $0.port != nil }
        let destination = [backend, self.listener].lazy.compactMap(\.self).first { $0.port != nil }
        if self.isLocal { return version == .v1 ? ProxyHeader.unknown : ProxyHeader.local }
        var header = ProxyHeader(source: source, destination: destination)
        header.uniqueID = self.session
        header.authority = self.serverName ?? (self.usesTLS ? self.authority.flatMap(Self.name) : self.authority)
        header.usesTLS = self.usesTLS
        header.tlsVersion = self.tlsVersion
        header.certificateName = self.certificateName
        header.principal = self.principal
        return version == .v1 ? header.v1 : header.v2
    }

    /// The host that a client asks for, as its TLS would name it: a name without a port, and no address (RFC 6066 section 3).
    private static func name(_ authority: String) -> String? {
        guard !authority.hasPrefix("[") else { return nil }
        let host = String(authority.prefix { $0 != ":" })
        return host.isEmpty || (try? SocketAddress(ipAddress: host, port: 0)) != nil ? nil : host
    }
}
