// Endpoints in memory, with all that stands between a client and a handler on a server.

import KHPClient
import KHPServer
import KHPTesting
import NIOCore
import Synchronization
import Testing

@Suite("Endpoints in memory")
struct EndpointPipeTests {
    private static func client(
        _ pipe: EndpointPipe,
        _ policy: ExtendedHandshakePolicy = .preferred,
        _ change: (inout WebSocketClient.Configuration) -> Void = { _ in }
    ) -> WebSocketClient {
        var configuration = WebSocketClient.Configuration()
        configuration.extended.policy = policy
        change(&configuration)
        return pipe.client(configuration)
    }

    private static func status(_ client: WebSocketClient, _ path: String) async -> Int? {
        let error = await #expect(throws: WebSocketError.self) {
            try await client.connect(to: "ws://example.com\(path)")
        }
        return error?.response?.status
    }

    @Test("origins, authentication and respond decide", arguments: [ExtendedHandshakePolicy.required, .off])
    func decisions(_ policy: ExtendedHandshakePolicy) async throws {
        let authentication = ServerAuthentication(realm: "desk", .basic { $1 == "welcome" ? Principal($0) : nil })
        let origins = try OriginPolicy.allowing(["https://example.com"])
        let pipe = try EndpointPipe {
            Endpoint("/page", options: .init(origins: origins)) { try await $0.send("page") }
            Endpoint("/desk", options: .init(authentication: authentication)) { socket, request in
                try await socket.send(request.principal?.name ?? "")
            }
            Endpoint("/old") { _ in .redirect(to: "/slow") }
            Endpoint("/slow") { _ in
                .processing { .complete() }
            } handler: {
                try await $0.send("slow")
            }
            Endpoint("/closed") { _ in .refuse(409) }
        }
        let plain = Self.client(pipe, policy)
        let stranger = Self.client(pipe, policy) { $0.origin = "https://other.example" }
        #expect(await Self.status(stranger, "/page") == 403)
        #expect(await Self.status(plain, "/none") == 404)
        #expect(await Self.status(plain, "/closed") == 409)
        #expect(await Self.status(plain, "/desk") == 401)
        let guess = Self.client(pipe, policy) {
            $0.authentication.challengeHandler = BasicChallengeHandler(user: "joe", password: "x")
        }
        #expect(await Self.status(guess, "/desk") == 401)
        let right = Self.client(pipe, policy) {
            $0.origin = "https://example.com"
            $0.authentication.challengeHandler = BasicChallengeHandler(user: "joe", password: "welcome")
        }
        for (path, greeting) in [("/page", "page"), ("/desk", "joe"), ("/old", "slow"), ("/slow", "slow")] {
            try await right.withConnection(to: "ws://example.com\(path)") { socket in
                let message = try await socket.receive()
                #expect(message == .text(greeting))
                #expect(socket.negotiated.redirects.count == (path == "/old" ? 1 : 0))
            }
        }
        await pipe.shutDown()
    }

    @Test("messages of any size pass, and a slow reader holds the writer back")
    func messages() async throws {
        let pipe = try EndpointPipe {
            Endpoint("/echo") { socket in
                for try await message in socket.messages { try await socket.send(message) }
            }
        }
        try await Self.client(pipe).withConnection(to: "ws://example.com/echo") { socket in
            for size in [0, 1, 125, 65_536, 1_000_000] {
                let bytes = ByteBuffer(repeating: 7, count: size)
                try await socket.send(bytes)
                let message = try await socket.receive()
                #expect(message == .binary(bytes))
            }
            let sent = Task {
                for number in 0..<200 {
                    try await socket.send(.binary(ByteBuffer(repeating: UInt8(number), count: 20_000)))
                }
            }
            for number in 0..<200 {
                let expected = ByteBuffer(repeating: UInt8(number), count: 20_000)
                let message = try await socket.receive()
                #expect(message == .binary(expected))
            }
            try await sent.value
            let roundTrip = try await socket.ping()
            #expect(roundTrip > .zero)
        }
        await pipe.shutDown()
    }

    @Test("the handler sees the peer, its end and a shutdown; contexts are released")
    func life() async throws {
        let released = Mutex<[String]>([])
        let peer = try SocketAddress(ipAddress: "192.0.2.7", port: 4711)
        let pipe = try EndpointPipe {
            Endpoint(
                "/x",
                context: { request in request.peer?.ipAddress ?? "nobody" },
                release: { value in released.withLock { $0.append(value) } }
            ) { socket, _, value in
                try await socket.send(value)
                for try await _ in socket.messages {}
            }
        }
        let client = pipe.client(from: peer)
        let closed = try await client.connect(to: "ws://example.com/x")
        #expect(try await closed.receive() == .text("192.0.2.7"))
        #expect(try await closed.close().clean)
        let left = try await pipe.client().connect(to: "ws://example.com/x")
        #expect(try await left.receive() == .text("nobody"))
        await pipe.shutDown()
        let end = try await left.closed()
        #expect(end.code == .goingAway && end.clean)
        #expect(released.withLock { $0 } == ["192.0.2.7", "nobody"])
        await #expect(throws: WebSocketError.self) { try await client.connect(to: "ws://example.com/x") }
    }

    @Test("endpoints that make no sense are refused")
    func invalid() {
        #expect(throws: WebSocketError.self) {
            try EndpointPipe {
                Endpoint("/a/{x}") { _, _ in }
                Endpoint("/{y}/b") { _, _ in }
            }
        }
    }
}
