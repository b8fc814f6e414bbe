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
    /// A certificate, and the hosts of URLs as which a client goes on with it.
    struct Identity: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var letIn: [String] = []
        var issue: @Sendable (CertificateAuthority) throws -> CertificateAuthority.Issued
    }

    private static let identities = [
        Identity(testDescription: "right", letIn: ["localhost"]) { try $0.issue("DNS:localhost") },
        Identity(testDescription: "another name") { try $0.issue("DNS:other.example") },
        Identity(testDescription: "a wildcard for everything") { try $0.issue("DNS:*") },
        Identity(testDescription: "the address that is dialled", letIn: ["127.0.0.1", "[::1]"]) {
            try $0.issue("IP:127.0.0.1,IP:0:0:0:0:0:0:0:1")
        },
        Identity(testDescription: "the address as a name") { try $0.issue("DNS:127.0.0.1") },
        Identity(testDescription: "the name as common name alone") { try $0.issue(nil, commonName: "localhost") },
        Identity(testDescription: "expired") { try $0.issue("DNS:localhost", from: -86_000, to: -4000) },
        Identity(testDescription: "not valid yet") { try $0.issue("DNS:localhost", from: 4000, to: 86_000) },
        Identity(testDescription: "of a stranger") { _ in
            try CertificateAuthority(named: "stranger").issue("DNS:localhost")
        },
    ]

    /// How a client gets to a host.
    struct Cell: Sendable, CustomStringConvertible {
        var host: String
        var isThroughProxy = false
        /// Behind a redirect of another server.
        var isRedirected = false
        var description: String {
            "\(self.host)\(self.isThroughProxy ? ", through a proxy" : "")\(self.isRedirected ? ", redirected" : "")"
        }
    }

    private static let cells =
        ["localhost", "127.0.0.1"].flatMap { host in
            [
                Cell(host: host), Cell(host: host, isThroughProxy: true), Cell(host: host, isRedirected: true),
                Cell(host: host, isThroughProxy: true, isRedirected: true),
            ]
        } + [Cell(host: "[::1]"), Cell(host: "[::1]", isRedirected: true)]

    private static func tls(_ issued: CertificateAuthority.Issued) -> TLSConfiguration {
        TLSConfiguration.makeServerConfiguration(certificateChain: issued.chain, privateKey: issued.key)
    }

    @Test(
        "who is let in is who would be over HTTP/1.1, on each way and hop",
        arguments: Self.identities,
        [true, false]
    )
    func identity(_ identity: Identity, isShared: Bool) async throws {
        let authority = try CertificateAuthority.shared.get()
        let issued = try identity.issue(authority)
        let right = try authority.issue("DNS:localhost")
        try await withHTTP2Server {
            // Of both families.
            $0.address = .hostname("::", port: 0)
            $0.tls = Self.tls(issued)
        } endpoints: {
            Endpoint("/here") { try await $0.send("here") }
        } body: { url in
            let port = try WebSocketURL(url).port
            try await withHTTP2Server {
                $0.tls = Self.tls(right)
            } endpoints: {
                Endpoint(
                    "/away/{host}",
                    respond: { request in
                        let host = request.parameters["host"] ?? ""
                        return .redirect(to: "wss://\(host == "ipv6" ? "[::1]" : host):\(port)/here")
                    }
                )
            } body: { first in
                try await withProxy {
                    try await $0.serveConnect()
                } body: { proxyPort, _ in
                    for cell in Self.cells {
                        let client = try makeClient(.init(.required, sharesConnections: isShared)) {
                            var tls = TLSConfiguration.makeClientConfiguration()
                            tls.trustRoots = try? authority.roots()
                            $0.tls = tls
                            $0.redirects.policy = .always
                            guard cell.isThroughProxy else { return }
                            $0.proxy = (try? Proxy("http://127.0.0.1:\(proxyPort)")).map { .proxy($0) } ?? $0.proxy
                        }
                        let there = "wss://\(cell.host):\(port)/here"
                        try await Self.check(
                            client,
                            cell.isRedirected ? "\(first)/away/\(cell.host == "[::1]" ? "ipv6" : cell.host)" : there,
                            isLetIn: identity.letIn.contains(cell.host),
                            "\(cell)"
                        )
                    }
                }
            }
        }
    }

    @Test("the name that TLS was asked for is known to the requests of streams and of HTTP/1.1, where it is read")
    func serverName() async throws {
        for (reads, name) in [(true, "localhost"), (false, "none")] {
            try await withHTTP2Server {
                $0.listener.readsServerName = reads
            } endpoints: {
                Endpoint("/name") { socket, request in try await socket.send(.text(request.serverName ?? "none")) }
            } body: { url in
                for http2 in [WebSocketClient.HTTP2.required, .off] {
                    let client = try makeClient(http2)
                    let answer = try await client.withConnection(to: url + "/name") { try await $0.receive() }
                    #expect(answer == .text(name))
                }
            }
        }
    }

    private static func check(
        _ client: WebSocketClient,
        _ url: String,
        isLetIn: Bool,
        _ comment: Comment
    ) async throws {
        do {
            let message = try await client.withConnection(to: url) { try await $0.receive() }
            #expect(isLetIn && message == .text("here"), comment)
        } catch let error as WebSocketError {
            #expect(!isLetIn && error.code == .tlsFailed, "\(comment): \(error)")
        }
    }
}
