// A client of IPv4 has one address, also where a listener for both families or a proxy writes it as one of IPv6.

import CommandTestSupport
import KHPServer
import NIOCore
import Testing

@testable import KHPGateway

@Suite("Addresses of IPv4 in IPv6", .timeLimit(.minutes(1)))
struct MappedAddressTests {
    @Test(
        "stand for what they hold, and all others for themselves",
        arguments: [
            ("::ffff:192.0.2.7", "192.0.2.7"), ("::FFFF:C000:0207", "192.0.2.7"), ("192.0.2.7", "192.0.2.7"),
            ("2001:DB8::0:1", "2001:db8::1"), ("::1", "::1"), ("::192.0.2.7", "::192.0.2.7"), ("here", "here"),
            ("", ""),
        ]
    )
    func unmapped(_ text: String, _ address: String) throws {
        #expect(SocketAddress.unmapped(text) == address)
        guard let socket = try? SocketAddress(ipAddress: text, port: 4711) else { return }
        let other = try SocketAddress(ipAddress: address, port: 4711)
        #expect(socket.unmapped == other)
    }

    @Test("a filter of sessions finds either spelling")
    func filter() {
        var facts = SessionFacts(id: "1", service: "s")
        facts.client = "192.0.2.7"
        for text in ["192.0.2.7", "::ffff:192.0.2.7"] {
            #expect(SessionFilter(["address": text]).matches(facts), "\(text)")
        }
        #expect(!SessionFilter(["address": "192.0.2.8"]).matches(facts))
    }

    @Test("name a client of IPv4 to operators, to the log and to brokers")
    func client() async throws {
        try await GatewayTests.withGateway {
            $0.listeners[0].requiresProxyHeader = true
            $0.listeners[0].trust = [GatewayConfiguration.TrustedProxy("127.0.0.1")].compactMap(\.self)
            $0.pools[0].proxyHeader = .v1
        } body: { view in
            let port = view.addresses["public"] ?? 0
            let before = "PROXY TCP6 ::ffff:192.0.2.7 ::ffff:192.0.2.1 4711 80\r\n"
            let client = try await RawClient.connect(port)
            try await client.send(before + openingRequest("/relay"))
            // The backend sends back what it gets: the header.
            let got = try await client.receive { String(buffer: $0).contains(" 4711 ") }
            #expect(String(buffer: got).contains("PROXY TCP4 192.0.2.7 127.0.0.1 4711 "), "\(got)")
            let listed = try await view.admin("GET /sessions?address=192.0.2.7").body
            #expect(listed.contains(#""client":"192.0.2.7""#), "\(listed)")
            try await client.close()
            let lost = try await RawClient.connect(port)
            try await lost.send(before + openingRequest("/nowhere"))
            _ = try await lost.receiveAll()
            let line = await Patience.wait { view.running.line(with: "handshake.refused", "404") }
            #expect(line?.contains(#""client":"192.0.2.7""#) ?? false, "\(line ?? "")")
        }
    }
}
