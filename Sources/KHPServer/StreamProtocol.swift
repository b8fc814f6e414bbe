// Another protocol on the same port, which clients choose in TLS (ALPN): each of its connections carries streams, and each
// stream is to an endpoint what a connection is.
//
//   TLS agrees on it ──▶ the connection's handler stands aside ──▶ the protocol sets the connection up, which is counted
//   a stream's request has come ──▶ a handler of its own, a place of its own among the connections

package import KHPProtocol
import KHPWebSocket
import Logging
package import NIOCore

package protocol StreamProtocol: Sendable {
    /// Its name in ALPN.
    var name: String { get }
    /// Sets up a connection on which TLS has agreed on it, and whose pipeline has TLS alone. On its event loop.
    func setUp(_ channel: any Channel, _ carrier: StreamCarrier) throws
}

/// The server, as the connections of another protocol see it.
package struct StreamCarrier: Sendable {
    let server: ServerState
    /// The connection's own place among those in a handshake, until its first stream has come.
    private let entry: ServerState.Entry
    /// The client that a proxy has named for the connection, ahead of everything.
    private let named: SocketAddress?
    /// The common name that the proxy has verified, where its header has one.
    private let namedCertificate: String?
    /// How long the first stream may take.
    package var firstStream: TimeAmount { TimeAmount(self.server.configuration.timeouts.opening) }
    /// How long a client may take none of the bytes that are written to it.
    package var stalledWrite: TimeAmount { TimeAmount(self.server.configuration.timeouts.stalledWrite) }
    /// The bounds on heads, and the marks of what waits to be written.
    package let limits: Limits

    init(_ server: ServerState, _ entry: ServerState.Entry, named: SocketAddress?, certificate: String?) {
        self.server = server
        self.entry = entry
        self.named = named
        self.namedCertificate = certificate
        self.limits = server.table.connection.limits
    }

    /// Puts the handler of a stream in place, behind the one that makes bytes of its frames.
    /// - Parameter opensByConnect: true where the request is an extended CONNECT.
    /// - Returns: `false`, with nothing done, where there is no room for one more.
    package func take(_ stream: any Channel, opensByConnect: Bool) throws -> Bool {
        self.server.closed(self.entry)
        guard let entry = self.enter(stream.remoteAddress) else {
            self.server.log(.notice, "stream refused: too many", ["peer": "\(stream.remoteAddress?.peerName ?? "")"])
            return false
        }
        let table = self.server.table
        let session = ServerSession(
            server: self.server,
            table: table,
            channel: stream,
            entry: entry,
            transport: .stream
        )
        session.named = self.named
        session.namedCertificate = self.namedCertificate
        let handler = ConnectionHandler(
            connection: Connection(
                server: table.connection,
                isSecure: true,
                opensByConnect: opensByConnect,
                now: .now()
            ),
            delegate: session,
            eventLoop: stream.eventLoop,
            transport: .stream
        )
        self.server.attach(handler, entry)
        do {
            try stream.pipeline.syncOperations.addHandler(handler, name: "khp")
            self.server.configuration.hooks?.takesStream(stream)
            return true
        } catch {
            self.server.closed(entry)
            throw error
        }
    }

    private func enter(_ peer: SocketAddress?) -> ServerState.Entry? {
        guard let entry = self.server.enter(peer, by: self.entry.entrance) else { return nil }
        entry.serverName = self.entry.serverName
        // Another proxy names its own client with the request.
        guard let named, !entry.entrance.clients.isTrusted(named), !self.server.count(entry, for: named) else {
            return entry
        }
        self.server.closed(entry)
        return nil
    }
}

extension ServerState {
    /// Hands a connection on to the protocol that TLS has agreed on, if that is not ours.
    /// - Returns: `false`, with nothing done, where it is.
    func hasAgreed(on name: String?, _ handler: ConnectionHandler, of session: ServerSession) -> Bool {
        guard let streams = self.configuration.streams, streams.name == name else { return false }
        let (channel, entry) = (session.channel, session.entry)
        handler.standAside()
        do {
            channel.closeFuture.whenComplete { _ in self.closed(entry) }
            guard self.carry(channel) else { throw ChannelError.ioOnClosedChannel }
            let carrier = StreamCarrier(self, entry, named: session.named, certificate: session.namedCertificate)
            try streams.setUp(channel, carrier)
        } catch {
            channel.close(promise: nil)
        }
        return true
    }
}
