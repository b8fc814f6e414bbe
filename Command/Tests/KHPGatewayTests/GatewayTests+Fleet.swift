// Several gateways, and what operators change under their clients.

import CommandTestSupport
import Foundation
import KHPClient
import KHPServer
import KHPTesting
import NIOCore
import NIOSSL
import Synchronization
import Testing

@testable import KHPGateway

extension GatewayTests {
    /// A member, and a gateway whose service `/lb` names it to clients.
    private static func withBalancer(_ body: (_ balancer: View, _ member: View) async throws -> Void) async throws {
        try await Self.withGateway {
            $0.instance = "member"
        } body: { member in
            try await Self.withGateway { configuration in
                var balancer = GatewayConfiguration.Balancer()
                balancer.members = [member.url("/relay")]
                balancer.by = .leastSessions
                balancer.check = .init(url: "http://{host}:\(member.addresses["admin"] ?? 0)/load")
                balancer.check?.every = .milliseconds(100)
                configuration.services.append(
                    .init(name: "lb", path: PathPattern(path: "/lb"), kind: .balancer(balancer))
                )
            } body: {
                try await body($0, member)
            }
        }
    }

    /// The head and the body of the answer to a plain opening handshake.
    private static func answer(_ view: View, _ target: String) async throws -> String {
        let port = view.addresses["public"] ?? 0
        return try await offThread {
            let socket = try BlockingSocket.connect(port)
            defer { socket.close() }
            try socket.send(openingRequest(target))
            let head = try socket.receiveHead()
            return head.contains("content-length: 0")
                ? head : head + String(decoding: try socket.receive(), as: UTF8.self)
        }
    }

    /// The same, once it has this status.
    private static func answer(_ view: View, _ target: String, with status: Int) async throws -> String {
        var answer = ""
        for _ in 0..<200 {
            answer = try await Self.answer(view, target)
            if answer.hasPrefix("HTTP/1.1 \(status) ") { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        return answer
    }

    @Test("least-sessions names a member that answers, none that drains, and takes turns where none answers")
    func leastSessions() async throws {
        try await Self.withBalancer { balancer, member in
            let head = try await Self.answer(balancer, "/lb?a=b")
            #expect(head.hasPrefix("HTTP/1.1 302 "))
            #expect(head.contains(member.url("/relay?a=b")))
            let socket = try await WebSocketClient().connect(to: balancer.url("/lb"))
            try await socket.send("through")
            #expect(try await socket.receive() == .text("through"))
            try await socket.close()
            #expect(
                try await balancer.admin("GET /metrics").body
                    .contains("khp_redirects_total{service=\"lb\",member=\"\(member.url("/relay"))\"} 2\n")
            )
            #expect(try await member.admin("POST /drain?over=0").status == 200)
            let refused = try await Self.answer(balancer, "/lb", with: 503)
            #expect(refused.contains("All gateways of this service are about to stop."))
            // The balancer itself may drain, and names others all the same.
            #expect(try await member.admin("DELETE /drain").status == 200)
            #expect(try await balancer.admin("POST /drain?over=0").status == 200)
            #expect(try await Self.answer(balancer, "/lb", with: 302).contains(member.url("/relay")))
        }
    }

    @Test("a Kaazing client is sent to a member by a balancer message")
    func balancerMessage() async throws {
        try await Self.withGateway { configuration in
            var balancer = GatewayConfiguration.Balancer()
            balancer.members = ["ws://gw2.example.com/echo"]
            var service = GatewayConfiguration.Service(
                name: "lb",
                path: PathPattern(path: "/lb"),
                kind: .balancer(balancer)
            )
            // Two of the clients say a privileged origin.
            service.rules.origins.allowed = [.any]
            configuration.services.append(service)
        } body: { view in
            for kind in ScriptedKaazingClient.Kind.allCases {
                let client = try await converse(
                    ScriptedKaazingClient(kind, url: view.url("/lb")),
                    port: view.addresses["public"] ?? 0
                ) { $0.state != .connecting }
                #expect(client.state == .redirected(to: "ws://gw2.example.com/echo?.kl=Y"), "\(kind)")
            }
        }
    }

    // MARK: Changes under clients

    @Test("a reload replaces a certificate: those who are there stay, those who come get the new one")
    func replacedCertificate() async throws {
        let (first, second) = (try CertificateAuthority(), try CertificateAuthority())
        func connect(_ view: View, _ authority: CertificateAuthority) async throws -> WebSocket {
            var configuration = WebSocketClient.Configuration()
            configuration.tls.trustRoots = try authority.roots()
            let url = "wss://127.0.0.1:\(view.addresses["public"] ?? 0)/echo"
            return try await WebSocketClient(configuration: configuration).connect(to: url)
        }
        try await Self.withGateway {
            $0.listeners[0].tls = .init(certificate: "c", key: "k")
        } materials: {
            $0.listenerTLS["public"] = try first.server("IP:127.0.0.1")
        } body: { view in
            let old = try await connect(view, first)
            var next = Self.configuration(backend: 1)
            next.listeners[0].tls = .init(certificate: "c", key: "k")
            var materials = GatewayMaterials(next, hash: "2")
            materials.listenerTLS["public"] = try second.server("IP:127.0.0.1")
            view.running.next.withLock { [materials] in $0 = .good(materials) }
            #expect(try await view.admin("POST /reload").status == 200)
            await #expect(throws: WebSocketError.self) { _ = try await connect(view, first) }
            let new = try await connect(view, second)
            for socket in [old, new] {
                try await socket.send("hello")
                #expect(try await socket.receive() == .text("hello"))
                try await socket.close()
            }
            let lines = [
                "khp_tls_handshakes_total{listener=\"public\",version=\"TLSv1.3\",result=\"ok\"} 2",
                "khp_tls_handshakes_total{listener=\"public\",version=\"\",result=\"failed\"} 1",
                "khp_listener_rejected_total{listener=\"public\",reason=\"tls\"} 1",
            ]
            var metrics = ""
            for _ in 0..<100 {
                metrics = try await view.admin("GET /metrics").body
                if lines.allSatisfy(metrics.contains) { break }
                try await Task.sleep(for: .milliseconds(5))
            }
            for line in lines { #expect(metrics.contains(line), "\(line) in \(metrics)") }
        }
    }

    @Test("a reload changes a listener at its address: sessions go on, new clients meet the new rules")
    func changedListener() async throws {
        // A port that was free a moment ago.
        let port = try await withServer {
            echo()
        } body: {
            $0
        }
        let address = ListenAddress.host("127.0.0.1", port: port)
        try await Self.withGateway {
            $0.listeners[0].listen = address
        } body: { view in
            let old = try await WebSocketClient().connect(to: view.url("/echo"))
            var next = Self.configuration(backend: 1)
            next.listeners[0].listen = address
            // The session of before counts.
            next.listeners[0].connections = 2
            view.running.next.withLock { [next] in $0 = .good(GatewayMaterials(next, hash: "2")) }
            #expect(try await view.admin("POST /reload").status == 200)
            let new = try await WebSocketClient().connect(to: view.url("/echo"))
            await #expect(throws: WebSocketError.self) {
                _ = try await WebSocketClient().connect(to: view.url("/echo"))
            }
            for socket in [old, new] {
                try await socket.send("hello")
                #expect(try await socket.receive() == .text("hello"))
                try await socket.close()
            }
        }
    }

    // MARK: The admin address

    @Test("with a token the page comes without it, and nothing else; over TLS as well")
    func pageAndToken() async throws {
        let authority = try CertificateAuthority()
        try await Self.withGateway {
            $0.admin?.token = Secret("s3cret")
            $0.admin?.tls = .init(certificate: "c", key: "k")
        } materials: {
            $0.adminTLS = try authority.server("IP:127.0.0.1")
        } body: { view in
            var tls = TLSConfiguration.makeClientConfiguration()
            tls.trustRoots = try authority.roots()
            let address = ListenAddress.host("127.0.0.1", port: view.addresses["admin"] ?? 0)
            let anyone = AdminClient(address, tls: tls)
            let page = try await anyone.ask("GET", "/")
            #expect(page.status == 200)
            #expect(page.body.contains("sessionStorage"))
            #expect(!page.body.contains("s3cret"))
            for path in ["/services", "/load", "/metrics", "//", "/?x"] {
                #expect(try await anyone.ask("GET", path).status == 401, "\(path)")
            }
            #expect(try await anyone.ask("POST", "/").status == 401)
            let operators = AdminClient(address, tls: tls, token: "s3cret")
            #expect(try await operators.ask("GET", "/load").status == 200)
            let stranger = AdminClient(address, tls: .makeClientConfiguration())
            await #expect(throws: AdminClient.Failure.self) { _ = try await stranger.ask("GET", "/") }
            let plain = AdminClient(address, limit: .seconds(2))
            await #expect(throws: AdminClient.Failure.self) { _ = try await plain.ask("GET", "/") }
        }
    }

    private static func status(_ client: AdminClient, _ method: String, _ path: String) async throws -> Int {
        try await client.ask(method, path).status
    }

    @Test("the address for balancers tells of load and readiness to all who ask, and of nothing else")
    func probes() async throws {
        try await Self.withGateway {
            $0.admin?.token = Secret("s3cret")
            $0.admin?.probes = .init(listen: .host("127.0.0.1", port: 0))
        } body: { view in
            let balancer = AdminClient(.host("127.0.0.1", port: view.addresses["probes"] ?? 0))
            for path in ["/healthz", "/readyz", "/load"] {
                #expect(try await Self.status(balancer, "GET", path) == 200, "\(path)")
                #expect(try await Self.status(balancer, "POST", path) == 405, "\(path)")
            }
            for path in ["/", "/metrics", "/config", "/services", "/sessions", "/version", "/load/x"] {
                #expect(try await Self.status(balancer, "GET", path) == 404, "\(path)")
            }
            for path in ["/drain", "/reload", "/sessions/close?all", "/pools/p/backends/x?action=drain"] {
                #expect(try await Self.status(balancer, "POST", path) == 404, "\(path)")
            }
            let operators = AdminClient(.host("127.0.0.1", port: view.addresses["admin"] ?? 0), token: "s3cret")
            #expect(try await Self.status(operators, "POST", "/drain") == 200)
            #expect(try await Self.status(balancer, "GET", "/readyz") == 503)
            let load: AdminClient.Answer = try await balancer.ask("GET", "/load")
            #expect(load.body.contains("\"draining\":true"))
        }
    }

    @Test("an address for balancers that cannot be had ends the start")
    func probesInTheWay() async throws {
        try await withRawServer { _ in
        } body: { port in
            var configuration = Self.configuration(backend: 1)
            configuration.admin?.probes = .init(listen: .host("127.0.0.1", port: port))
            let run = GatewayRun(GatewayMaterials(configuration, hash: "1"), load: { .bad([]) }) { _ in }
            let none = AsyncStream<Void> { $0.finish() }
            await #expect(throws: Gateway.Failure.self) {
                _ = try await run.run(reloads: none, stop: none) { _ in Issue.record("it listens") }
            }
        }
    }

    @Test("OpenMetrics for those who ask for it")
    func openMetrics() async throws {
        try await Self.withGateway { view in
            let text = try await view.admin("GET /metrics", headers: "Accept: application/openmetrics-text\r\n").body
            #expect(text.hasSuffix("\n# EOF\n"))
            let types = text.split(separator: "\n").filter { $0.hasPrefix("# TYPE ") }
            #expect(Set(types.map { $0.split(separator: " ")[2] }).count == types.count, "each family once")
            #expect(text.contains("# TYPE khp_sessions gauge\n"))
            #expect(text.contains("# TYPE khp_sessions_total unknown\n"))
            #expect(text.contains("# TYPE khp_messages counter\n"))
            #expect(text.contains("khp_backend_connect_duration_seconds_bucket{pool=\"p\",le=\"+Inf\"} 0\n"))
        }
    }
}
