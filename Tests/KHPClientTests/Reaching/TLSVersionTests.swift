import KHPClient
import KHPProtocol
import KHPServer
import NIOCore
import NIOSSL
import TestSupport
import Testing

/// TLS 1.2 at least (RFC 8996, RFC 9325 section 3.1.1), unless the caller's own configuration says less.
@Suite("Versions of TLS (R-T1)")
struct TLSVersionTests {
    private static func server(
        _ minimum: TLSVersion,
        _ maximum: TLSVersion?
    ) throws -> TLSConfiguration {
        var tls = try CertificateAuthority.shared.get().server("DNS:gw.example.test")
        tls.minimumTLSVersion = minimum
        tls.maximumTLSVersion = maximum
        return tls
    }

    @Test("a client does not speak 1.1 with a server that has nothing better, unless it was told to")
    func client() async throws {
        try await withTLSListener(try Self.server(.tlsv1, .tlsv11)) { listener in
            let name = CertificateIdentityTests.name
            let plain = try await CertificateIdentityTests.outcome(name, port: listener.port)
            #expect(plain.code == .tlsFailed, "\(plain)")
            #expect(plain.message.contains("version"), "\(plain)")
            let own = try await CertificateIdentityTests.outcome(name, port: listener.port) {
                let roots = $0.tls.trustRoots
                $0.tls = .makeClientConfiguration()
                $0.tls.trustRoots = roots
            }
            #expect(own.code == .tlsFailed, "\(own)")
            let atLeast = try await CertificateIdentityTests.outcome(name, port: listener.port) {
                $0.tls.minimumTLSVersion = .tlsv11
            }
            #expect(atLeast.code != .tlsFailed, "\(atLeast)")
            let atMost = try await CertificateIdentityTests.outcome(name, port: listener.port) {
                $0.tls.maximumTLSVersion = .tlsv11
            }
            #expect(atMost.code != .tlsFailed, "\(atMost)")
        }
    }

    @Test("nor with a proxy")
    func proxy() async throws {
        try await withProxy(tls: try Self.server(.tlsv1, .tlsv11)) {
            try await $0.serveConnect()
        } body: { port, log in
            for isAllowed in [false, true] {
                let error = try await CertificateIdentityTests.outcome("192.0.2.7", port: 9) {
                    $0.proxy = .proxy(try Proxy("https://gw.example.test:\(port)"))
                    $0.proxyTLS.trustRoots = try CertificateAuthority.shared.get().roots()
                    if isAllowed { $0.proxyTLS.minimumTLSVersion = .tlsv11 }
                }
                #expect(log.asked.isEmpty != isAllowed, "\(error)")
            }
        }
    }

    @Test("a server does not speak 1.1 with a client that has nothing better, unless it was told to")
    func server() async throws {
        let rows: [(minimum: TLSVersion?, maximum: TLSVersion?, speaks: Bool)] = [
            (nil, nil, false), (.tlsv11, nil, true), (nil, .tlsv11, true), (.tlsv12, nil, false),
        ]
        for row in rows {
            var tls = try CertificateAuthority.shared.get().server("DNS:gw.example.test")
            if let minimum = row.minimum { tls.minimumTLSVersion = minimum }
            tls.maximumTLSVersion = row.maximum
            let configured = tls
            try await withServer {
                $0.tls = configured
            } endpoints: {
                Endpoint("/") { _ in .refuse(403) }
            } body: { port in
                let error = try await CertificateIdentityTests.outcome("gw.example.test", port: port) {
                    $0.tls.minimumTLSVersion = .tlsv1
                    $0.tls.maximumTLSVersion = .tlsv11
                    $0.extended.policy = .off
                }
                #expect((error.code != .tlsFailed) == row.speaks, "\(row): \(error)")
            }
        }
    }
}
