// The PROXY header that a gateway writes to brokers, by the way that the client came.

import CommandTestSupport
import Foundation
import KHPClient
import KHPServer
import NIOCore
import NIOSSL
import Testing

@testable import KHPGateway

extension GatewayTests {
    @Test("a broker's PROXY header says whether the client came by TLS, and by which certificate")
    func proxyHeaderOfTLS() async throws {
        let authority = try CertificateAuthority()
        for (isSecure, name) in [(false, nil), (true, nil), (true, "joe")] as [(Bool, String?)] {
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
                    #expect(
                        values[0x20].map { Data($0).range(of: Data("joe".utf8)) != nil } == flags.map { $0 == 0x07 }
                    )
                }
            }
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
                $0.listeners[0].trust = [AddressRange("127.0.0.0/8")].compactMap { $0 }
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

    private static func bytes(_ digits: String) -> [UInt8] {
        stride(from: 0, to: digits.utf8.count, by: 2).compactMap { place in
            let start = digits.index(digits.startIndex, offsetBy: place)
            return UInt8(digits[start..<digits.index(start, offsetBy: 2)], radix: 16)
        }
    }
}
