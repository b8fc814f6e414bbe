import KHPClient
import KHPProtocol
import KHPServer
import NIOCore
import NIOSSL
import TestSupport
import Testing

/// A certificate has to name the host of the URL, on every way there (RFC 9525; RFC 9110 section 4.3.4).
@Suite("The identity of the server (R-T1)")
struct CertificateIdentityTests {
    /// One certificate, and the hosts that it is for.
    struct Row: Sendable, CustomTestStringConvertible {
        var names: String?
        var commonName = "leaf"
        var hosts: Set<String>
        var testDescription: String { "\(self.names ?? "no names"), CN \(self.commonName)" }
    }

    static let name = "gw.example.test"
    /// Where connections go: the addresses of this machine. The others are reached through proxies alone.
    static let direct = [name, "127.0.0.1", "::1"]
    static let proxied = [name, "192.0.2.7", "2001:db8::7", "127.0.0.1"]

    static let rows: [Row] = [
        Row(names: "DNS:gw.example.test", hosts: [name]),
        Row(names: "DNS:GW.Example.TEST", hosts: [name]),
        Row(names: "DNS:gw.example.test.", hosts: [name]),
        Row(names: "DNS:*.example.test", hosts: [name]),
        Row(names: "DNS:*.EXAMPLE.test", hosts: [name]),
        Row(names: "DNS:a.example,DNS:b.example,DNS:gw.example.test,IP:192.0.2.9", hosts: [name]),
        Row(names: "URI:wss://gw.example.test/,email:a@gw.example.test,DNS:gw.example.test", hosts: [name]),
        Row(names: "DNS:example.test", hosts: []),
        Row(names: "DNS:other.example.test", hosts: []),
        Row(names: "DNS:gw.example.test.evil.example", hosts: []),
        Row(names: "DNS:*.gw.example.test", hosts: []),
        Row(names: "DNS:g*.example.test", hosts: []),
        Row(names: "DNS:*w.example.test", hosts: []),
        Row(names: "DNS:g*w.example.test", hosts: []),
        Row(names: "DNS:**.example.test", hosts: []),
        Row(names: "DNS:gw.*.test", hosts: []),
        Row(names: "DNS:*.*.test", hosts: []),
        Row(names: "DNS:*.test", hosts: []),
        Row(names: "DNS:*", hosts: []),
        Row(names: "DNS:*.", hosts: []),
        Row(names: "URI:wss://gw.example.test/", hosts: []),
        Row(names: "email:admin@gw.example.test", hosts: []),
        Row(names: nil, commonName: "gw.example.test", hosts: []),
        Row(names: nil, commonName: "*.example.test", hosts: []),
        Row(names: nil, commonName: "127.0.0.1", hosts: []),
        Row(names: "URI:urn:x", commonName: "gw.example.test", hosts: []),
        Row(names: "IP:127.0.0.1", hosts: ["127.0.0.1"]),
        Row(names: "IP:0:0:0:0:0:0:0:1", hosts: ["::1"]),
        Row(names: "IP:127.0.0.1,IP:::1", commonName: "gw.example.test", hosts: ["127.0.0.1", "::1"]),
        Row(names: "IP:192.0.2.7", hosts: ["192.0.2.7"]),
        Row(names: "IP:2001:db8::7", hosts: ["2001:db8::7"]),
        Row(names: "IP:::ffff:192.0.2.7", hosts: []),
        Row(names: "DNS:127.0.0.1,DNS:192.0.2.7,DNS:2001-db8--7", hosts: []),
        Row(names: "DNS:*.0.0.1,DNS:*.0.2.7", hosts: []),
        Row(names: "DNS:gw.example.test,IP:192.0.2.7,IP:2001:db8::7", hosts: [name, "192.0.2.7", "2001:db8::7"]),
    ]

    /// How a connect over TLS ended: the server hangs up where it is spoken to.
    static func outcome(
        _ host: String,
        port: Int,
        _ configure: (inout WebSocketClient.Configuration) throws -> Void = { _ in }
    ) async throws -> WebSocketError {
        var configuration = WebSocketClient.Configuration()
        configuration.tls.trustRoots = try CertificateAuthority.shared.get().roots()
        configuration.lookUp = { _, port in [try SocketAddress(ipAddress: "127.0.0.1", port: port)] }
        try configure(&configuration)
        let url = "wss://\(host.contains(":") ? "[\(host)]" : host):\(port)/"
        return try await #require(throws: WebSocketError.self) {
            try await WebSocketClient(configuration: configuration).connect(to: url)
        }
    }

    private func check(
        _ row: Row,
        _ host: String,
        _ way: String,
        _ listener: TLSListener,
        _ configure: (inout WebSocketClient.Configuration) throws -> Void
    ) async throws {
        listener.forget()
        let error = try await Self.outcome(host, port: listener.port, configure)
        let comment: Comment = "\(row.testDescription) for \(host), \(way): \(error)"
        if row.hosts.contains(host) {
            #expect(error.code != .tlsFailed, comment)
            #expect(listener.said.contains("GET / HTTP/1.1\r\n"), comment)
        } else {
            #expect(error.code == .tlsFailed && error.phase == .tls, comment)
            #expect(error.message.contains("not for \(host)"), comment)
            #expect(listener.said.isEmpty, comment)
        }
        // RFC 6066 section 3: names alone.
        #expect(listener.names == [host == Self.name ? host : nil], comment)
    }

    @Test("a certificate is for the host of the URL, and for nothing that the connection goes to")
    func everyWay() async throws {
        let authority = try CertificateAuthority.shared.get()
        let first = try authority.server("DNS:first.example")
        try await withTLSListener(first) { listener in
            try await withTLSListener(host: "::1", first) { listener6 in
                try await withProxy {
                    try await $0.serveConnect()
                } body: { connectPort, _ in
                    try await withProxy {
                        try await $0.serveSocks5()
                    } body: { socksPort, _ in
                        for row in Self.rows {
                            let tls = try authority.server(row.names, commonName: row.commonName)
                            try listener.use(tls)
                            try listener6.use(tls)
                            for host in Self.direct {
                                let listener = host == "::1" ? listener6 : listener
                                try await self.check(row, host, "direct", listener) { _ in }
                            }
                            for host in Self.proxied {
                                try await self.check(row, host, "CONNECT", listener) {
                                    $0.proxy = .proxy(try Proxy("http://127.0.0.1:\(connectPort)"))
                                }
                                try await self.check(row, host, "SOCKS 5", listener) {
                                    $0.proxy = .proxy(try Proxy("socks5://127.0.0.1:\(socksPort)"))
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    @Test("TLS to a proxy is for the proxy's name, not for the address that it has")
    func proxy() async throws {
        let authority = try CertificateAuthority.shared.get()
        for (names, isRight) in [
            ("DNS:proxy.example", true), ("IP:127.0.0.1", false), ("DNS:p*.example", false),
            ("DNS:gw.example.test", false),
        ] {
            try await withTLSListener(try authority.server("DNS:gw.example.test")) { listener in
                try await withProxy(tls: try authority.server(names)) {
                    try await $0.serveConnect()
                } body: { proxyPort, log in
                    let error = try await Self.outcome(Self.name, port: listener.port) {
                        $0.proxy = .proxy(try Proxy("https://proxy.example:\(proxyPort)"))
                        $0.proxyTLS.trustRoots = try authority.roots()
                    }
                    #expect(log.asked.isEmpty != isRight, "\(names)")
                    #expect(listener.said.isEmpty != isRight, "\(names)")
                    #expect((error.code == .tlsFailed) != isRight, "\(names): \(error)")
                    guard !isRight else { return }
                    #expect(error.phase == .connect)
                    #expect(error.message.contains("proxy's certificate is for"), "\(error)")
                    #expect(error.message.contains("not for proxy.example"), "\(error)")
                }
            }
        }
    }

    @Test("what a caller switches off stays off: names, or all of it")
    func switchedOff() async throws {
        let authority = try CertificateAuthority.shared.get()
        try await withTLSListener(try authority.server("DNS:a.example")) { listener in
            let strict = try await Self.outcome(Self.name, port: listener.port)
            #expect(strict.code == .tlsFailed)
            #expect(
                strict.message.contains("certificate is for a.example, not for gw.example.test"),
                "\(strict)"
            )
            let nameless = try await Self.outcome(Self.name, port: listener.port) {
                $0.tls.certificateVerification = .noHostnameVerification
            }
            #expect(nameless.code != .tlsFailed)
            let unknown = try await Self.outcome(Self.name, port: listener.port) {
                $0.tls.certificateVerification = .noHostnameVerification
                $0.tls.trustRoots = .certificates([])
            }
            #expect(unknown.code == .tlsFailed)
            let unverified = try await Self.outcome(Self.name, port: listener.port) {
                $0.tls.certificateVerification = .none
                $0.tls.trustRoots = .certificates([])
            }
            #expect(unverified.code != .tlsFailed)
        }
    }

    @Test("a certificate of nobody's is not looked at for its names")
    func chainFirst() async throws {
        let stranger = try CertificateAuthority()
        try await withTLSListener(try stranger.server("DNS:gw.example.test")) { listener in
            let error = try await Self.outcome(Self.name, port: listener.port)
            #expect(error.code == .tlsFailed)
            #expect(error.message.contains("could not be verified"), "\(error)")
            #expect(listener.said.isEmpty)
        }
    }

    @Test("an expired certificate, and one that is not valid yet, are said as such, with dates")
    func dates() async throws {
        let authority = try CertificateAuthority.shared.get()
        for (from, to, words) in [(-86_000, -4000, "expired on "), (4000, 86_000, "is not valid before ")] {
            let tls = try authority.server("DNS:gw.example.test", from: from, to: to)
            try await withTLSListener(tls) { listener in
                let error = try await Self.outcome(Self.name, port: listener.port)
                #expect(error.code == .tlsFailed)
                #expect(error.detail == .outdatedCertificate)
                let date = try #require(error.message.split(separator: words).dropFirst().first, "\(error)")
                #expect(date.contains(/^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC/), "\(error)")
                #expect(listener.said.isEmpty)
                let proxied = try await withProxy {
                    try await $0.serveSocks5()
                } body: { port, _ in
                    try await Self.outcome(Self.name, port: listener.port) {
                        $0.proxy = .proxy(try Proxy("socks5://127.0.0.1:\(port)"))
                    }
                }
                #expect(proxied.message.contains(words), "\(proxied)")
                #expect(proxied.detail == .outdatedCertificate)
            }
        }
    }

    @Test("a dot at the end of a name: not in SNI (RFC 6066 section 3), of no weight in the certificate, kept in Host")
    func trailingDot() async throws {
        let authority = try CertificateAuthority.shared.get()
        try await withTLSListener(try authority.server("DNS:gw.example.test")) { listener in
            let error = try await Self.outcome("gw.example.test.", port: listener.port)
            #expect(error.code != .tlsFailed, "\(error)")
            #expect(listener.names == ["gw.example.test"])
            #expect(listener.said.contains("\r\nHost: gw.example.test.:\(listener.port)\r\n"))
        }
    }

    @Test("a redirect's host has to show its own certificate")
    func redirected() async throws {
        let authority = try CertificateAuthority.shared.get()
        try await withTLSListener(try authority.server("DNS:gw.example.test")) { listener in
            let port = listener.port
            try await withServer {
                Endpoint("/") { _ in .redirect(to: "wss://next.example:\(port)/") }
            } body: { first in
                var configuration = WebSocketClient.Configuration()
                configuration.tls.trustRoots = try authority.roots()
                configuration.lookUp = { _, port in [try SocketAddress(ipAddress: "127.0.0.1", port: port)] }
                let client = WebSocketClient(configuration: configuration)
                let error = try await #require(throws: WebSocketError.self) {
                    try await client.connect(to: "ws://gw.example.test:\(first)/")
                }
                #expect(error.code == .tlsFailed)
                #expect(error.message.contains("is for gw.example.test, not for next.example"), "\(error)")
                #expect(listener.said.isEmpty)
            }
        }
    }

    @Test("a client's certificate is verified by its chain; the address that the client has is none of its names")
    func clients() async throws {
        let authority = try CertificateAuthority.shared.get()
        let stranger = try CertificateAuthority()
        var tls = try authority.server("DNS:gw.example.test")
        tls.certificateVerification = .fullVerification
        tls.trustRoots = try authority.roots()
        let configured = tls
        let rows: [(issued: CertificateAuthority.Issued?, isTaken: Bool)] = [
            (try authority.issue("DNS:client.example"), true), (try authority.issue("IP:127.0.0.1"), true),
            (try authority.issue(nil), true), (try stranger.issue("IP:127.0.0.1"), false), (nil, false),
        ]
        try await withServer {
            $0.tls = configured
        } endpoints: {
            Endpoint("/") { request in .refuse(request.clientCertificate == nil ? 401 : 403) }
        } body: { port in
            for (index, row) in rows.enumerated() {
                let error = try await Self.outcome(Self.name, port: port) {
                    $0.extended.policy = .off
                    $0.tls.certificateChain = row.issued?.chain ?? []
                    $0.tls.privateKey = row.issued?.key
                }
                #expect((error.response?.status == 403) == row.isTaken, "\(index): \(error)")
            }
        }
    }
}
