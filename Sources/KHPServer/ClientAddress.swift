// The address that limits count by, behind proxies: all clients come from the proxies' addresses there, and one that
// guesses passwords would lock out all the others.

import KHPProtocol
package import NIOCore

extension WebSocketServer {
    /// The address that the limits per address count by: ``Limits/pendingHandshakesPerAddress``,
    /// ``Limits/wrongAnswersPerAddress`` and ``Limits/credentialChecksPerAddress``.
    public enum ClientAddress: Sendable, Hashable {
        /// The one that a connection comes from. Behind a proxy all clients share the proxy's address and its limits.
        case peer
        /// The one that trusted proxies name in a field; the connection's own where it comes from nobody trusted.
        ///
        /// The field is read from its end, where the nearest proxy has written: the first address that is not trusted
        /// is the client's. What stands before it the client may have made up, and so it is not looked at.
        /// - Parameter trusted: the proxies: addresses such as `192.0.2.7` and `2001:db8::7`, ranges such as
        ///   `10.0.0.0/8`, and `unix` for whoever connects to a Unix domain socket. Only proxies that write the field
        ///   themselves, and through which alone this server can be reached.
        case forwarded(ForwardingField, trusted: [String])

        /// - Throws: ``WebSocketError/Code/invalidArgument`` for a proxy that is not an address, and for an empty list.
        public func validate() throws(WebSocketError) { _ = try ClientAddressRule(self) }
    }
}

/// ``WebSocketServer/ClientAddress``, ready to be asked.
package struct ClientAddressRule: Sendable {
    private let field: ForwardingField?
    private let trusted: TrustedPeers?

    package init(_ rule: WebSocketServer.ClientAddress) throws(WebSocketError) {
        guard case .forwarded(let field, let trusted) = rule else {
            self.field = nil
            self.trusted = nil
            return
        }
        self.field = field
        self.trusted = try TrustedPeers(trusted)
    }

    var isForwarding: Bool { self.field != nil }

    /// True for a peer that is a proxy and speaks for others.
    func isTrusted(_ peer: SocketAddress?) -> Bool { self.trusted?.contains(peer) ?? false }

    /// The address of the client that made a request.
    package func client(of head: RequestHead, peer: SocketAddress?) -> SocketAddress? {
        guard let field = self.field, self.isTrusted(peer) else { return peer }
        var client = peer
        for node in field.nodesFromLast(head.fields.all(field.name)) {
            // A client that a proxy does not know, or will not name, counts as the proxy itself.
            guard let node, let address = try? SocketAddress(ipAddress: node, port: 0) else { break }
            client = address
            if !self.isTrusted(address) { break }
        }
        return client
    }
}
