// A server's endpoints tried without a socket: the way for an application's own tests.

import KHPClient
import KHPServer
import KHPTesting
import Testing

@Suite("Endpoints in memory")
struct EndpointTests {
    @Test("a room welcomes whoever comes")
    func welcome() async throws {
        let pipe = try EndpointPipe {
            Endpoint("/rooms/{id}") { socket, request in
                let id = try request.parameters.require("id", as: Int.self)
                try await socket.send("Welcome to room \(id).")
            }
        }
        try await pipe.client().withConnection(
            to: "ws://example.com/rooms/7"
        ) { socket in
            let welcome = try await socket.receive()
            #expect(welcome == .text("Welcome to room 7."))
        }
        await pipe.shutDown()
    }

    @Test("a stranger is refused")
    func stranger() async throws {
        let pipe = try EndpointPipe {
            Endpoint("/desk", options: .init(authentication: .init(realm: "desk", .bearer { _ in nil }))) {
                try await $0.send("never")
            }
        }
        var configuration = WebSocketClient.Configuration()
        configuration.authentication.challengeHandler = TokenChallengeHandler(token: "guess")
        let client = pipe.client(configuration)
        let error = await #expect(throws: WebSocketError.self) {
            try await client.connect(to: "ws://example.com/desk")
        }
        #expect(error?.code == .authenticationFailed)
        await pipe.shutDown()
    }
}
