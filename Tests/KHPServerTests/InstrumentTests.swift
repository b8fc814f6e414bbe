// Instruments of both ends: the steps that they are told of, the application's code inside them, and the headers that they
// add to each request.

import HTTPTypes
import KHPClient
import KHPServer
import KHPTesting
import NIOCore
import Synchronization
import TestSupport
import Testing

@Suite("Instruments", .timeLimit(.minutes(1)))
struct InstrumentTests {
    @TaskLocal static var currentSpan = "none"

    /// Notes the steps, and runs the application inside a task-local value.
    final class Recorder: ServerInstrument, ClientInstrument, ServerConnectionInstrument, ConnectInstrument {
        let span: String
        let steps = Mutex<[String]>([])
        let requests = Mutex<[String]>([])
        let seen = Mutex<[String]>([])
        /// A header to add to each request at the origin.
        let field: HTTPField.Name?
        let observesFrames: Bool
        let (ends, end) = AsyncStream.makeStream(of: Void.self)

        init(span: String = "span", field: HTTPField.Name? = nil, observesFrames: Bool = false) {
            self.span = span
            self.observesFrames = observesFrames
            self.field = field
        }

        func accepted(_ connection: ConnectionInfo) -> (any ServerConnectionInstrument)? { self }
        func connecting(to url: WebSocketURL) -> (any ConnectInstrument)? { self }
        func observe(_ event: ConnectionEvent, _ connection: ConnectionInfo) { self.observe(event) }

        func observe(_ event: ConnectionEvent) {
            self.steps.withLock { $0.append(InstrumentTests.name(of: event)) }
            switch event {
            case .closed, .failed: self.end.yield()
            default: break
            }
        }

        func run<Value>(_ body: nonisolated(nonsending) () async throws -> Value) async rethrows -> Value {
            try await InstrumentTests.$currentSpan.withValue("\(InstrumentTests.currentSpan)/\(self.span)") {
                try await body()
            }
        }

        func headers(for request: InstrumentedRequest) -> HTTPFields {
            let place = request.isAtOrigin ? "origin" : "elsewhere"
            self.requests.withLock { $0.append("\(request.attempt) \(request.layer) \(place)") }
            guard let field, request.isAtOrigin else { return HTTPFields() }
            return [field: "\(request.layer)-\(request.attempt)"]
        }

        /// Waits for the last step of a connection.
        func ended() async {
            var iterator = self.ends.makeAsyncIterator()
            await iterator.next()
        }
    }

    static func name(of event: ConnectionEvent) -> String {
        switch event {
        case .connecting: "connecting"
        case .connected: "connected"
        case .openingRequest: "opening request"
        case .routed(let endpoint): "routed \(endpoint)"
        case .openingResponse(_, let status): "opening \(status)"
        case .extendedRequest: "extended request"
        case .extendedResponse(_, let status, _, _): "extended \(status)"
        case .open: "open"
        case .closed(let info): "closed \(info.code.map { "\($0.rawValue)" } ?? "-")"
        case .failed(let error): "failed \(error.code)"
        case .redirect(_, _, let status, _): "redirect \(status)"
        case .challenge: "challenge"
        case .frameReceived, .frameSent: "frame"
        default: "other"
        }
    }

    private static func configuration(_ instruments: [any ServerInstrument]) -> WebSocketServer.Configuration {
        var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
        configuration.instruments = instruments
        return configuration
    }

    @Test("both ends are told of each step in order, and of no frame", arguments: [false, true])
    func steps(isObserved: Bool) async throws {
        let server = Recorder()
        let client = Recorder()
        let frames = Mutex(0)
        var configuration = Self.configuration([server])
        if isObserved { configuration.observe = { event, _ in if event.isFrame { frames.withLock { $0 += 1 } } } }
        let pipe = try EndpointPipe(configuration: configuration) {
            Endpoint("/rooms/{id}") { socket in
                for try await message in socket.messages { try await socket.send(message) }
            }
        }
        var settings = WebSocketClient.Configuration()
        settings.instruments = [client]
        if isObserved { settings.observe = configuration.observe }
        try await pipe.client(settings).withConnection(to: "ws://example.com/rooms/7") { socket in
            try await socket.send("hello")
            #expect(try await socket.receive() == .text("hello"))
            _ = try await socket.ping()
        }
        await server.ended()
        await client.ended()
        await pipe.shutDown()
        let extended = ["extended request", "extended 101", "open"]
        #expect(
            client.steps.withLock { $0 } == ["connecting", "connected", "opening request", "opening 101"]
                + extended + ["other", "closed 1000"]
        )
        #expect(
            server.steps.withLock { $0 } == ["connected", "opening request", "routed /rooms/{id}", "opening 101"]
                + extended + ["closed 1000"]
        )
        #expect(frames.withLock { $0 > 0 } == isObserved)
    }

    @Test("an instrument that asks for frames is told of them, and the others are not")
    func frames() async throws {
        let servers = [Recorder(observesFrames: true), Recorder()]
        let clients = [Recorder(), Recorder(observesFrames: true)]
        let pipe = try EndpointPipe(configuration: Self.configuration(servers)) {
            Endpoint("/") { socket in try await socket.send("hello") }
        }
        var settings = WebSocketClient.Configuration()
        settings.instruments = clients
        try await pipe.client(settings).run(to: "ws://example.com/") { Listener() }
        for recorder in servers + clients { await recorder.ended() }
        await pipe.shutDown()
        let told = (servers + clients).map { $0.steps.withLock { $0.contains("frame") } }
        #expect(told == [true, false, false, true])
    }

    @Test("authentication, context, respond and the handler run inside the instruments, the first outermost")
    func runs() async throws {
        let seen = Mutex<[String]>([])
        @Sendable func note(_ place: String) { seen.withLock { $0.append("\(place) \(Self.currentSpan)") } }
        var options = Endpoint.Options()
        options.authentication = ServerAuthentication(
            realm: "desk",
            .basic { user, _ in
                note("login")
                return Principal(user)
            }
        )
        let pipe = try EndpointPipe(
            configuration: Self.configuration([Recorder(span: "outer"), Recorder(span: "inner")]),
            endpoints: [
                Endpoint(
                    "/orders",
                    options: options,
                    context: { _ in
                        note("context")
                        return 7
                    },
                    handler: { _, _, _ in note("handler") }
                ),
                Endpoint("/later") { request in
                    guard request.layer == .extended else { return .complete() }
                    note("respond")
                    return .processing {
                        note("next")
                        return .noContent
                    }
                } handler: { _ in
                    note("later")
                },
            ]
        )
        var settings = WebSocketClient.Configuration()
        settings.authentication.challengeHandler = BasicChallengeHandler(user: "joe", password: "welcome")
        try await pipe.client(settings).run(to: "ws://example.com/orders") { Listener() }
        try await pipe.client().run(to: "ws://example.com/later") { Listener() }
        await pipe.shutDown()
        let all = seen.withLock { $0 }
        #expect(
            all.map { String($0.split(separator: " ")[0]) } == [
                "login", "context", "handler", "respond", "next", "later",
            ]
        )
        #expect(all.allSatisfy { $0.hasSuffix(" none/outer/inner") })
    }

    @Test("headers are added to each request of each hop, and an instrument knows which lead away from the origin")
    func headers() async throws {
        let name = try #require(HTTPField.Name("traceparent"))
        let seen = Mutex<[String]>([])
        @Sendable func note(_ request: HandshakeRequest) {
            let all = [request.headers[name] ?? "-", request.extended?.headerFields[name] ?? "-"]
            seen.withLock { $0.append("\(request.layer) \(all.joined(separator: " "))") }
        }
        let pipe = try EndpointPipe {
            Endpoint("/old") { request in
                note(request)
                return request.layer == .opening ? .complete() : .redirect(to: "ws://other.example/new")
            }
            Endpoint("/new") { socket, request in note(request) }
        }
        let recorder = Recorder(field: name)
        var settings = WebSocketClient.Configuration()
        settings.instruments = [recorder, Recorder()]
        settings.headers[.userAgent] = "terminal"
        try await pipe.client(settings).run(to: "ws://example.com/old") { Listener() }
        await pipe.shutDown()
        #expect(
            recorder.requests.withLock { $0 } == [
                "1 opening origin", "1 extended origin", "2 opening elsewhere", "2 extended elsewhere",
            ]
        )
        #expect(seen.withLock { $0 } == ["extended opening-1 extended-1", "extended - -"])
        #expect(recorder.steps.withLock { $0.contains("redirect 302") })
    }

    @Test("a header that no caller may set fails the connect, from an instrument too")
    func forbidden() async throws {
        let pipe = try EndpointPipe { Endpoint("/") { _ in } }
        var settings = WebSocketClient.Configuration()
        settings.instruments = [Recorder(field: .secWebSocketKey)]
        let error = await #expect(throws: WebSocketError.self) {
            try await pipe.client(settings).run(to: "ws://example.com/") { Listener() }
        }
        await pipe.shutDown()
        #expect(error?.code == .invalidArgument)
    }

    final class Listener: MessageHandler {
        func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {}
    }

    /// Notes the clients that proxies name, and the statuses of the answers.
    private final class Names: ServerInstrument, ServerConnectionInstrument {
        let all = Mutex<[String]>([])

        func accepted(_ connection: ConnectionInfo) -> (any ServerConnectionInstrument)? { self }

        func named(_ client: SocketAddress) { self.all.withLock { $0.append(client.ipAddress ?? "-") } }

        func observe(_ event: ConnectionEvent) {
            guard case .openingResponse(_, let status) = event else { return }
            self.all.withLock { $0.append("\(status)") }
        }
    }

    @Test("a client that a proxy names is told of ahead of its answer, for each request and whoever answers")
    func named() async throws {
        let names = Names()
        try await withServer {
            $0.instruments = [names]
            $0.proxyProtocol = .required(from: ["127.0.0.1"])
            $0.clientAddress = .forwarded(.xForwardedFor, trusted: ["203.0.113.9"])
            $0.serveHTTP = { exchange in try await exchange.respond(HandshakeResponse(status: 200)) }
        } endpoints: {
            echo()
        } body: { port in
            // A line of HTTP, the field of a proxy and the answer's status.
            let page = { (field: String) in "GET /page HTTP/1.1\r\nHost: a\r\n\(field)\r\n" }
            let field = "X-Forwarded-For: 198.51.100.7\r\n"
            for (header, requests, told) in [
                ("PROXY UNKNOWN\r\n", [openingRequest("/no")], ["404"]),
                ("PROXY TCP4 203.0.113.8 127.0.0.1 1 80\r\n", [openingRequest("/no")], ["203.0.113.8", "404"]),
                (
                    "PROXY TCP4 203.0.113.9 127.0.0.1 1 80\r\n", [openingRequest("/no", extra: field)],
                    ["203.0.113.9", "198.51.100.7", "404"]
                ),
                (
                    "PROXY TCP4 203.0.113.8 127.0.0.1 1 80\r\n", [page(""), page("Connection: close\r\n")],
                    ["203.0.113.8", "200", "203.0.113.8", "200"]
                ),
            ] {
                names.all.withLock { $0 = [] }
                let client = try await RawClient.connect(port)
                try await client.send(header + requests.joined())
                _ = try await client.receiveAll()
                try? await client.close()
                #expect(names.all.withLock { $0 } == told)
            }
        }
    }
}
