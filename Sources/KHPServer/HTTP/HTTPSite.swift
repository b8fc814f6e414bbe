// The place of a connection of ordinary HTTP on the server.

import HTTPTypes
import KHPProtocol
import KHPWebSocket
import NIOCore
import NIOSSL
import Synchronization

struct HTTPSite {
    typealias Serve = @Sendable (HTTPExchange) async throws -> Void

    let server: ServerState
    let entry: ServerState.Entry
    let serve: Serve
    /// The time for the one response of a connection that ends after it, as that of `respondToHTTP` does; `nil` where
    /// connections are kept, and responses take as long as they take.
    let answerTime: TimeAmount?
    let channel: any Channel
    let transport: Transport
    let isSecure: Bool
    /// The address that a trusted proxy has named ahead of everything.
    let named: SocketAddress?
    /// The common name that the proxy has verified, where its header has one: for all requests of the connection.
    let namedCertificate: String?
    let certificate: NIOSSLCertificate?

    var limits: WebSocketServer.HTTPLimits { self.server.configuration.httpLimits }

    var peer: String { self.channel.remoteAddress?.peerName ?? "" }

    /// The requests of the connection, as the endpoints in force leave them.
    var requests: OrdinaryRequests {
        OrdinaryRequests(
            limits: self.server.table.connection.limits.openingHead,
            mostContent: self.limits.bodyBytes.map { max($0, 0) }
        ) { [server] in server.table.endpoints.leaves($0) }
    }

    /// The address that limits count by, for one request.
    func client(of request: CheckedRequest) -> SocketAddress? {
        let client = self.named ?? self.channel.remoteAddress
        let rule = self.entry.entrance.clients
        return rule.isForwarding ? rule.client(of: request.head, peer: client) : client
    }

    func instruments(for request: CheckedRequest) -> ServerInstruments {
        let instruments = ServerInstruments(self.server.configuration.instruments, self.info)
        if !instruments.isEmpty, let client = self.client(of: request), client != self.channel.remoteAddress {
            instruments.named(client)
        }
        return instruments
    }

    private var info: ConnectionInfo {
        var connection = ConnectionInfo(id: self.entry.id, role: .server, peer: self.peer)
        connection.usesTLS = self.transport != .socket
        return connection
    }

    func observe(_ event: ConnectionEvent, _ instruments: ServerInstruments) {
        self.server.observe(event, id: self.entry.id, peer: self.channel.remoteAddress)
        instruments.observe(event)
    }

    func exchange(_ request: CheckedRequest, _ conversation: HTTPConversation) -> HTTPExchange {
        HTTPExchange(
            request: HandshakeRequest.request(request.head),
            peer: self.channel.remoteAddress,
            client: self.client(of: request),
            local: self.channel.localAddress,
            listener: self.entry.entrance.name,
            clientCertificate: self.certificate,
            isSecure: self.isSecure,
            logger: self.server.logger(id: self.entry.id, peer: self.peer, of: request.head),
            loop: UnseenEventLoop(value: self.channel.eventLoop),
            door: HTTPExchange.Door(
                server: self.server,
                request: request,
                proxiedCertificateName: self.namedCertificate
            ),
            conversation: conversation
        )
    }
}

/// Counts the exchanges of a server that are under way.
final class HTTPExchangeCount: Sendable {
    private let count = Atomic(0)

    /// - Returns: `false`, with nothing counted, where there are as many as may be.
    func begin(most: Int) -> Bool {
        if self.count.add(1, ordering: .relaxed).newValue <= most { return true }
        self.end()
        return false
    }

    func end() { self.count.subtract(1, ordering: .relaxed) }
}
