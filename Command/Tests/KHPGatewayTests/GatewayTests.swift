// A whole gateway: clients come through its listeners, operators through its admin address, reloads and a drain in between.

import CommandTestSupport
import Foundation
import HTTPTypes
import KHPClient
import KHPServer
import NIOCore
import Synchronization
import Testing

@testable import KHPGateway

@Suite("A gateway", .timeLimit(.minutes(2)))
struct GatewayTests {
    /// The lines of a gateway's log, and the words of its reloads.
    final class Running: Sendable {
        let lines = Mutex<[String]>([])
        let next = Mutex<GatewayRun.Loaded>(.bad(["nothing is to be loaded"]))

        func line(with words: String...) -> String? {
            self.lines.withLock { $0.last { line in words.allSatisfy { line.contains($0) } } }
        }
    }

    /// The addresses of a gateway that runs, with the way to end it.
    struct View: Sendable {
        let running: Running
        let addresses: [String: Int]
        let reload: @Sendable () -> Void
        let stop: @Sendable () -> Void

        func url(_ path: String) -> String { "ws://127.0.0.1:\(self.addresses["public"] ?? 0)\(path)" }

        /// Asks the admin address; the status line and the body.
        func admin(_ request: String, headers: String = "") async throws -> (status: Int, body: String) {
            let port = self.addresses["admin"] ?? 0
            return try await offThread {
                let socket = try BlockingSocket.connect(port)
                try socket.send("\(request) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nConnection: close\r\n\(headers)\r\n")
                let text = String(decoding: socket.receiveAll().bytes, as: UTF8.self)
                let parts = text.components(separatedBy: "\r\n\r\n")
                let status = Int(text.split(separator: " ").dropFirst().first ?? "") ?? 0
                return (status, parts.dropFirst().joined(separator: "\r\n\r\n"))
            }
        }
    }

    static func configuration(backend port: Int) -> GatewayConfiguration {
        var configuration = GatewayConfiguration(instance: "gw1")
        configuration.listeners = [.init(name: "public", listen: .host("127.0.0.1", port: 0))]
        configuration.admin = .init(listen: .host("127.0.0.1", port: 0))
        var pool = GatewayConfiguration.Pool(name: "p")
        pool.backends = [.local(port)]
        configuration.pools = [pool]
        configuration.services = [
            .init(name: "echo", path: PathPattern(path: "/echo"), kind: .echo),
            .init(name: "relay", path: PathPattern(path: "/relay"), kind: .proxy(pool: "p", frames: .text)),
        ]
        configuration.shutdown.drain = .milliseconds(300)
        return configuration
    }

    /// Runs a gateway in front of a backend that sends everything back.
    /// - Returns: how many sessions its end has cut.
    @discardableResult
    static func withGateway(
        _ change: (inout GatewayConfiguration) -> Void = { _ in },
        materials make: (inout GatewayMaterials) throws -> Void = { _ in },
        notice: ReadinessNotice = ReadinessNotice(socket: nil),
        body: (View) async throws -> Void
    ) async throws -> Int {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, outbound in
                for try await bytes in inbound { try await outbound.write(bytes) }
            }
        } body: { port in
            var configuration = Self.configuration(backend: port)
            change(&configuration)
            let running = Running()
            var materials = GatewayMaterials(configuration, hash: "1")
            try make(&materials)
            let load: GatewayRun.Load = { running.next.withLock { $0 } }
            let run = GatewayRun(materials, load: load, notice: notice) { line in
                running.lines.withLock { $0.append(line) }
            }
            let reloads = AsyncStream.makeStream(of: Void.self)
            let stop = AsyncStream.makeStream(of: Void.self)
            let bound = AsyncStream.makeStream(of: [String: Int].self)
            let task = Task {
                try await run.run(reloads: reloads.stream, stop: stop.stream) { listening in
                    bound.continuation.yield(
                        Dictionary(uniqueKeysWithValues: listening.map { ($0.name, $0.address.port ?? 0) })
                    )
                }
            }
            for await addresses in bound.stream {
                let view = View(
                    running: running,
                    addresses: addresses,
                    reload: { reloads.continuation.yield() },
                    stop: { stop.continuation.yield() }
                )
                do {
                    try await body(view)
                } catch {
                    stop.continuation.yield()
                    _ = await task.result
                    throw error
                }
                break
            }
            stop.continuation.yield()
            return try await task.value
        }
    }

    @Test("clients come through, and the log tells each end")
    func sessions() async throws {
        try await Self.withGateway { view in
            for path in ["/echo", "/relay"] {
                let socket = try await WebSocketClient().connect(to: view.url(path))
                try await socket.send("hello")
                #expect(try await socket.receive() == .text("hello"))
                try await socket.close(code: .normalClosure, reason: "a \"line\"\n of my own")
            }
            await #expect(throws: WebSocketError.self) {
                _ = try await WebSocketClient().connect(to: view.url("/other"))
            }
            let line = try #require(await Patience.wait { view.running.line(with: "session.end", "\"relay\"") })
            for words in [
                #""by":"client""#, #""cause":"client-close""#, #""code":1000"#, #""in_bytes":5"#, #""out_bytes":5"#,
                #""listener":"public""#, #""reason":"a \"line\"\n of my own""#, #""instance":"gw1""#,
                "backend\":\"tcp://",
            ] {
                #expect(line.contains(words), "\(words) in \(line)")
            }
            #expect(!line.utf8.contains(0x0A))
            #expect(view.running.line(with: "handshake.refused", "404") != nil)
        }
    }

    @Test("a session's dialect is told", arguments: [Dialect.rfc6455, .hixie76])
    func dialects(_ dialect: Dialect) async throws {
        try await Self.withGateway {
            $0.services[0].rules.handshake.dialects = [.rfc6455, .hixie76]
        } body: { view in
            var configuration = WebSocketClient.Configuration()
            configuration.dialect = dialect
            let socket = try await WebSocketClient(configuration: configuration).connect(to: view.url("/echo"))
            #expect(try await view.admin("GET /sessions").body.contains("\"dialect\":\"\(dialect)\""))
            try await socket.close()
            #expect(await Patience.wait { view.running.line(with: "session.end", "\"dialect\":\"\(dialect)\"") } != nil)
        }
    }

    @Test("the admin address tells health, load, services, sessions and metrics")
    func admin() async throws {
        try await Self.withGateway {
            // Fewer than there are descriptors for, wherever this runs.
            $0.listeners[0].connections = 100
        } body: { view in
            let socket = try await WebSocketClient().connect(to: view.url("/relay"))
            try await socket.send("hello")
            _ = try await socket.receive()
            #expect(try await view.admin("GET /healthz").status == 200)
            #expect(try await view.admin("GET /readyz") == (200, "{\"ready\":true,\"reasons\":[]}\n"))
            #expect(
                try await view.admin("GET /load").body
                    == #"{"sessions":1,"capacity":100,"draining":false,"instance":"gw1"}"# + "\n"
            )
            let services = try await view.admin("GET /services").body
            #expect(services.contains(#""state":"up","since_s":null,"connections":1"#))
            let sessions = try await view.admin("GET /sessions?service=relay").body
            #expect(sessions.contains(#""in_bytes":5,"out_bytes":5,"in_msgs":1,"out_msgs":1"#))
            #expect(try await view.admin("GET /sessions?service=echo").body.contains(#""matching":0"#))
            let metrics = try await view.admin("GET /metrics").body
            for line in [
                "khp_sessions{service=\"relay\"} 1", "khp_bytes_total{service=\"relay\",direction=\"out\"} 5",
                "khp_gateway_draining 0", "khp_handshakes_total{service=\"relay\",layer=\"extended\",status=\"101\"} 1",
            ] {
                #expect(metrics.contains(line + "\n"), "\(line) in \(metrics)")
            }
            for name in Self.families { #expect(metrics.contains("# TYPE \(name) "), "\(name)") }
            #expect(try await view.admin("GET /").body.hasPrefix("<!doctype html>"))
            #expect(try await view.admin("GET /nothing").status == 404)
            #expect(try await view.admin("POST /metrics").status == 405)
            try await socket.close()
        }
    }

    @Test("pages of elsewhere, other names and wrong tokens are turned away")
    func access() async throws {
        try await Self.withGateway {
            $0.admin?.token = Secret("s3cret")
        } body: { view in
            let right = "Authorization: Bearer s3cret\r\n"
            #expect(try await view.admin("GET /load", headers: right).status == 200)
            #expect(try await view.admin("GET /load").status == 401)
            #expect(try await view.admin("GET /load", headers: "Authorization: Bearer s3creT\r\n").status == 401)
            #expect(
                try await view.admin("GET /load", headers: right + "Origin: https://evil.example\r\n").status == 403
            )
            let port = view.addresses["admin"] ?? 0
            let other = try await offThread {
                let socket = try BlockingSocket.connect(port)
                try socket.send("GET /load HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\(right)\r\n")
                return String(decoding: socket.receiveAll().bytes, as: UTF8.self)
            }
            #expect(other.hasPrefix("HTTP/1.1 421"))
            // HAProxy's checks are of HTTP/1.0 and name no host.
            let unnamed = try await offThread {
                let socket = try BlockingSocket.connect(port)
                try socket.send("GET /load HTTP/1.0\r\n\(right)\r\n")
                return String(decoding: socket.receiveAll().bytes, as: UTF8.self)
            }
            #expect(unnamed.contains(" 200 "), "\(unnamed)")
        }
    }

    @Test("an operator ends sessions by number and by choice, and closes need a choice")
    func closes() async throws {
        try await Self.withGateway { view in
            let first = try await WebSocketClient().connect(to: view.url("/echo"))
            let second = try await WebSocketClient().connect(to: view.url("/relay"))
            #expect(try await view.admin("POST /sessions/close").status == 400)
            #expect(try await view.admin("POST /sessions/close?service=echo&code=1005").status == 400)
            #expect(try await view.admin("DELETE /sessions/0").status == 404)
            #expect(
                try await view.admin("POST /sessions/close?service=echo&code=3001&reason=because%20so").body
                    == "{\"closing\":1}\n"
            )
            let info = try await first.closed()
            #expect(info.code == WebSocketCloseCode(rawValue: 3001))
            #expect(info.reason == "because so")
            let listed = try await view.admin("GET /sessions").body
            let id = try #require(listed.components(separatedBy: "\"id\":\"").dropFirst().first?.prefix(16))
            #expect(try await view.admin("GET /sessions/\(id)").body.contains(#""service":"relay""#))
            #expect(try await view.admin("DELETE /sessions/\(id)").body == "{\"closing\":1}\n")
            #expect(try await second.closed().code == .policyViolation)
            #expect(await Patience.wait { view.running.line(with: "session.end", "operator") } != nil)
        }
    }

    @Test("a reload leaves unchanged services alone, ends removed ones and takes new ones")
    func reloads() async throws {
        try await Self.withGateway { view in
            let kept = try await WebSocketClient().connect(to: view.url("/relay"))
            let removed = try await WebSocketClient().connect(to: view.url("/echo"))
            var next = Self.configuration(backend: 1)
            next.services[0] = .init(name: "other", path: PathPattern(path: "/other"), kind: .echo)
            next.reload.onRemove = .close
            view.running.next.withLock { [next] in $0 = .good(GatewayMaterials(next, hash: "2")) }
            let (status, body) = try await view.admin("POST /reload")
            #expect(status == 200)
            #expect(
                body.contains(#""services":{"added":["other"],"changed":[],"removed":["echo"],"unchanged":["relay"]}"#)
            )
            #expect(try await removed.closed().code == .serviceRestart)
            // Its pool has other backends now, and the session has its own.
            try await kept.send("still here")
            #expect(try await kept.receive() == .text("still here"))
            let other = try await WebSocketClient().connect(to: view.url("/other"))
            try await other.close()
            await #expect(throws: WebSocketError.self) {
                _ = try await WebSocketClient().connect(to: view.url("/echo"))
            }
            // Nothing has changed: nothing happens.
            #expect(try await view.admin("POST /reload").body.contains(#""unchanged":["other","relay"]"#))
            #expect(view.running.line(with: "nothing has changed") != nil)
            try await kept.close()
        }
    }

    @Test("a reload that fails leaves everything as it was, and says so")
    func failedReloads() async throws {
        try await Self.withGateway { view in
            let socket = try await WebSocketClient().connect(to: view.url("/echo"))
            view.running.next.withLock { $0 = .bad(["gateway.yaml:3:1: pools: is missing"]) }
            #expect(
                try await view.admin("POST /reload") == (
                    422, "{\"errors\":[\"gateway.yaml:3:1: pools: is missing\"]}\n"
                )
            )
            // Two endpoints that leave open which is meant: found when they are put in force.
            var next = Self.configuration(backend: 1)
            next.services[1].path = PathPattern(path: "/echo")
            view.running.next.withLock { [next] in $0 = .good(GatewayMaterials(next, hash: "2")) }
            #expect(try await view.admin("POST /reload").status == 422)
            // One that cannot be listened on.
            next = Self.configuration(backend: 1)
            next.listeners.append(.init(name: "taken", listen: .host("127.0.0.1", port: view.addresses["public"] ?? 0)))
            view.running.next.withLock { [next] in $0 = .good(GatewayMaterials(next, hash: "3")) }
            #expect(try await view.admin("POST /reload").status == 422)
            #expect(try await view.admin("GET /metrics").body.contains("khp_gateway_config_last_reload_successful 0\n"))
            #expect(view.running.line(with: "reload.failed", "is missing") != nil)
            try await socket.send("hello")
            #expect(try await socket.receive() == .text("hello"))
            let relay = try await WebSocketClient().connect(to: view.url("/relay"))
            try await relay.close()
            try await socket.close()
        }
    }

    @Test("a listener behind a proxy takes the client's address from its header, and nothing without one")
    func proxyHeader() async throws {
        try await Self.withGateway {
            $0.listeners[0].requiresProxyHeader = true
            $0.listeners[0].trust = [GatewayConfiguration.TrustedProxy("127.0.0.0/8")].compactMap { $0 }
        } body: { view in
            let port = view.addresses["public"] ?? 0
            let client = try await offThread {
                let socket = try BlockingSocket.connect(port)
                try socket.send("PROXY TCP4 192.0.2.7 127.0.0.1 4711 80\r\n" + openingRequest("/echo"))
                #expect(try socket.receiveHead().hasPrefix("HTTP/1.1 101"))
                return socket
            }
            #expect(try await view.admin("GET /sessions?address=192.0.2.7").body.contains(#""client":"192.0.2.7""#))
            let nothing = try await offThread {
                let socket = try BlockingSocket.connect(port)
                try socket.send(openingRequest("/echo"))
                return socket.receiveAll().bytes
            }
            #expect(nothing.isEmpty)
            #expect(
                try await view.admin("GET /metrics").body
                    .contains("khp_listener_rejected_total{listener=\"public\",reason=\"proxy-header\"} 1\n")
            )
            client.close()
        }
    }

    @Test("a broadcast goes to all clients of its service, over a reload too")
    func broadcast() async throws {
        try await Self.withGateway {
            $0.services[0].kind = .broadcast
        } body: { view in
            let first = try await WebSocketClient().connect(to: view.url("/echo"))
            try await first.send("one")
            #expect(try await first.receive() == .text("one"))
            var next = Self.configuration(backend: 1)
            next.services[0].kind = .broadcast
            view.running.next.withLock { [next] in $0 = .good(GatewayMaterials(next, hash: "2")) }
            #expect(try await view.admin("POST /reload").status == 200)
            let second = try await WebSocketClient().connect(to: view.url("/echo"))
            try await second.send("two")
            #expect(try await second.receive() == .text("two"))
            #expect(try await first.receive() == .text("two"))
            try await first.close()
            try await second.close()
        }
    }

    @Test("a redirect and a balancer name another address, with the query")
    func redirects() async throws {
        try await Self.withGateway {
            $0.services = [
                .init(name: "moved", path: PathPattern(path: "/moved"), kind: .redirect("wss://other.example/x")),
                .init(name: "lb", path: PathPattern(path: "/lb"), kind: .balancer(.init())),
            ]
            var balancer = GatewayConfiguration.Balancer()
            balancer.members = ["ws://one.example/x", "ws://two.example/x"]
            $0.services[1].kind = .balancer(balancer)
        } body: { view in
            var seen: Set<String> = []
            for path in ["/moved?a=1", "/lb?a=1", "/lb?a=1"] {
                var configuration = WebSocketClient.Configuration()
                configuration.redirects.policy = .never
                do {
                    _ = try await WebSocketClient(configuration: configuration).connect(to: view.url(path))
                    Issue.record("the socket opened")
                } catch let error as WebSocketError {
                    seen.insert(error.response?.headers[.location] ?? "")
                }
            }
            #expect(seen == ["wss://other.example/x?a=1", "ws://one.example/x?a=1", "ws://two.example/x?a=1"])
        }
    }

    @Test("a reload judges open sessions anew where their service says so")
    func reauthorizes() async throws {
        try await Self.withGateway { view in
            let judged = try await WebSocketClient().connect(to: view.url("/echo"))
            let left = try await WebSocketClient().connect(to: view.url("/relay"))
            var next = Self.configuration(backend: 1)
            for place in next.services.indices {
                var requirement = GatewayConfiguration.Requirement()
                requirement.networks = [AddressRange("10.0.0.0/8")].compactMap { $0 }
                next.services[place].require = requirement
            }
            next.services[0].reauthorizes = true
            view.running.next.withLock { [next] in $0 = .good(GatewayMaterials(next, hash: "2")) }
            #expect(try await view.admin("POST /reload").status == 200)
            #expect(try await judged.closed().code == .policyViolation)
            try await left.send("hello")
            #expect(try await left.receive() == .text("hello"))
            do {
                _ = try await WebSocketClient().connect(to: view.url("/relay"))
                Issue.record("the socket opened")
            } catch let error as WebSocketError {
                #expect(error.response?.status == 403)
            }
            #expect(
                try await view.admin("GET /metrics").body
                    .contains("khp_authorization_denied_total{service=\"relay\",reason=\"network\"} 1\n")
            )
            try await left.close()
        }
    }

    @Test("onDown: close ends the sessions of a backend whose check fails")
    func onDown() async throws {
        try await Self.withGateway {
            $0.pools[0].onDown = .close
            // The backend answers what it is sent, and here it is sent nothing.
            $0.pools[0].check = .init()
            $0.pools[0].check?.every = .milliseconds(300)
            $0.pools[0].check?.timeout = .milliseconds(100)
            $0.pools[0].check?.fall = 3
            $0.pools[0].check?.expect = [0x2B]
        } body: { view in
            let socket = try await WebSocketClient().connect(to: view.url("/relay"))
            #expect(try await socket.closed().code == .badGateway)
            #expect(view.running.line(with: "backend.down") != nil)
            do {
                _ = try await WebSocketClient().connect(to: view.url("/relay"))
                Issue.record("the socket opened")
            } catch let error as WebSocketError {
                #expect(error.response?.status == 503)
                #expect(error.response?.headers[.retryAfter] != nil)
            }
        }
    }

    @Test("a drain announces, ends sessions with 1001 spread over its time, and cuts none that goes")
    func drains() async throws {
        let cut = try await Self.withGateway {
            $0.shutdown.announce = .milliseconds(200)
        } body: { view in
            var sockets: [WebSocket] = []
            for _ in 0..<6 { sockets.append(try await WebSocketClient().connect(to: view.url("/relay"))) }
            view.stop()
            #expect(await Patience.wait { view.running.line(with: "drain.start") } != nil)
            let (status, body) = try await view.admin("GET /readyz")
            #expect(status == 503)
            #expect(body.contains("announcing"))
            // Clients still come in while it is announced.
            let late = try await WebSocketClient().connect(to: view.url("/echo"))
            sockets.append(late)
            let clock = ContinuousClock()
            var times: [ContinuousClock.Instant] = []
            for socket in sockets {
                let info = try await socket.closed()
                #expect(info.code == .goingAway)
                times.append(clock.now)
            }
            let all = try #require(times.max()) - (try #require(times.min()))
            #expect(all < .seconds(2 * Sanitizer.patience))
        }
        #expect(cut == 0)
    }
}

/// Waits for what another thread is about to do.
enum Patience {
    static func wait<Value: Sendable>(_ look: @Sendable () -> Value?) async -> Value? {
        for _ in 0..<400 {
            if let value = look() { return value }
            try? await Task.sleep(for: .milliseconds(5))
        }
        return nil
    }
}
