// HTTP/2 changes nothing about who is let in, on connections that are shared and on those that are not (threats F13, I1).

import KHPClient
import KHPHTTP2
import KHPProtocol
import KHPServer
import NIOSSL
import TestSupport
import Testing

@Suite("The identity of a server of HTTP/2")
struct StreamIdentityTests {
    /// A certificate, and whether a client of `wss://localhost` goes on with it.
    struct Identity: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var isLetIn = false
        var issue: @Sendable (CertificateAuthority) throws -> CertificateAuthority.Issued
    }

    private static let identities = [
        Identity(testDescription: "right", isLetIn: true) { try $0.issue("DNS:localhost") },
        Identity(testDescription: "another name") { try $0.issue("DNS:other.example") },
        Identity(testDescription: "a wildcard for everything") { try $0.issue("DNS:*") },
        Identity(testDescription: "the address that is dialled") { try $0.issue("IP:127.0.0.1,IP:0:0:0:0:0:0:0:1") },
        Identity(testDescription: "the name as common name alone") { try $0.issue(nil, commonName: "localhost") },
        Identity(testDescription: "expired") { try $0.issue("DNS:localhost", from: -86_000, to: -4000) },
        Identity(testDescription: "not valid yet") { try $0.issue("DNS:localhost", from: 4000, to: 86_000) },
        Identity(testDescription: "of a stranger") { _ in
            try CertificateAuthority(named: "stranger").issue("DNS:localhost")
        },
    ]

    @Test("who is let in is who would be over HTTP/1.1", arguments: Self.identities, [true, false])
    func identity(_ identity: Identity, isShared: Bool) async throws {
        let authority = try CertificateAuthority.shared.get()
        let issued = try identity.issue(authority)
        try await withHTTP2Server {
            $0.tls = TLSConfiguration.makeServerConfiguration(certificateChain: issued.chain, privateKey: issued.key)
        } endpoints: {
            Endpoint("/here") { try await $0.send("here") }
        } body: { url in
            let client = try makeClient(.init(.required, sharesConnections: isShared)) {
                var tls = TLSConfiguration.makeClientConfiguration()
                tls.trustRoots = try? authority.roots()
                $0.tls = tls
            }
            do {
                let message = try await client.withConnection(to: url + "/here") { try await $0.receive() }
                #expect(identity.isLetIn && message == .text("here"))
            } catch let error as WebSocketError {
                #expect(!identity.isLetIn && error.code == .tlsFailed, "\(error)")
            }
        }
    }
}
