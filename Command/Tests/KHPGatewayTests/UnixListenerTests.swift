// A listener at a Unix domain socket behind a proxy on the same host: its peers have no addresses, and its clients have.

import CommandTestSupport
import Foundation
import KHPServer
import NIOCore
import NIOPosix
import Testing

@testable import KHPGateway

@Suite("A gateway's Unix domain socket behind a proxy", .timeLimit(.minutes(1)))
struct UnixListenerTests {
    private static func materials(
        _ path: String,
        _ change: (inout GatewayConfiguration.Listener) -> Void
    ) -> GatewayMaterials {
        var configuration = BareGateway.configuration()
        var listener = GatewayConfiguration.Listener(name: "u", listen: .unix(path: path))
        listener.trust = [.unix]
        change(&listener)
        configuration.listeners = [listener]
        return GatewayMaterials(configuration, hash: "1")
    }

    private static func client(_ path: String) async throws -> RawClient {
        try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(unixDomainSocketPath: path) { channel in
                channel.eventLoop.makeCompletedFuture { try RawClient.over(channel) }
            }
    }

    @Test("knows the client that the header names, or the field", arguments: [true, false])
    func named(_ byHeader: Bool) async throws {
        let path = "/tmp/khp-\(UUID().uuidString.prefix(8)).sock"
        let materials = Self.materials(path) {
            if byHeader { $0.requiresProxyHeader = true } else { $0.forwarded = .xForwardedFor }
        }
        try await BareGateway.run(materials) { gateway in
            let client = try await Self.client(path)
            let header = byHeader ? "PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n" : ""
            let field = byHeader ? "" : "X-Forwarded-For: 198.51.100.7, 192.0.2.7\r\n"
            try await client.send(header + openingRequest("/echo", extra: field))
            let head = try await client.receive { $0.readableBytesView.contains(UInt8(ascii: "\n")) }
            #expect(String(buffer: head).hasPrefix("HTTP/1.1 101 "), "\(head)")
            let clients = await gateway.gateway.sessions.collect { $0.sessions.values.map { $0.facts.client } }
            #expect(clients.flatMap { $0 } == ["192.0.2.7"])
            try await client.close()
        }
    }
}
