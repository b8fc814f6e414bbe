// The PROXY header that a gateway writes to brokers, by the way that the client came.

import CommandTestSupport
import Foundation
import KHPClient
import KHPHTTP2
import KHPServer
import NIOCore
import NIOSSL
import Synchronization
import Testing

@testable import KHPGateway

extension GatewayTests {
    @Test("a broker's PROXY header says whether the client came by TLS, and by which certificate")
    func proxyHeaderOfTLS() async throws {
        let authority = try CertificateAuthority()
        let rows: [(Bool, String?, WebSocketClient.HTTP2)] = [
            (false, nil, .off), (true, nil, .off), (true, "joe", .off), (true, nil, .required),
            (true, "joe", .required),
        ]
        // On a stream of HTTP/2, too.
        for (isSecure, name, http2) in rows {
            try await Self.withGateway {
                $0.pools[0].proxyHeader = .v2
                $0.services[1].kind = .proxy(pool: "p", frames: .binary)
            } materials: {
                guard isSecure else { return }
                var tls = try authority.server("IP:127.0.0.1")
                tls.trustRoots = try authority.roots()
                tls.certificateVerification = name == nil ? .none : .noHostnameVerification
                $0.listenerTLS["public"] = tls
            } body: { view in
                var configuration = WebSocketClient.Configuration()
                configuration.tls.trustRoots = try authority.roots()
                configuration.http2 = http2
                if let name {
                    let issued = try authority.issue(nil, commonName: name)
                    configuration.tls.certificateChain = issued.chain
                    configuration.tls.privateKey = issued.key
                }
                let url = isSecure ? view.url("/relay").replacing("ws:", with: "wss:") : view.url("/relay")
                // The backend sends back what it gets: the header first.
                try await WebSocketClient(configuration: configuration).withConnection(to: url) { socket in
                    var header: [UInt8] = []
                    for try await case .binary(let bytes) in socket.messages.prefix(1) {
                        header = Array(bytes.readableBytesView)
                    }
                    // Behind the signature, the kind and two addresses of IPv4.
                    var values: [UInt8: [UInt8]] = [:]
                    var at = 28
                    while at + 3 <= header.count {
                        let end = at + 3 + Int(header[at + 1]) << 8 + Int(header[at + 2])
                        values[header[at]] = Array(header[(at + 3)..<min(end, header.count)])
                        at = end
                    }
                    // PP2_TYPE_SSL with the client's flags: TLS alone, or with a certificate that is good.
                    let flags: UInt8? = isSecure ? (name == nil ? 0x01 : 0x07) : nil
                    #expect(values[0x20]?.first == flags, "\(header)")
                    // PP2_SUBTYPE_SSL_VERSION; and no name in PP2_TYPE_AUTHORITY, as SNI has no addresses.
                    let version = Data([0x21, 0, 7] + Array("TLSv1.3".utf8))
                    #expect(
                        values[0x20].map { Data($0).range(of: version) != nil } == flags.map { _ in true },
                        "\(http2)"
                    )
                    #expect((values[0x02] == nil) == isSecure)
                    #expect(
                        values[0x20].map { Data($0).range(of: Data("joe".utf8)) != nil } == flags.map { $0 == 0x07 }
                    )
                }
            }
        }
    }

    @Test("PP2_TYPE_AUTHORITY is the name that the client's TLS has asked for, whatever host its request names")
    func authority() async throws {
        let authority = try CertificateAuthority()
        try await Self.withGateway {
            $0.pools[0].proxyHeader = .v2
            $0.services[1].kind = .proxy(pool: "p", frames: .binary)
        } materials: {
            $0.listenerTLS["public"] = try authority.server("DNS:localhost")
        } body: { view in
            let client = try await RawClient.connect(view.addresses["public"] ?? 0, trusting: try authority.roots())
            try await client.send(openingRequest("/relay"))
            // The backend sends back what it gets: the header, whose part about TLS stands behind the name.
            let version = Data("TLSv1.3".utf8)
            let got = try await client.receive { Data($0.readableBytesView).range(of: version) != nil }
            let name = Data([0x02, 0, 9] + Array("localhost".utf8))
            #expect(Data(got.readableBytesView).range(of: name) != nil, "\(got)")
            try await client.close()
        }
    }

    @Test("a common name that a trusted proxy has verified proves a client, where the listener says so")
    func nameFromProxy() async throws {
        // As HAProxy writes it for a client with the certificate of joe, and with the result of a failed verification.
        let good =
            "0d0a0d0a000d0a515549540a211100247f0000017f000001de544e232000150700000000210007544c5376312e332200036a6f65"
        let wrong = good.replacing("2000150700000000", with: "2000150700000001")
        for (trusts, header, status) in [(true, good, "101"), (false, good, "403"), (true, wrong, "403")] {
            try await Self.withGateway {
                $0.listeners[0].requiresProxyHeader = true
                $0.listeners[0].trust = [GatewayConfiguration.TrustedProxy("127.0.0.0/8")].compactMap { $0 }
                $0.listeners[0].trustsClientName = trusts
                var realm = GatewayConfiguration.Realm(name: "devices")
                realm.certificate = .init(principal: .commonName)
                $0.realms = [realm]
                $0.services[0].realms = ["devices"]
            } materials: { materials in
                var loaded = LoadedConfiguration(materials.configuration) { 0 }
                for realm in materials.configuration.realms { loaded.realms[realm.name] = RealmVerifier(realm) }
                materials.authentication = { [loaded] in loaded.authentication(of: $0, observe: $1) }
            } body: { view in
                let port = view.addresses["public"] ?? 0
                let head = try await offThread {
                    let socket = try BlockingSocket.connect(port)
                    try socket.send(Self.bytes(header) + Array(openingRequest("/echo").utf8))
                    return try socket.receiveHead()
                }
                #expect(head.hasPrefix("HTTP/1.1 \(status) "), "\(head)")
            }
        }
    }

    @Test("a broker learns of a certificate that a trusted proxy has verified", arguments: [true, false])
    func nameFromProxyToBroker(_ trusts: Bool) async throws {
        let good =
            "0d0a0d0a000d0a515549540a211100247f0000017f000001de544e232000150700000000210007544c5376312e332200036a6f65"
        try await Self.withGateway {
            $0.listeners[0].requiresProxyHeader = true
            $0.listeners[0].trust = [GatewayConfiguration.TrustedProxy("127.0.0.0/8")].compactMap { $0 }
            $0.listeners[0].trustsClientName = trusts
            $0.pools[0].proxyHeader = .v2
            $0.services[1].kind = .proxy(pool: "p", frames: .binary)
        } body: { view in
            let port = view.addresses["public"] ?? 0
            let header = try await offThread {
                let socket = try BlockingSocket.connect(port)
                try socket.send(Self.bytes(good) + Array(openingRequest("/relay").utf8))
                #expect(try socket.receiveHead().hasPrefix("HTTP/1.1 101"))
                return try socket.receive()
            }
            // PP2_TYPE_SSL with all flags, and the name behind it.
            let part = Data([0x20, 0, 11, 7, 0, 0, 0, 0, 0x22, 0, 3] + Array("joe".utf8))
            #expect((Data(header).range(of: part) != nil) == trusts, "\(header)")
        }
    }

    private static func bytes(_ digits: String) -> [UInt8] {
        stride(from: 0, to: digits.utf8.count, by: 2).compactMap { place in
            let start = digits.index(digits.startIndex, offsetBy: place)
            return UInt8(digits[start..<digits.index(start, offsetBy: 2)], radix: 16)
        }
    }

    @Test("a listener with TLS speaks HTTP/2 behind a balancer's PROXY header, and a drain ends its streams with 1001")
    func overHTTP2() async throws {
        let authority = try CertificateAuthority()
        let lines = Mutex<Running?>(nil)
        let asked = Mutex<Task<CloseInfo, any Error>?>(nil)
        let tls = try authority.server("IP:127.0.0.1")
        var configuration = WebSocketClient.Configuration()
        configuration.tls.trustRoots = try authority.roots()
        configuration.http2 = .required
        let (opened, hasOpened) = AsyncStream.makeStream(of: Void.self)
        try await Self.withGateway {
            $0.listeners[0].requiresProxyHeader = true
            $0.listeners[0].trust = [GatewayConfiguration.TrustedProxy("127.0.0.1")].compactMap(\.self)
        } materials: {
            $0.listenerTLS["public"] = tls
        } body: { view in
            let port = view.addresses["public"] ?? 0
            let header = "PROXY TCP4 203.0.113.9 127.0.0.1 4711 80\r\n"
            let url = view.url("/relay").replacing("ws:", with: "wss:")
            let client = configuration
            let task = Task {
                try await withProxy {
                    try await $0.tunnel(to: port, first: Array(header.utf8))
                } body: { balancer, _ in
                    var configuration = client
                    configuration.connectTo = .host("127.0.0.1", port: balancer)
                    let socket = try await WebSocketClient(configuration: configuration).connect(to: url)
                    try await socket.send("through")
                    #expect(try await socket.receive() == .text("through"))
                    hasOpened.yield()
                    for try await _ in socket.messages {}
                    return try await socket.closed()
                }
            }
            asked.withLock { $0 = task }
            for await _ in opened { break }
            lines.withLock { $0 = view.running }
        }
        let info = try await asked.withLock { $0 }?.value
        #expect(info?.code == .goingAway)
        #expect(lines.withLock { $0?.line(with: "session.end", "203.0.113.9") } != nil)
    }
}
