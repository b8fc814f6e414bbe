// Every kind of certificate, on every way to every kind of host, at the first hop and behind a redirect: real TLS over
// loopback, each cell a connect of its own (R-T1, threats F13, I1 and I2).

import Foundation
import KHPClient
import KHPServer
import NIOCore
import NIOSSL
import TestSupport
import Testing

@Suite("Who is let in over TLS")
struct IdentityMatrixTests {
    /// How the connection gets to the host.
    enum Way: String, CaseIterable {
        case direct
        case connect = "CONNECT"
        /// TLS to the proxy, and the server's within it.
        case connectOverTLS = "CONNECT over TLS"
        /// The proxy's URL has a name.
        case socksByName = "SOCKS 5 by name"
        case socksByAddress = "SOCKS 5 by address"
    }

    enum Hop: String, CaseIterable {
        case first, redirected
    }

    struct Cell: Sendable, CustomStringConvertible {
        var row: IdentityRow
        var host: HostKind
        var way: Way
        var hop: Hop
        /// Its path, by which the server's notes name it.
        var path: String { "\(self.way)-\(self.host)-\(self.hop)" }
        var description: String { "\(self.row.name): \(self.host), \(self.way.rawValue), \(self.hop) hop" }
    }

    /// Where everything is.
    struct Places: Sendable {
        var authorities: IdentityAuthorities
        /// The server that redirects, which has a right certificate.
        var first: Int
        var connect: Int
        var connectOverTLS: Int
        var socks: Int
    }

    static func cells(of row: IdentityRow) -> [Cell] {
        Way.allCases.filter { $0 != .direct || !row.onlyBeyondProxies }.flatMap { way in
            HostKind.allCases.flatMap { host in
                Hop.allCases.map { Cell(row: row, host: host, way: way, hop: $0) }
            }
        }
    }

    @Test("every certificate, host, way and hop")
    func matrix() async throws {
        let authorities = try IdentityAuthorities()
        let right = IdentityPresented(try authorities.root.issue("DNS:first.example.test"))
        try await withServer {
            $0.tls = .makeServerConfiguration(certificateChain: right.chain, privateKey: right.key)
        } endpoints: {
            Endpoint(
                "/",
                respond: { request in
                    let (host, port, path) = (request.query["host"], request.query["port"], request.query["path"])
                    return .redirect(to: "wss://\(host ?? ""):\(port ?? "")/\(path ?? "")")
                }
            )
        } body: { first in
            try await withProxy {
                try await $0.serveConnect()
            } body: { connect, _ in
                let proxy = IdentityPresented(try authorities.root.issue("DNS:proxy.example.test"))
                let tls = TLSConfiguration.makeServerConfiguration(certificateChain: proxy.chain, privateKey: proxy.key)
                try await withProxy(tls: tls) {
                    try await $0.serveConnect()
                } body: { connectOverTLS, _ in
                    try await withProxy {
                        try await $0.serveSocks5()
                    } body: { socks, _ in
                        let places = Places(
                            authorities: authorities,
                            first: first,
                            connect: connect,
                            connectOverTLS: connectOverTLS,
                            socks: socks
                        )
                        try await self.check(places)
                    }
                }
            }
        }
    }

    private func check(_ places: Places) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, row) in IdentityRow.all.enumerated() {
                if index >= 4 { try await group.next() }
                group.addTask { try await self.check(row, places) }
            }
            try await group.waitForAll()
        }
    }

    private func check(_ row: IdentityRow, _ places: Places) async throws {
        let presented = try row.issue(places.authorities)
        let tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: presented.chain,
            privateKey: presented.key
        )
        let root = try NIOSSLCertificate.fromPEMBytes(try places.authorities.root.pem())
        try await withTLSListener(tls) { listener in
            try await withTLSListener(host: "::1", tls) { listener6 in
                for cell in Self.cells(of: row) {
                    let isThere = cell.way == .direct && cell.host == .ipv6
                    try await self.check(cell, isThere ? listener6 : listener, root + presented.roots, places)
                }
            }
        }
    }

    private func check(
        _ cell: Cell,
        _ listener: TLSListener,
        _ roots: [NIOSSLCertificate],
        _ places: Places
    ) async throws {
        let host = cell.host.host(direct: cell.way == .direct)
        let written = cell.host == .ipv6 ? "[\(host)]" : host
        var configuration = WebSocketClient.Configuration()
        configuration.tls.trustRoots = .certificates(roots)
        configuration.extended.policy = .off
        configuration.redirects.policy = .always
        // No name of this table is anybody's: each is this machine, for the client as for the proxies.
        configuration.lookUp = { _, port in [try SocketAddress(ipAddress: "127.0.0.1", port: port)] }
        switch cell.way {
        case .direct: break
        case .connect: configuration.proxy = .proxy(try Proxy("http://127.0.0.1:\(places.connect)"))
        case .connectOverTLS:
            let root = try NIOSSLCertificate.fromPEMBytes(try places.authorities.root.pem())
            configuration.proxyTLS.trustRoots = .certificates(root)
            configuration.proxy = .proxy(try Proxy("https://proxy.example.test:\(places.connectOverTLS)"))
        case .socksByName: configuration.proxy = .proxy(try Proxy("socks5://proxy.example:\(places.socks)"))
        case .socksByAddress: configuration.proxy = .proxy(try Proxy("socks5://127.0.0.1:\(places.socks)"))
        }
        let target = "wss://\(written):\(listener.port)/\(cell.path)"
        let query = "host=\(written.replacing("[", with: "%5B").replacing("]", with: "%5D"))&port=\(listener.port)"
        let url =
            cell.hop == .first ? target : "wss://first.example.test:\(places.first)/?\(query)&path=\(cell.path)"
        let before = listener.said
        let error = try await #require(throws: WebSocketError.self) {
            try await WebSocketClient(configuration: configuration).connect(to: url)
        }
        let comment: Comment = "\(cell): \(error)"
        #expect(error.url?.description == target, comment)
        let isLetIn = listener.said.contains("GET /\(cell.path) HTTP/1.1\r\n")
        let verdict = try #require(cell.row.verdicts[cell.host])
        #expect(isLetIn == (verdict == .letIn), comment)
        #expect((error.code == .tlsFailed) != isLetIn, comment)
        guard verdict != .letIn else { return }
        // Not a byte was said within TLS.
        #expect(listener.said == before, comment)
        #expect(error.detail?.rawValue == verdict.rawValue, comment)
        #expect(error.phase == .tls, comment)
        switch verdict {
        case .wrongHost: #expect(error.message.contains("not for \(host)"), comment)
        case .outdated: #expect(error.message.contains("expired on ") || error.message.contains("not valid before "))
        default: #expect(error.message.contains("could not be verified"), comment)
        }
    }

    @Test("a proxy over TLS is held to the same table")
    func proxies() async throws {
        let authorities = try IdentityAuthorities()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, row) in IdentityRow.all.enumerated() where !row.onlyBeyondProxies {
                if index >= 4 { try await group.next() }
                group.addTask {
                    for host in HostKind.allCases { try await self.checkProxy(row, host, authorities) }
                }
            }
            try await group.waitForAll()
        }
    }

    private func checkProxy(_ row: IdentityRow, _ kind: HostKind, _ authorities: IdentityAuthorities) async throws {
        let presented = try row.issue(authorities)
        let tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: presented.chain,
            privateKey: presented.key
        )
        let root = try NIOSSLCertificate.fromPEMBytes(try authorities.root.pem())
        try await withProxy(host: kind == .ipv6 ? "::1" : "127.0.0.1", tls: tls) {
            _ = try await $0.readHead()
        } body: { port, log in
            var configuration = WebSocketClient.Configuration()
            configuration.proxyTLS.trustRoots = .certificates(root + presented.roots)
            configuration.lookUp = { _, port in [try SocketAddress(ipAddress: "127.0.0.1", port: port)] }
            let host = kind.host(direct: true)
            configuration.proxy = .proxy(try Proxy("https://\(kind == .ipv6 ? "[\(host)]" : host):\(port)"))
            let error = try await #require(throws: WebSocketError.self) {
                try await WebSocketClient(configuration: configuration).connect(to: "wss://beyond.example/")
            }
            let comment: Comment = "\(row.name): \(kind): \(error)"
            let verdict = row.verdicts[kind]
            #expect(log.asked.isEmpty == (verdict != .letIn), comment)
            switch verdict {
            case .letIn?: #expect(error.detail == .throughProxy || error.code != .tlsFailed, comment)
            case .untrusted?: #expect(error.detail == .untrustedProxyCertificate, comment)
            default: #expect(error.detail?.rawValue == verdict?.rawValue, comment)
            }
        }
    }

    @Test("the page in Specs is this table")
    func page() throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../../Specs/tls-identity.md")
        let written = try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map(String.init)
            .filter { $0.hasPrefix("| ") }.dropFirst()
        let rows = IdentityRow.all.map { row in
            let verdicts = HostKind.allCases.map { row.verdicts[$0]?.rawValue ?? "" }
            return "| \(row.name) | \(verdicts.joined(separator: " | ")) |"
        }
        #expect(Array(written) == rows, "the rows are: \n\(rows.joined(separator: "\n"))")
        let count = IdentityRow.all.map { Self.cells(of: $0).count }.reduce(0, +)
        #expect(count == 1344, "\(count) cells")
    }
}
