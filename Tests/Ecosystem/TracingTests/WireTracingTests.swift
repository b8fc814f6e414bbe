// Traces beyond one handshake over HTTP/1.1: ordinary exchanges, WebSockets over HTTP/2, and sockets that are opened again.

import InMemoryTracing
import KHPClient
import KHPHTTP2
import KHPServer
import KHPTesting
import KHPTracing
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import Testing
import Tracing

@Suite("Tracing ordinary HTTP, HTTP/2 and reconnection", .timeLimit(.minutes(1)))
struct WireTracingTests {
    /// Each span as `name < parent's name`, and how many there are of it.
    private func counts(_ tracer: InMemoryTracer) -> [String: Int] {
        let spans = tracer.finishedSpans
        let names = Dictionary(spans.map { ($0.spanID, $0.operationName) }) { first, _ in first }
        return spans.reduce(into: [:]) { counts, span in
            counts["\(span.operationName) < \(span.parentSpanID.map { names[$0] ?? "?" } ?? "-")", default: 0] += 1
        }
    }

    /// Serves while the body runs. The server has ended then, and its spans with it.
    private func serve(
        _ configuration: WebSocketServer.Configuration,
        @EndpointBuilder _ endpoints: () -> [Endpoint],
        body: (Int) async throws -> Void
    ) async throws {
        let server = WebSocketServer(configuration: configuration, endpoints: endpoints)
        let run = Task { try await server.run() }
        let port = try await server.boundPort() ?? 0
        do {
            try await body(port)
        } catch {
            run.cancel()
            throw error
        }
        run.cancel()
        try await run.value
    }

    /// All that a server answers to these bytes until it ends the connection.
    private func answers(of port: Int, to bytes: String) async throws -> String {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(string: bytes))
            var answers = ""
            for try await piece in inbound { answers += String(buffer: piece) }
            return answers
        }
    }

    private struct Lines: Injector {
        func inject(_ value: String, forKey key: String, into lines: inout String) {
            lines += "\(key): \(value)\r\n"
        }
    }

    @Test("each ordinary request is a span below the one that it names, and the application's code is below it")
    func ordinaryExchanges() async throws {
        let tracer = InMemoryTracer()
        var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
        configuration.instruments = [ServerTracing(tracer: tracer)]
        let isFirst = Mutex(true)
        configuration.serveHTTP = { exchange in
            tracer.withSpan("find page") { _ in }
            let finds = isFirst.withLock { isFirst in
                defer { isFirst = false }
                return isFirst
            }
            try await exchange.respond(finds ? .text("found\n") : .refuse(404))
        }
        try await self.serve(configuration) {
            Endpoint("/rooms/{id}") { _ in }
        } body: { port in
            try await tracer.withSpan("page") { span in
                var context = ""
                tracer.inject(span.context, into: &context, using: Lines())
                let requests =
                    "GET /page?token=secret HTTP/1.1\r\nHost: h\r\n\(context)\r\n"
                    + "GET /none HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
                let answers = try await self.answers(of: port, to: requests)
                #expect(answers.contains(" 200 ") && answers.contains(" 404 "))
            }
        }
        #expect(self.counts(tracer) == ["page < -": 1, "GET < page": 1, "GET < -": 1, "find page < GET": 2])
        #expect(tracer.activeSpans.isEmpty)
        let requests = tracer.finishedSpans.filter { $0.operationName == "GET" }
        let statuses = requests.map { $0.attributes["http.response.status_code"]?.toSpanAttribute() }
        #expect(Set(statuses.map { "\(String(describing: $0))" }).count == 2)
        #expect(requests.contains { $0.attributes["url.path"]?.toSpanAttribute() == .string("/page") })
    }

    @Test("a WebSocket over HTTP/2 is traced as one over HTTP/1.1")
    func http2() async throws {
        let made = try SelfSignedCertificate()
        let certificate = try NIOSSLCertificate(bytes: made.certificate, format: .pem)
        let tracer = InMemoryTracer()
        var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
        configuration.tls = .makeServerConfiguration(
            certificateChain: [.certificate(certificate)],
            privateKey: .privateKey(try NIOSSLPrivateKey(bytes: made.privateKey, format: .pem))
        )
        configuration.http2 = .init()
        configuration.instruments = [ServerTracing(tracer: tracer)]
        var settings = WebSocketClient.Configuration()
        settings.tls.trustRoots = .certificates([certificate])
        settings.http2 = .preferred
        settings.instruments = [ClientTracing(tracer: tracer)]
        let protocols = Mutex<[String?]>([])
        settings.observe = { event, _ in
            if case .connected(_, let tls) = event { protocols.withLock { $0.append(tls?.alpn) } }
        }
        let client = WebSocketClient(configuration: settings)
        try await self.serve(configuration) {
            Endpoint("/rooms/{id}") { _ in tracer.withSpan("join room") { _ in } }
        } body: { port in
            try await tracer.withSpan("page") { _ in
                try await client.withConnection(to: "wss://localhost:\(port)/rooms/7") { _ = try await $0.closed() }
            }
        }
        #expect(protocols.withLock { $0 } == ["h2"])
        var counts = self.counts(tracer)
        // How many addresses the name has is the machine's.
        #expect(counts.removeValue(forKey: "tcp < hop") ?? 0 > 0)
        #expect(
            counts == [
                "page < -": 1, "WEBSOCKET CONNECT localhost < page": 1, "hop < WEBSOCKET CONNECT localhost": 1,
                "dns < hop": 1, "tls < hop": 1,
                "GET < hop": 1, "khp GET < hop": 1, "GET /rooms/{id} < hop": 1, "khp GET /rooms/{id} < hop": 1,
                "join room < khp GET /rooms/{id}": 1,
            ]
        )
        #expect(Set(tracer.finishedSpans.map(\.traceID)).count == 1)
        #expect(tracer.activeSpans.isEmpty)
    }

    @Test("each connect of a reconnection is a span of its own below the caller's")
    func reconnection() async throws {
        let tracer = InMemoryTracer()
        let served = Mutex(0)
        var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
        configuration.instruments = [ServerTracing(tracer: tracer)]
        let pipe = try EndpointPipe(configuration: configuration) {
            Endpoint("/quotes") { socket in
                let number = served.withLock { count in
                    count += 1
                    return count
                }
                if number < 3 { try await socket.close(code: .serviceRestart) }
            }
        }
        var settings = WebSocketClient.Configuration()
        settings.instruments = [ClientTracing(tracer: tracer)]
        var policy = ReconnectPolicy()
        policy.initialDelay = .milliseconds(1)
        try await tracer.withSpan("page") { _ in
            try await pipe.client(settings).withReconnection(to: "ws://example.com/quotes", policy: policy) { socket in
                _ = try await socket.closed()
            }
        }
        await pipe.shutDown()
        #expect(
            self.counts(tracer) == [
                "page < -": 1, "WEBSOCKET CONNECT example.com < page": 3, "hop < WEBSOCKET CONNECT example.com": 3,
                "GET < hop": 3, "khp GET < hop": 3, "GET /quotes < hop": 3, "khp GET /quotes < hop": 3,
            ]
        )
        #expect(Set(tracer.finishedSpans.map(\.traceID)).count == 1)
        #expect(tracer.activeSpans.isEmpty)
    }
}
