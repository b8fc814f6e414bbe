import KHPProtocol
import NIOCore
import TestSupport
import Testing

@testable import KHPServer

@Suite("Whose address limits count by")
struct ClientAddressTests {
    struct Row: Sendable, CustomTestStringConvertible {
        var field: ForwardingField = .xForwardedFor
        var trusted = ["10.0.0.0/8", "192.0.2.7", "2001:db8:1::/48"]
        var peer = "10.1.2.3"
        var values: [String]
        var client: String

        var testDescription: String { "\(self.field) \(self.values) from \(self.peer)" }
    }

    static let rows: [Row] = [
        Row(values: ["203.0.113.9"], client: "203.0.113.9"),
        Row(values: ["203.0.113.9 "], client: "203.0.113.9"),
        Row(values: ["203.0.113.9:4711"], client: "203.0.113.9"),
        Row(values: ["2001:db8::9"], client: "2001:db8::9"),
        Row(values: ["[2001:db8::9]:4711"], client: "2001:db8::9"),
        // Only the last untrusted address counts: the client may have made up those before it.
        Row(values: ["127.0.0.1, 203.0.113.9"], client: "203.0.113.9"),
        Row(values: ["127.0.0.1", "203.0.113.9"], client: "203.0.113.9"),
        Row(values: ["203.0.113.9, 192.0.2.7"], client: "203.0.113.9"),
        Row(values: ["203.0.113.9, 2001:db8:1::1, 10.255.0.1"], client: "203.0.113.9"),
        Row(values: ["203.0.113.9, 192.0.2.8, 192.0.2.7"], client: "192.0.2.8"),
        Row(values: ["10.9.9.9, 192.0.2.7"], client: "10.9.9.9"),
        // Nobody says: the nearest that does not say is the one.
        Row(values: [], client: "10.1.2.3"),
        Row(values: [""], client: "10.1.2.3"),
        Row(values: ["unknown"], client: "10.1.2.3"),
        Row(values: ["203.0.113.9, unknown, 192.0.2.7"], client: "192.0.2.7"),
        Row(values: ["\"203.0.113.9"], client: "10.1.2.3"),
        // A peer that is not trusted is not believed.
        Row(peer: "203.0.113.1", values: ["203.0.113.9"], client: "203.0.113.1"),
        Row(peer: "11.0.0.1", values: ["203.0.113.9"], client: "11.0.0.1"),
        Row(peer: "2001:db8:2::1", values: ["203.0.113.9"], client: "2001:db8:2::1"),
        Row(peer: "2001:db8:1:ffff::1", values: ["203.0.113.9"], client: "203.0.113.9"),
        Row(peer: "::ffff:10.1.2.3", values: ["203.0.113.9"], client: "203.0.113.9"),
        Row(trusted: ["0.0.0.0/0"], peer: "198.51.100.4", values: ["203.0.113.9"], client: "203.0.113.9"),
        Row(trusted: ["198.51.100.0/23"], peer: "198.51.101.4", values: ["203.0.113.9"], client: "203.0.113.9"),
        Row(trusted: ["198.51.100.0/23"], peer: "198.51.102.4", values: ["203.0.113.9"], client: "198.51.102.4"),
        Row(field: .forwarded, values: ["for=203.0.113.9"], client: "203.0.113.9"),
        Row(field: .forwarded, values: ["proto=https; FOR=\"203.0.113.9:80\";by=10.1.1.1"], client: "203.0.113.9"),
        Row(field: .forwarded, values: ["for=\"[2001:db8::9]:4711\""], client: "2001:db8::9"),
        Row(field: .forwarded, values: ["for=127.0.0.1, for=203.0.113.9, for=192.0.2.7"], client: "203.0.113.9"),
        Row(field: .forwarded, values: ["for=203.0.113.9, for=_hidden"], client: "10.1.2.3"),
        Row(field: .forwarded, values: ["for=203.0.113.9, proto=https"], client: "10.1.2.3"),
        Row(field: .forwarded, values: ["for=\"unclosed, for=203.0.113.9"], client: "203.0.113.9"),
    ]

    @Test("the field is read from its end, up to who is not trusted", arguments: rows)
    func rule(_ row: Row) throws {
        let rule = try ClientAddressRule(.forwarded(row.field, trusted: row.trusted))
        let head = row.values.map { "\(row.field.name): \($0)\r\n" }.joined()
        let request = try Self.head("GET / HTTP/1.1\r\nHost: a\r\n\(head)\r\n")
        let client = rule.client(of: request, peer: try SocketAddress(ipAddress: row.peer, port: 7))
        #expect(client?.ipAddress == row.client)
        let byDefault = try ClientAddressRule(.peer)
            .client(of: request, peer: try SocketAddress(ipAddress: row.peer, port: 7))
        #expect(byDefault?.ipAddress == row.peer)
    }

    private static func head(_ text: String) throws -> RequestHead {
        var bytes = ByteBuffer(string: text)
        var decoder = RequestHeadDecoder(limits: Limits().openingHead)
        return try #require(try decoder.decode(&bytes))
    }

    @Test("peers of a Unix domain socket are trusted where that is said")
    func unix() throws {
        let request = try Self.head("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n")
        let peer = try SocketAddress(unixDomainSocketPath: "/run/khp")
        let trusting = try ClientAddressRule(.forwarded(.xForwardedFor, trusted: ["unix"]))
        #expect(trusting.client(of: request, peer: peer)?.ipAddress == "203.0.113.9")
        #expect(trusting.client(of: request, peer: nil)?.ipAddress == "203.0.113.9")
        let other = try ClientAddressRule(.forwarded(.xForwardedFor, trusted: ["10.0.0.1"]))
        #expect(other.client(of: request, peer: peer) == peer)
    }

    @Test(
        "what is no address is refused",
        arguments: ["", "proxy", "10.0.0.0/33", "10.0.0.0/-1", "::/129", "10.0.0/8", "/8"]
    )
    func invalid(text: String) {
        #expect(throws: WebSocketError.self) {
            try WebSocketServer.ClientAddress.forwarded(.forwarded, trusted: [text]).validate()
        }
        #expect(throws: WebSocketError.self) {
            try WebSocketServer.ClientAddress.forwarded(.forwarded, trusted: []).validate()
        }
    }

    @Test("behind a proxy each client has limits of its own")
    func limits() async throws {
        try await withServer {
            $0.clientAddress = .forwarded(.xForwardedFor, trusted: ["127.0.0.1"])
            $0.limits.wrongAnswersPerAddress = 1
            $0.limits.pendingHandshakesPerAddress = 2
        } endpoints: {
            Endpoint(
                "/desk",
                options: .init(authentication: .init(realm: "desk", .basic { $1 == "welcome" ? Principal($0) : nil }))
            ) {
                (_: WebSocket) in
            }
        } body: { port in
            func ask(_ password: String, for client: String, extra: String = "") async throws -> String {
                try await offThread {
                    let connection = try BlockingSocket.connect(port)
                    let credentials = Base64.encode(Array("joe:\(password)".utf8))
                    let fields = "X-Forwarded-For: \(client)\r\nAuthorization: Basic \(credentials)\r\n"
                    try connection.send(openingRequest("/desk", extra: fields))
                    return String(try connection.receiveHead().prefix(12))
                }
            }
            #expect(try await ask("wrong", for: "203.0.113.9") == "HTTP/1.1 401")
            #expect(try await ask("welcome", for: "203.0.113.9") == "HTTP/1.1 403")
            #expect(try await ask("welcome", for: "203.0.113.8, 203.0.113.9") == "HTTP/1.1 403")
            #expect(try await ask("welcome", for: "203.0.113.8") == "HTTP/1.1 101")
            // More connections than one address may have: the proxy's connections belong to no client until they name
            // one.
            let silent = try (0..<4).map { _ in try BlockingSocket.connect(port) }
            #expect(try await ask("welcome", for: "203.0.113.7") == "HTTP/1.1 101")
            // Challenged inside, and so pending; the third of one client is one too many.
            let pending = try (0..<2).map { _ in
                let client = try BlockingSocket.connect(port)
                let fields = "X-Forwarded-For: 203.0.113.6\r\n"
                try client.send(openingRequest("/desk", protocols: "x-kaazing-handshake", extra: fields))
                return client
            }
            for client in pending {
                #expect(try await offThread { try client.receiveHead() }.hasPrefix("HTTP/1.1 101 "))
            }
            #expect(try await ask("welcome", for: "203.0.113.6") == "HTTP/1.1 503")
            #expect(try await ask("welcome", for: "203.0.113.5") == "HTTP/1.1 101")
            for client in silent + pending { client.close() }
        }
    }
}
