// The PROXY header that a gateway writes to brokers, by the way that the client came.

import CommandTestSupport
import Foundation
import KHPClient
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
}
