// Endpoints that take the place of others while a server runs: each request goes by those in force when it comes, and what
// has begun keeps its own.

import KHPClient
import KHPProtocol
import KHPServer
import NIOCore
import Synchronization
import TestSupport
import Testing

@Suite("Endpoints replaced while a server runs") struct ReplacedEndpointsTests {
    /// An endpoint that says who it is and echoes.
    private static func named(_ path: String, _ name: String, options: Endpoint.Options = .init()) -> Endpoint {
        Endpoint(path, options: options) { socket in
            try await socket.send(.text(name))
            for try await message in socket.messages { try await socket.send(message) }
        }
    }

    private static func withServer(
        _ endpoints: [Endpoint],
        _ configure: (inout WebSocketServer.Configuration) -> Void = { _ in },
        _ body: (WebSocketServer, Int) async throws -> Void
    ) async throws {
        var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
        configuration.gracefulShutdownTimeout = .seconds(2)
        configure(&configuration)
        let server = WebSocketServer(configuration: configuration, endpoints: endpoints)
        let run = Task { try await server.run() }
        let result: Result<Void, any Error>
        do {
            let port = try await server.boundPort() ?? 0
            result = .success(try await body(server, port))
        } catch {
            result = .failure(error)
        }
        run.cancel()
        _ = try? await run.value
        try result.get()
    }

    /// The endpoint that a path has, or the status of the refusal.
    private static func answer(_ path: String, _ port: Int) async throws -> String {
        do {
            let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)\(path)")
            guard case .text(let name) = try await socket.receive() else { return "binary" }
            try await socket.close()
            return name
        } catch let error as WebSocketError {
            return error.response.map { "\($0.status)" } ?? "\(error)"
        }
    }

    @Test("the next request goes by the new ones, and a path that has gone gets 404")
    func nextRequest() async throws {
        try await Self.withServer([Self.named("/a", "a1"), Self.named("/b", "b1")]) { server, port in
            #expect(try await Self.answer("/a", port) == "a1")
            #expect(try await Self.answer("/c/x/y", port) == "404")
            try server.replaceEndpoints {
                Self.named("/a", "a2")
                Self.named("/c/{rest...}", "c2")
            }
            #expect(try await Self.answer("/a", port) == "a2")
            #expect(try await Self.answer("/b", port) == "404")
            for path in ["/c/", "/c/x", "/c/x/y"] { #expect(try await Self.answer(path, port) == "c2") }
            try server.replaceEndpoints([])
            #expect(try await Self.answer("/a", port) == "404")
        }
    }

    @Test("before a server runs, it starts with those that were put in last")
    func beforeRun() async throws {
        let configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
        let server = WebSocketServer(configuration: configuration) { Self.named("/a", "a1") }
        #expect(throws: WebSocketError.self) { try server.replaceEndpoints { Self.named("a", "no path") } }
        try server.replaceEndpoints { Self.named("/b", "b1") }
        let run = Task { try await server.run() }
        let port = try await server.boundPort() ?? 0
        #expect(try await Self.answer("/a", port) == "404")
        #expect(try await Self.answer("/b", port) == "b1")
        run.cancel()
        try await run.value
    }

    @Test("endpoints that make no sense are refused as at the start, and the old ones stay")
    func nonsense() async throws {
        let tables: [[Endpoint]] = [
            [Self.named("/a", "1"), Self.named("/a", "2")],
            [Self.named("/a/{x}", "1"), Self.named("/{y}/b", "2")],
            [Self.named("a", "1")],
            [Self.named("/new", "1"), Self.named("/x", "2", options: .init(subprotocols: ["no token"]))],
            [Self.named("/x", "1", options: .init(dialects: []))],
        ]
        try await Self.withServer([Self.named("/a", "a1")]) { server, port in
            for table in tables {
                do {
                    try server.replaceEndpoints(table)
                    Issue.record("such endpoints are taken")
                } catch let error as WebSocketError {
                    #expect(error.code == .invalidArgument)
                }
                #expect(try await Self.answer("/a", port) == "a1")
                #expect(try await Self.answer("/new", port) == "404")
            }
        }
    }

    @Test("a connection that was accepted before sends its request to those in force now")
    func acceptedBefore() async throws {
        try await Self.withServer([Self.named("/a", "a1")]) { server, port in
            let early = try await RawClient.connect(port)
            try await early.send("GET /b HTTP/1.1\r\n")
            try server.replaceEndpoints { Self.named("/b", "b2") }
            try await early.send(
                openingRequest("/b").split(separator: "\r\n", maxSplits: 1, omittingEmptySubsequences: false)[1]
                    .description
            )
            let answer = try await early.receive { String(buffer: $0).hasSuffix("b2") }
            #expect(String(buffer: answer).hasPrefix("HTTP/1.1 101 "))
            try await early.close()
        }
    }

    @Test("an open socket keeps its handler and its limits")
    func openSocket() async throws {
        var small = Endpoint.Limits()
        small.messages.messageBytes = 1000
        var large = Endpoint.Limits()
        large.messages.messageBytes = 5000
        let endpoint = Self.named("/a", "a1", options: .init(limits: large))
        try await Self.withServer([endpoint]) { [small] server, port in
            let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/a")
            #expect(try await socket.receive() == .text("a1"))
            try server.replaceEndpoints { Self.named("/a", "a2", options: .init(limits: small)) }
            let message = WebSocketMessage.text(String(repeating: "x", count: 4000))
            try await socket.send(message)
            #expect(try await socket.receive() == message)
            try await socket.close()
            let next = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/a")
            #expect(try await next.receive() == .text("a2"))
            try await next.send(message)
            await #expect(throws: WebSocketError.self) { while true { _ = try await next.receive() } }
            #expect(try await next.closed().code == .messageTooBig)
        }
    }

    @Test("an extended handshake that has begun is answered by the endpoint that it began at")
    func begunHandshake() async throws {
        let asked = AsyncStream.makeStream(of: Void.self)
        let goOn = AsyncStream.makeStream(of: Void.self)
        let first = Endpoint(
            "/a",
            respond: { request in
                guard request.authorization != nil else {
                    asked.continuation.yield()
                    for await _ in goOn.stream { break }
                    return .challenge("Basic realm=\"x\"")
                }
                return .complete()
            },
            handler: { try await $0.send("a1") }
        )
        try await Self.withServer([first]) { server, port in
            var configuration = WebSocketClient.Configuration()
            configuration.extended.policy = .required
            configuration.authentication.challengeHandler = BasicChallengeHandler(user: "joe", password: "welcome")
            let client = WebSocketClient(configuration: configuration)
            async let connecting = client.connect(to: "ws://127.0.0.1:\(port)/a")
            for await _ in asked.stream { break }
            try server.replaceEndpoints([])
            goOn.continuation.yield()
            let socket = try await connecting
            #expect(try await socket.receive() == .text("a1"))
            _ = try await socket.closed()
        }
    }

    @Test("requests that come while endpoints are replaced find those that are in both tables")
    func meanwhile() async throws {
        try await Self.withServer([Self.named("/a", "a")]) { server, port in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        for _ in 0..<25 {
                            let answer = try await Self.answer("/a", port)
                            #expect(answer == "a")
                        }
                    }
                }
                group.addTask {
                    for index in 0..<200 {
                        try server.replaceEndpoints {
                            Self.named("/\(index)", "other")
                            Self.named("/a", "a")
                        }
                        await Task.yield()
                    }
                }
                try await group.waitForAll()
            }
        }
    }
}
