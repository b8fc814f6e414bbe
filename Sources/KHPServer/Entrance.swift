// The way by which connections come in: a listener of this library, or another server that hands them over. Connections are
// counted by entrance, and the entrance decides how their clients are named.

import KHPProtocol
import NIOCore

/// Unchecked: the bound and the counts are touched under the registry's lock only.
final class Entrance: @unchecked Sendable {
    /// The name of the listener; `nil` where another server listens.
    let name: String?
    /// The addresses that limits count by.
    let clients: ClientAddressRule
    /// The proxies whose header each connection begins with; `nil` where none do.
    let proxies: TrustedPeers?
    /// `true` where the names are read that clients ask TLS for.
    let readsServerName: Bool
    /// The most connections that come in here.
    var most: Int?
    var counts = WebSocketListener.Counts()

    init(
        name: String? = nil,
        clients: ClientAddressRule,
        proxies: TrustedPeers? = nil,
        readsServerName: Bool = false,
        most: Int? = nil
    ) {
        self.name = name
        self.clients = clients
        self.proxies = proxies
        self.readsServerName = readsServerName
        self.most = most
    }

    /// - Parameter own: the connections that make room themselves.
    func hasRoom(besides own: Int) -> Bool { self.most.map { self.counts.connections - own < $0 } ?? true }

    /// True for a peer that speaks for others, and tells for whom.
    func speaksForOthers(_ peer: SocketAddress?) -> Bool { self.proxies != nil || self.clients.isTrusted(peer) }
}

extension ServerState {
    /// The way in by a listener.
    /// - Throws: ``WebSocketError/Code/invalidArgument`` for proxies that are no addresses.
    func entrance(of listener: WebSocketListener.Configuration, named name: String) throws -> Entrance {
        var proxies: TrustedPeers?
        if case .required(let trusted) = listener.proxyProtocol { proxies = try TrustedPeers(trusted) }
        if let connections = listener.connections, connections <= 0 {
            throw WebSocketError(.invalidArgument, "The listener \(name) may have no connections.")
        }
        return Entrance(
            name: name,
            clients: try listener.clientAddress.map { try ClientAddressRule($0) } ?? self.entrance.clients,
            proxies: proxies,
            readsServerName: listener.readsServerName,
            most: listener.connections
        )
    }
}
