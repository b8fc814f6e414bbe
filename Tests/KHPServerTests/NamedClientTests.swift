// Connections within connections, behind proxies: each counts for the client that the proxy has named.

import KHPProtocol
import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import KHPServer
@testable import KHPWebSocket

@Suite("Places for the clients that proxies name (threat H12)") struct NamedClientTests {
    private static let client = "203.0.113.9"
    /// Another proxy, which names its own clients with their requests.
    private static let other = "10.0.0.1"

    /// A server behind a proxy that names its clients ahead of everything, with room for one handshake of each.
    private static func state() throws -> (ServerState, Entrance) {
        var configuration = WebSocketMount.Configuration()
        configuration.limits.pendingHandshakesPerAddress = 1
        let rule = WebSocketServer.ClientAddress.forwarded(.xForwardedFor, trusted: [Self.other])
        let entrance = Entrance(clients: try ClientAddressRule(rule), proxies: try TrustedPeers(["127.0.0.1"]))
        return (try ServerState(configuration: configuration, endpoints: [echo()]), entrance)
    }

    /// One more connection that the proxy has opened, for a client that has a handshake under way or has not.
    private static func entry(_ state: ServerState, _ entrance: Entrance, busy: String?) throws -> ServerState.Entry {
        let proxy = try SocketAddress(ipAddress: "127.0.0.1", port: 1)
        if let busy {
            let entry = try #require(state.enter(proxy, by: entrance))
            #expect(state.count(entry, for: try SocketAddress(ipAddress: busy, port: 1)))
        }
        return try #require(state.enter(proxy, by: entrance))
    }

    /// The client, the one that has a handshake under way, and the outcome.
    private static let rows: [(named: String?, busy: String?, hasRoom: Bool)] = [
        (Self.client, nil, true), (Self.client, Self.client, false), (Self.client, "203.0.113.10", true),
        (nil, Self.client, true), (Self.other, Self.other, true),
    ]

    @Test("a handshake behind ordinary HTTP", arguments: Self.rows)
    func behindHTTP(_ row: (named: String?, busy: String?, hasRoom: Bool)) throws {
        let (state, entrance) = try Self.state()
        let entry = try Self.entry(state, entrance, busy: row.busy)
        let wire = MemoryWire()
        let channel = try EmbeddedChannel.connected([wire])
        defer { _ = try? channel.finish(acceptAlreadyClosed: true) }
        let site = HTTPSite(
            server: state,
            entry: entry,
            serve: { _ in },
            answerTime: nil,
            channel: channel,
            transport: .socket,
            isSecure: false,
            named: try row.named.map { try SocketAddress(ipAddress: $0, port: 1) },
            namedCertificate: "joe",
            certificate: nil
        )
        let connections = state.connections
        let handler = state.takeOver(site, behind: wire)
        #expect((handler != nil) == row.hasRoom)
        #expect((handler?.delegate as? ServerSession)?.namedCertificate == (row.hasRoom ? "joe" : nil))
        // The place of ordinary HTTP is given back for another, or kept (threat I5).
        #expect(state.connections == connections)
    }

    @Test("a stream of HTTP/2", arguments: Self.rows)
    func stream(_ row: (named: String?, busy: String?, hasRoom: Bool)) throws {
        let (state, entrance) = try Self.state()
        let entry = try Self.entry(state, entrance, busy: row.busy)
        let named = try row.named.map { try SocketAddress(ipAddress: $0, port: 1) }
        let carrier = StreamCarrier(state, entry, named: named, certificate: "joe")
        let connections = state.connections
        let stream = try EmbeddedChannel.connected([])
        defer { _ = try? stream.finish(acceptAlreadyClosed: true) }
        #expect(try carrier.take(stream, opensByConnect: true) == row.hasRoom)
        let handler = try? stream.pipeline.syncOperations.handler(type: ConnectionHandler.self)
        #expect((handler?.delegate as? ServerSession)?.namedCertificate == (row.hasRoom ? "joe" : nil))
        #expect(state.connections == (row.hasRoom ? connections : connections - 1))
    }
}
