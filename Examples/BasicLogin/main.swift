// A login with Basic inside the WebSocket: the extended handshake is answered with 401, and the client replays it with
// credentials on the same socket. Server and client share this process; over a network use TLS, since Basic is readable.
//
//     swift run --package-path Examples ExampleBasicLogin

import KHPClient
import KHPServer
import NIOCore

/// Stands for a look-up in a database that holds password hashes.
@Sendable func lookUp(user: String, password: String) async -> Principal? {
    guard user == "joe", password == "welcome" else { return nil }
    return Principal(user, roles: ["trader"])
}

let server = WebSocketServer(configuration: .init(address: .hostname("127.0.0.1", port: 0))) {
    Endpoint("/desk", options: .init(authentication: .init(realm: "desk", .basic(verify: lookUp)))) { socket in
        try await socket.send("Welcome, \(socket.negotiated.principal?.name ?? "nobody")!")
        for try await _ in socket.messages {}
    }
}
let running = Task { try await server.run() }
let url = "ws://127.0.0.1:\(try await server.boundAddress().port ?? 0)/desk"

// The same credentials whenever the server asks. A closure in their place can look at the realm, or ask a person.
var configuration = WebSocketClient.Configuration()
configuration.authentication.challengeHandler = BasicChallengeHandler(user: "joe", password: "welcome")
try await WebSocketClient(configuration: configuration).withConnection(to: url) { socket in
    for try await message in socket.messages.prefix(1) { print("server says:", message) }
    print("challenges answered:", socket.negotiated.challenges)
}

// Wrong credentials are refused; the error says so in words and in a code that can be switched on.
configuration.authentication.challengeHandler = BasicChallengeHandler(user: "joe", password: "guess")
do {
    try await WebSocketClient(configuration: configuration).withConnection(to: url) { _ in }
} catch let error as WebSocketError where error.code == .authenticationFailed {
    print("refused:", error.message)
}

// Cancelling a server drains it: open sockets are closed with 1001.
running.cancel()
try await running.value
