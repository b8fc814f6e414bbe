// Handshakes traced with a tracer in memory: which span is whose child, on both ends, and where a trace context goes.

import HTTPTypes
import InMemoryTracing
import KHPClient
import KHPServer
import KHPTesting
import KHPTracing
import NIOCore
import Testing
import Tracing

@Suite("Tracing", .timeLimit(.minutes(1)))
struct TracingTests {
    /// Serves and connects in a span of the caller's, all with one tracer.
    private func play(
        _ url: String,
        _ tracer: InMemoryTracer,
        injectsEverywhere: Bool = false,
        _ configure: (inout WebSocketClient.Configuration) -> Void = { _ in }
    ) async throws {
        var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
        configuration.instruments = [ServerTracing(tracer: tracer)]
        var guarded = Endpoint.Options()
        guarded.authentication = ServerAuthentication(
            realm: "desk",
            .basic { user, _ in tracer.withSpan("find user") { _ in Principal(user) } }
        )
        let pipe = try EndpointPipe(
            configuration: configuration,
            endpoints: [
                Endpoint("/rooms/{id}") { _ in tracer.withSpan("join room") { _ in } },
                Endpoint("/orders", options: guarded) { _ in },
                Endpoint("/old") { request in
                    let target = "ws://other.example/rooms/1?token=\(Self.mark)-secret"
                    return request.layer == .opening ? .complete() : .redirect(to: target)
                },
                Endpoint("/slow") { request in
                    request.layer == .opening ? .complete() : .processing { .noContent }
                },
                Endpoint("/broken") { _ in HandshakeResponse(status: 500) },
            ]
        )
        var settings = WebSocketClient.Configuration()
        settings.instruments = [ClientTracing(tracer: tracer, injectsEverywhere: injectsEverywhere)]
        settings.authentication.challengeHandler = BasicChallengeHandler(user: "joe", password: "welcome")
        configure(&settings)
        let client = pipe.client(settings)
        let result: Result<Void, any Error>
        do {
            try await tracer.withSpan("page") { _ in
                try await client.withConnection(to: url) { _ = try await $0.closed() }
            }
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await pipe.shutDown()
        try result.get()
    }

    /// `name < parent's name`, in the order of their starts.
    private func tree(_ tracer: InMemoryTracer) -> [String] {
        let spans = tracer.finishedSpans
        let names = Dictionary(spans.map { ($0.spanID, $0.operationName) }) { first, _ in first }
        return spans.sorted { $0.startInstant.nanosecondsSinceEpoch < $1.startInstant.nanosecondsSinceEpoch }
            .map { span in "\(span.operationName) < \(span.parentSpanID.map { names[$0] ?? "?" } ?? "-")" }
    }

    @Test("one trace from the caller's span to the span that the handler makes")
    func oneTrace() async throws {
        let tracer = InMemoryTracer()
        try await self.play("ws://example.com/rooms/7", tracer)
        #expect(
            Set(self.tree(tracer)) == [
                "page < -", "WEBSOCKET CONNECT example.com < page", "hop < WEBSOCKET CONNECT example.com", "GET < hop",
                "khp GET < hop", "GET /rooms/{id} < hop", "khp GET /rooms/{id} < hop",
                "join room < khp GET /rooms/{id}",
            ]
        )
        #expect(tracer.activeSpans.isEmpty)
        #expect(Set(tracer.finishedSpans.map(\.traceID)).count == 1)
        let server = try #require(tracer.finishedSpans.first { $0.operationName == "GET /rooms/{id}" })
        #expect(server.attributes["http.route"]?.toSpanAttribute() == .string("/rooms/{id}"))
        #expect(server.attributes["http.response.status_code"]?.toSpanAttribute() == .int64(101))
        #expect(server.kind == .server)
    }

    @Test("a challenge is answered below the span of its request")
    func challenges() async throws {
        let tracer = InMemoryTracer()
        try await self.play("ws://example.com/orders", tracer)
        let tree = self.tree(tracer)
        #expect(tree.filter { $0 == "khp GET /orders < hop" }.count == 2)
        #expect(tree.filter { $0 == "khp GET < hop" }.count == 2)
        #expect(tree.contains("find user < khp GET /orders"))
        let hop = try #require(tracer.finishedSpans.first { $0.operationName == "hop" })
        #expect(hop.events.map(\.name) == ["challenge"])
        #expect(tracer.activeSpans.isEmpty)
    }

    @Test("a redirect to another origin carries no trace context, unless that is asked for", arguments: [false, true])
    func redirects(injectsEverywhere: Bool) async throws {
        let tracer = InMemoryTracer()
        try await self.play("ws://example.com/old", tracer, injectsEverywhere: injectsEverywhere)
        let tree = self.tree(tracer)
        #expect(tree.filter { $0 == "hop < WEBSOCKET CONNECT example.com" }.count == 2)
        #expect(tree.contains("khp GET /old < hop"))
        #expect(tree.contains("GET /rooms/{id} < \(injectsEverywhere ? "hop" : "-")"))
        #expect(tracer.activeSpans.isEmpty)
        #expect(Self.leak(in: tracer) == nil)
    }

    /// The beginning of each secret.
    private static let mark = "cNrY7qZ"

    /// A span that shows a secret, in any spelling.
    private static func leak(in tracer: InMemoryTracer) -> String? {
        let spellings = SecretSpellings.of(Self.mark)
        return tracer.finishedSpans.lazy.map { span in
            var text = "\(span)\n"
            dump(span, to: &text)
            return text
        }.first { text in spellings.contains { text.contains($0) } }
    }

    @Test(
        "no span shows a credential, a cookie or a query's token, however the connect ends",
        arguments: ["/rooms/7", "/orders", "/old", "/slow", "/broken", "/nowhere"]
    )
    func secrets(_ path: String) async throws {
        let tracer = InMemoryTracer()
        let url = "ws://example.com\(path)?access_token=\(Self.mark)-query"
        try? await self.play(url, tracer) {
            $0.authentication.challengeHandler = BasicChallengeHandler(user: "joe", password: "\(Self.mark)-password")
            $0.headers[.cookie] = "session=\(Self.mark)-cookie"
            $0.extended.headers[HTTPField.Name("X-Api-Key")!] = "\(Self.mark)-field"
        }
        #expect(tracer.finishedSpans.contains { $0.operationName.hasPrefix("WEBSOCKET CONNECT") })
        #expect(Self.leak(in: tracer) == nil)
        // A secret would be seen.
        tracer.withSpan("shown") { $0.attributes["url.query"] = "a=\(Self.mark)-query" }
        #expect(Self.leak(in: tracer) != nil)
    }

    @Test("a 202 is one span, until the response that follows it")
    func processing() async throws {
        let tracer = InMemoryTracer()
        try await self.play("ws://example.com/slow", tracer)
        let span = try #require(tracer.finishedSpans.first { $0.operationName == "khp GET /slow" })
        #expect(span.attributes["http.response.status_code"]?.toSpanAttribute() == .int64(204))
        #expect(tracer.activeSpans.isEmpty)
    }

    @Test("failures end their spans with an error")
    func failures() async throws {
        for path in ["/broken", "/nowhere"] {
            let tracer = InMemoryTracer()
            await #expect(throws: WebSocketError.self) { try await self.play("ws://example.com\(path)", tracer) }
            let connect = try #require(
                tracer.finishedSpans.first { $0.operationName == "WEBSOCKET CONNECT example.com" }
            )
            #expect(connect.status?.code == .error)
            #expect(connect.attributes["error.type"] != nil)
            #expect(tracer.activeSpans.isEmpty, "\(path)")
        }
    }

    @Test("the name and each address that is tried are spans of their hop")
    func transport() async throws {
        let server = WebSocketServer(configuration: .init(address: .hostname("127.0.0.1", port: 0))) {
            Endpoint("/") { _ in }
        }
        let run = Task { try await server.run() }
        let port = try await server.boundAddress().port ?? 0
        let tracer = InMemoryTracer()
        var settings = WebSocketClient.Configuration()
        settings.instruments = [ClientTracing(tracer: tracer)]
        try await WebSocketClient(configuration: settings).withConnection(to: "ws://localhost:\(port)/") {
            _ = try await $0.closed()
        }
        run.cancel()
        _ = try? await run.value
        let tree = self.tree(tracer)
        #expect(tree.filter { $0 == "dns < hop" }.count == 1)
        #expect(tree.contains("tcp < hop"))
        let reached = tracer.finishedSpans.filter {
            $0.operationName == "tcp" && $0.attributes["error.type"] == nil
                && $0.attributes["network.peer.address"]?.toSpanAttribute() == .string("127.0.0.1:\(port)")
        }
        #expect(reached.count == 1)
        #expect(tracer.activeSpans.isEmpty)
    }

    @Test("steps that fail end their spans with an error, and those that another was faster than with none")
    func steps() throws {
        let tracer = InMemoryTracer()
        let url = try WebSocketURL("ws://example.com/")
        let connect = try #require(ClientTracing(tracer: tracer).connecting(to: url))
        // There is no hop yet.
        let early = connect.begins(TransportStep(.dns, "example.com"))
        #expect(early == nil)
        _ = connect.headers(for: InstrumentedRequest(layer: .opening, url: url, attempt: 1, isAtOrigin: true))
        let steps: [(TransportStep, WebSocketError?)] = [
            (TransportStep(.tcp, "192.0.2.1:80"), WebSocketError(.cancelled, "")),
            (TransportStep(.tls, "example.com"), WebSocketError(.tlsFailed, "")),
        ]
        for (step, failure) in steps {
            let end = try #require(connect.begins(step))
            end(failure)
        }
        let spans = tracer.finishedSpans
        #expect(spans.map(\.operationName) == ["tcp", "tls"])
        #expect(spans.map { $0.status?.code } == [nil, .error])
        #expect(
            spans.map { $0.attributes["error.type"]?.toSpanAttribute() } == [
                .string("cancelled"), .string("tls-failed"),
            ]
        )
    }

    @Test("a tracer that does nothing costs nothing")
    func noTracer() {
        #expect(ServerTracing(tracer: NoOpTracer()).accepted(ConnectionInfo(id: 1, role: .server, peer: "")) == nil)
    }
}
