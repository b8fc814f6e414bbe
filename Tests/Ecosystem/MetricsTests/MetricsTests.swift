// Connections measured with a backend in memory: each label and each set of dimensions, and how many there can be.

import CoreMetrics
import HTTPTypes
import KHPClient
import KHPMetrics
import KHPServer
import KHPTesting
import MetricsTestKit
import Testing

@Suite("Metrics", .timeLimit(.minutes(1)))
struct MetricsTests {
    /// Serves, connects, and waits until both ends have told of the end.
    private func play(
        _ url: String,
        server: TestMetrics,
        client: TestMetrics,
        countsMessages: Bool = false,
        subprotocols: [String] = [],
        _ body: (WebSocket) async throws -> Void = { _ in },
        configure: (inout WebSocketClient.Configuration) -> Void = { _ in }
    ) async throws {
        var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
        configuration.limits.messages.messageBytes = 64
        configuration.instruments = [ServerMetrics(factory: server, countsMessages: countsMessages)]
        var options = Endpoint.Options()
        options.subprotocols = ["trades"]
        var guarded = Endpoint.Options()
        guarded.authentication = ServerAuthentication(realm: "desk", .basic { user, _ in Principal(user) })
        let pipe = try EndpointPipe(
            configuration: configuration,
            endpoints: [
                Endpoint("/rooms/{id}", options: options) { socket in
                    for try await message in socket.messages { try await socket.send(message) }
                },
                Endpoint("/orders", options: guarded) { socket in _ = try await socket.closed() },
                Endpoint("/old") { request in
                    request.layer == .opening ? .complete() : .redirect(to: "/rooms/1")
                },
                Endpoint("/slow") { request in
                    request.layer == .opening ? .complete() : .processing { .noContent }
                },
            ]
        )
        var settings = WebSocketClient.Configuration()
        settings.instruments = [ClientMetrics(factory: client, countsMessages: countsMessages)]
        settings.authentication.challengeHandler = BasicChallengeHandler(user: "joe", password: "welcome")
        configure(&settings)
        do {
            try await pipe.client(settings).withConnection(to: url, subprotocols: subprotocols, body)
        } catch {
            await pipe.shutDown()
            throw error
        }
        await pipe.shutDown()
    }

    private func value(_ metrics: TestMetrics, _ label: String, _ dimensions: [(String, String)]) -> Double? {
        (try? metrics.expectMeter(label, dimensions))?.lastValue
    }

    @Test("a socket: both handshakes, its life, and back to none")
    func socket() async throws {
        let server = TestMetrics()
        let client = TestMetrics()
        let route = ("http.route", "/rooms/{id}")
        let host = ("server.address", "example.com")
        try await self.play("ws://example.com/rooms/7", server: server, client: client, subprotocols: ["trades"]) {
            socket in
            #expect(socket.negotiated.subprotocol == "trades")
            let open = [("websocket.subprotocol", "trades")]
            #expect(self.value(server, "websocket.server.active_connections", [route] + open) == 1)
            #expect(self.value(client, "websocket.client.active_connections", [host] + open) == 1)
            #expect(self.value(server, "websocket.server.pending_handshakes", []) == 0)
            #expect(self.value(client, "websocket.client.pending_handshakes", [host]) == 0)
        }
        let status = ("http.response.status_code", "101")
        let complete = [("khp.outcome", "complete"), ("khp.round", "1")]
        let end = [("websocket.close.code", "1000"), ("error.type", "none")]
        #expect(server.counterTotal(label: "websocket.server.connections") == 1)
        for (metrics, label, dimensions) in [
            (
                server, "http.server.request.duration",
                [("http.request.method", "GET"), ("url.scheme", "http"), route, status]
            ),
            (server, "khp.server.handshake.duration", [route, status] + complete),
            (server, "websocket.server.connection.duration", [route] + end),
            (client, "websocket.client.connect.duration", [host, ("error.type", "none")]),
            (client, "http.client.request.duration", [host, status]),
            (client, "khp.client.handshake.duration", [host, status] + complete),
            (client, "websocket.client.connection.duration", [host] + end),
        ] {
            let timer = try metrics.expectTimer(label, dimensions)
            #expect(timer.values.count == 1 && timer.values.allSatisfy { $0 > 0 }, "\(label)")
        }
        let open = [("websocket.subprotocol", "trades")]
        #expect(self.value(server, "websocket.server.active_connections", [route] + open) == 0)
        #expect(self.value(client, "websocket.client.active_connections", [host] + open) == 0)
        #expect(server.counters(label: "websocket.server.messages").isEmpty)
        #expect(server.counters(label: "websocket.server.rejected_connections").isEmpty)
    }

    @Test("a socket that one end fails has the error's type there")
    func violation() async throws {
        let server = TestMetrics()
        let client = TestMetrics()
        try? await self.play("ws://example.com/rooms/7", server: server, client: client) { socket in
            try await socket.send(String(repeating: "x", count: 100))
            _ = try await socket.closed()
        }
        let code = ("websocket.close.code", "1009")
        let timer = try server.expectTimer(
            "websocket.server.connection.duration",
            [("http.route", "/rooms/{id}"), code, ("error.type", "message-too-big")]
        )
        #expect(timer.values.count == 1)
        #expect(client.timers(label: "websocket.client.connection.duration").count == 1)
    }

    @Test("a connection beyond the limits is counted by its reason")
    func rejected() {
        let server = TestMetrics()
        let instrument = ServerMetrics(factory: server)
        let connection = ConnectionInfo(id: 0, role: .server, peer: "192.0.2.1:5")
        for reason in [ConnectionRejection.connections, .connections, .address] {
            instrument.rejected(reason, connection)
        }
        let label = "websocket.server.rejected_connections"
        for (reason, count) in [("too-many-connections", 2), ("too-many-of-address", 1)] {
            #expect(server.counterTotal(label: label, dimensions: [("error.type", reason)]) == Int64(count))
        }
        #expect(server.counters(label: label).count == 2)
    }

    @Test("a request of ordinary HTTP is in no handshake, however long its response takes")
    func ordinaryHTTP() throws {
        let server = TestMetrics()
        let connection = ConnectionInfo(id: 1, role: .server, peer: "192.0.2.1:5")
        let instrument = try #require(ServerMetrics(factory: server).accepted(connection))
        instrument.observe(.connected(peer: connection.peer, tls: nil))
        instrument.observe(.openingRequest(head: "GET /events HTTP/1.1\r\n\r\n"))
        #expect(self.value(server, "websocket.server.pending_handshakes", []) == 1)
        instrument.servesHTTP()
        #expect(self.value(server, "websocket.server.pending_handshakes", []) == 0)
        instrument.servesHTTP()
        instrument.observe(.openingResponse(head: "HTTP/1.1 200 OK\r\n\r\n", status: 200))
        #expect(self.value(server, "websocket.server.pending_handshakes", []) == 0)
        #expect(server.timers(label: "http.server.request.duration").map(\.values.count) == [1])
    }

    @Test("challenges, redirects and a 202 count, each response by itself")
    func journeys() async throws {
        for (path, label, count) in [
            ("/orders", "khp.client.challenges", 1), ("/old", "khp.client.redirects", 1), ("/slow", "", 0),
        ] {
            let server = TestMetrics()
            let client = TestMetrics()
            try await self.play("ws://example.com\(path)", server: server, client: client)
            if !label.isEmpty { #expect(client.counterTotal(label: label) == Int64(count)) }
            let outcomes = client.timers(label: "khp.client.handshake.duration")
                .flatMap { timer in timer.dimensions.filter { $0.0 == "khp.outcome" }.map(\.1) }
            let expected = [
                "/orders": ["challenge", "complete"], "/old": ["complete", "redirect"], "/slow": ["complete", "wait"],
            ]
            #expect(outcomes.sorted() == expected[path])
            let rounds = client.timers(label: "khp.client.handshake.duration")
                .flatMap { timer in timer.dimensions.filter { $0.0 == "khp.round" }.map(\.1) }
            #expect(rounds.sorted() == (path == "/orders" ? ["1", "2"] : ["1", "1"]), "\(path)")
            let host = [("server.address", "example.com")]
            #expect(self.value(client, "websocket.client.pending_handshakes", host) == 0)
            #expect(client.timers(label: "websocket.client.connect.duration").map(\.values.count) == [1])
        }
    }

    @Test("a refusal counts once, with the route `none`")
    func refusals() async throws {
        let server = TestMetrics()
        let client = TestMetrics()
        await #expect(throws: WebSocketError.self) {
            try await self.play("ws://example.com/nowhere", server: server, client: client)
        }
        let none = ("http.route", "none")
        let refused = [
            ("http.request.method", "GET"), ("url.scheme", "http"), none, ("http.response.status_code", "404"),
        ]
        #expect(try server.expectTimer("http.server.request.duration", refused).values.count == 1)
        let failed = [("server.address", "example.com"), ("error.type", "opening-refused")]
        #expect(try client.expectTimer("websocket.client.connect.duration", failed).values.count == 1)
        // The server lets go of the connection a moment behind its answer.
        let end = ContinuousClock.now + .seconds(5)
        while self.value(server, "websocket.server.pending_handshakes", []) != 0, .now < end { await Task.yield() }
        #expect(self.value(server, "websocket.server.pending_handshakes", []) == 0)
    }

    @Test("messages and their bytes are counted where that was asked for")
    func messages() async throws {
        let server = TestMetrics()
        let client = TestMetrics()
        try await self.play("ws://example.com/rooms/7", server: server, client: client, countsMessages: true) {
            socket in
            for text in ["one", "three"] {
                try await socket.send(text)
                _ = try await socket.receive()
            }
            _ = try await socket.ping()
        }
        for (metrics, role) in [(server, "server"), (client, "client")] {
            for direction in ["receive", "transmit"] {
                let dimensions = [("network.io.direction", direction)]
                #expect(metrics.counterTotal(label: "websocket.\(role).messages", dimensions: dimensions) == 2)
                #expect(metrics.counterTotal(label: "websocket.\(role).io", dimensions: dimensions) == 8)
            }
        }
    }

    @Test(
        "no label and no dimension shows a credential, a cookie or a query's token, however the connect ends",
        arguments: ["/rooms/7", "/orders", "/old", "/slow", "/nowhere"]
    )
    func secrets(_ path: String) async throws {
        let mark = "cNrY7qZ"
        let server = TestMetrics()
        let client = TestMetrics()
        let url = "ws://example.com\(path)?access_token=\(mark)-query"
        let configure: (inout WebSocketClient.Configuration) -> Void = {
            $0.authentication.challengeHandler = BasicChallengeHandler(user: "joe", password: "\(mark)-password")
            $0.headers[.cookie] = "session=\(mark)-cookie"
            $0.extended.headers[HTTPField.Name("X-Api-Key")!] = "\(mark)-field"
        }
        try? await self.play(url, server: server, client: client, configure: configure)
        var shown: [String] = []
        for metrics in [server, client] {
            shown += metrics.counters.map { "\($0.label) \($0.dimensions)" }
            shown += metrics.meters.map { "\($0.label) \($0.dimensions)" }
            shown += metrics.recorders.map { "\($0.label) \($0.dimensions)" }
            shown += metrics.timers.map { "\($0.label) \($0.dimensions)" }
        }
        #expect(shown.contains { $0.contains("example.com") })
        for spelling in SecretSpellings.of(mark) {
            #expect(!shown.contains { $0.contains(spelling) }, "\(shown)")
        }
    }

    @Test("a thousand close codes and hosts of redirects make few dimensions")
    func cardinality() async throws {
        let server = TestMetrics()
        let client = TestMetrics()
        for code in stride(from: UInt16(3000), to: 5000, by: 40) {
            try await self.play("ws://example.com/rooms/\(code)", server: server, client: client) { socket in
                try await socket.close(code: WebSocketCloseCode(rawValue: code))
            }
        }
        #expect(server.timers(label: "websocket.server.connection.duration").count == 2)
        #expect(client.timers(label: "websocket.client.connection.duration").count == 2)
        #expect(server.timers.count == 4)
    }
}
