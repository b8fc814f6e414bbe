// The end of a proof while its session is open: clients are asked over their own socket, and answer over HTTP.

import CommandTestSupport
import Foundation
import HTTPTypes
import KHPClient
import KHPServer
import NIOCore
import Synchronization
import Testing

@testable import KHPGateway

@Suite("A proof that ends while its session is open", .timeLimit(.minutes(1)))
struct RevalidationTests {
    private static func realm(_ onExpiry: GatewayConfiguration.JWT.OnExpiry) -> GatewayConfiguration.Realm {
        var realm = GatewayConfiguration.Realm(name: "apps")
        realm.schemes = [.init(.bearer)]
        var jwt = GatewayConfiguration.JWT(keys: "", algorithms: [], issuer: "", audience: [])
        jwt.onExpiry = onExpiry
        realm.jwt = jwt
        return realm
    }

    /// Tokens say whose they are and when they end: `joe.1800000000`.
    private static let door = ServerAuthentication(
        realm: "apps",
        .bearer { token in
            let parts = token.split(separator: ".")
            guard parts.count == 2, let ends = Int64(parts[1]) else { return nil }
            return Principal(String(parts[0]), realm: "apps", roles: parts[0] == "eve" ? [] : ["user"], expires: ends)
        }
    )

    /// A client's socket, and the paths that it was asked for.
    private struct Client: Sendable {
        var socket: WebSocket
        var asked: AsyncStream<String>

        static func open(_ view: GatewayTests.View, _ token: String, agrees: Bool = true) async throws -> Client {
            let asked = AsyncStream.makeStream(of: String.self)
            var configuration = WebSocketClient.Configuration()
            configuration.headers[.authorization] = "Bearer \(token)"
            configuration.extended.policy = .off
            if agrees {
                configuration.extensions = [KaazingHTTPRevalidate { asked.continuation.yield($0.path) }]
            }
            let client = WebSocketClient(configuration: configuration)
            return Client(socket: try await client.connect(to: view.url("/echo")), asked: asked.stream)
        }

        func path() async -> String { await self.asked.first { _ in true } ?? "" }

        func closes() async throws -> String {
            let info = try await self.socket.closed()
            return "\(info.code?.rawValue ?? 0) \(info.reason)"
        }
    }

    private static func get(_ view: GatewayTests.View, _ path: String, _ token: String?) async throws -> Int {
        let port = view.addresses["public"] ?? 0
        let field = token.map { "Authorization: Bearer \($0)\r\n" } ?? ""
        return try await offThread {
            let socket = try BlockingSocket.connect(port)
            try socket.send(
                "GET \(path)&.krn=7 HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nConnection: close\r\n\(field)\r\n"
            )
            let text = String(decoding: socket.receiveAll().bytes, as: UTF8.self)
            return Int(text.split(separator: " ").dropFirst().first ?? "") ?? 0
        }
    }

    @Test("the client is asked for another proof, which moves the end; who brings none is closed with 1008")
    func asked() async throws {
        try await GatewayTests.withGateway {
            $0.realms = [Self.realm(.revalidate)]
            $0.services[0].realms = ["apps"]
            $0.log.level = .debug
        } materials: {
            $0.authentication = { _, _ in Self.door }
        } body: { view in
            let ends = Int64(Date().timeIntervalSince1970) + 2
            let later = ends + 3600
            let over = "1008 the session is over; authenticate again"
            let renewed = try await Client.open(view, "joe.\(ends)")
            let others = try await Client.open(view, "joe.\(ends)")
            let silent = try await Client.open(view, "joe.\(ends)")
            let deaf = try await Client.open(view, "joe.\(ends)", agrees: false)
            let path = await renewed.path()
            #expect(path.hasPrefix("/echo/;a/") && path.hasSuffix("?.kc=1") && path.count == 47, "\(path)")
            #expect(try await Self.get(view, "/echo/;a/0123?.kc=1", "joe.\(later)") == 404)
            #expect(try await Self.get(view, path, nil) == 401)
            #expect(try await Self.get(view, path, "joe.\(ends)") == 403, "no newer than the first")
            #expect(try await Self.get(view, path, "joe.\(later)") == 200)
            #expect(try await Self.get(view, path, "joe.\(later)") == 404, "a path counts once")
            #expect(try await Self.get(view, await others.path(), "ann.\(later)") == 403)
            #expect(try await others.closes() == "1008 the client did not prove anew who it is")
            #expect(try await silent.closes() == over)
            #expect(try await deaf.closes() == over)
            try await renewed.socket.send("still here")
            let answer = try await renewed.socket.messages.first { _ in true }
            #expect(answer == .text("still here"))
            let sessions = try await view.admin("GET /sessions").body
            #expect(
                sessions.contains("\"idle_s\":0")
                    && sessions.contains("\"expires\":\"\(SessionFacts.text(of: later))\"")
            )
            let metrics = try await view.admin("GET /metrics").body
            for (result, count) in [("asked", 3), ("renewed", 1), ("refused", 1), ("unanswered", 1), ("not-agreed", 1)]
            {
                #expect(
                    metrics.contains("khp_revalidations_total{service=\"echo\",result=\"\(result)\"} \(count)"),
                    "\(result): \(metrics)"
                )
                #expect(view.running.line(with: "session.revalidate", "\"result\":\"\(result)\"", "joe") != nil)
            }
            let ended = "khp_sessions_ended_total{service=\"echo\",by=\"gateway\",cause=\"credentials-expired\"} 3"
            #expect(metrics.contains(ended), "\(metrics)")
        }
    }

    /// The head of the response to a page's request.
    private static func head(
        _ view: GatewayTests.View,
        _ method: String,
        _ path: String,
        _ fields: [String]
    ) async throws -> String {
        let port = view.addresses["public"] ?? 0
        let lines = ["\(method) \(path) HTTP/1.1", "Host: 127.0.0.1:\(port)", "Connection: close"] + fields
        return try await offThread {
            let socket = try BlockingSocket.connect(port)
            try socket.send(lines.map { $0 + "\r\n" }.joined() + "\r\n")
            return String(decoding: socket.receiveAll().bytes, as: UTF8.self).lowercased()
        }
    }

    @Test("a page of an origin that the service lets in can bring its proof from elsewhere, another cannot")
    func pages() async throws {
        try await GatewayTests.withGateway {
            $0.realms = [Self.realm(.revalidate)]
            $0.services[0].realms = ["apps"]
            $0.services[0].rules.origins.allowed = [OriginRule("https://app.example.com")].compactMap(\.self)
        } materials: {
            $0.authentication = { _, _ in Self.door }
        } body: { view in
            let ends = Int64(Date().timeIntervalSince1970) + 2
            let client = try await Client.open(view, "joe.\(ends)")
            let path = await client.path()
            let ours = "Origin: https://app.example.com"
            let others = "Origin: https://evil.example"
            let asks = ["Access-Control-Request-Method: GET", "Access-Control-Request-Headers: authorization"]
            let proof = "Authorization: Bearer joe.\(ends + 3600)"
            let shared = "access-control-allow-origin: https://app.example.com\r\n"

            let leave = try await Self.head(view, "OPTIONS", path, asks + [ours])
            #expect(leave.hasPrefix("http/1.1 204 ") && leave.contains(shared), "\(leave)")
            #expect(leave.contains("access-control-allow-credentials: true\r\n"))
            #expect(leave.contains("access-control-allow-methods: get\r\n"))
            #expect(leave.contains("access-control-allow-headers: authorization\r\n"))
            #expect(leave.contains("vary: origin\r\n"))
            for (method, fields) in [("OPTIONS", asks), ("GET", [proof])] {
                let refused = try await Self.head(view, method, path, fields + [others])
                #expect(refused.hasPrefix("http/1.1 403 ") && !refused.contains("access-control-"), "\(refused)")
            }
            let unproved = try await Self.head(view, "GET", path, [ours])
            #expect(unproved.hasPrefix("http/1.1 401 ") && unproved.contains(shared), "\(unproved)")
            let renewed = try await Self.head(view, "GET", path, [ours, proof])
            #expect(renewed.hasPrefix("http/1.1 200 ") && renewed.contains(shared), "\(renewed)")
            try await client.socket.close()
        }
    }

    @Test("a path is found again in a target, and only such a path")
    func paths() {
        for base in ["/echo", "/a/b", "/", "//evil", "/x/;a/y", "/x/;a", "/x/;a/"] {
            let path = Revalidations.path("0f", below: base)
            #expect(path.hasPrefix("/") && !path.hasPrefix("//"), "\(path)")
            #expect(Revalidations.name(in: path + "&.krn=1") == "0f", "\(path)")
        }
        for target in ["", "/", "/echo", "/echo?/;a/0f", "/;a/", "/echo/;a/0f/"] {
            #expect(Revalidations.name(in: target) == nil)
        }
    }

    @Test("nothing is granted where the end of a token closes", arguments: [false, true])
    func granted(_ asks: Bool) async throws {
        try await GatewayTests.withGateway {
            $0.realms = [Self.realm(asks ? .revalidate : .close)]
            $0.services[0].realms = ["apps"]
        } materials: {
            $0.authentication = { _, _ in Self.door }
        } body: { view in
            let client = try await Client.open(view, "joe.\(Int64(Date().timeIntervalSince1970) + 3600)")
            #expect(client.socket.negotiated.extensions.isEmpty == !asks)
            try await client.socket.close()
        }
    }
}
