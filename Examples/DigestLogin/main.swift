// A login with Digest over keys from a users file: the password neither comes over the wire nor is known to the server.
// A session lasts a second here; then the server closes it, and whoever connects again has to log in again.
//
//     swift run --package-path Examples ExampleDigestLogin

import KHPClient
import KHPServer
import NIOCore

// The output of `khp hash --digest desk joe`; a server reads it from a file.
let key = DigestAlgorithm.sha256.key(user: "joe", realm: "desk", password: "welcome")
let users = try UsersFile("joe:desk:SHA-256:\(key)", name: "users")

let authentication = ServerAuthentication(
    realm: "desk",
    users.digest(realm: "desk"),
    sessionLifetime: .seconds(1)
)
let server = WebSocketServer(configuration: .init(address: .hostname("127.0.0.1", port: 0))) {
    Endpoint("/desk", options: .init(authentication: authentication)) { socket in
        try await socket.send("Welcome, \(socket.negotiated.principal?.name ?? "nobody")!")
        for try await _ in socket.messages {}
    }
}
let running = Task { try await server.run() }
let url = "ws://127.0.0.1:\(try await server.boundAddress().port ?? 0)/desk"

var configuration = WebSocketClient.Configuration()
configuration.authentication.challengeHandler = LoginChallengeHandler(user: "joe", password: "welcome")
configuration.observe = { event, _ in
    if case .challenge(let scheme, let realm, let layer, _) = event {
        print("asked for \(scheme) in \(realm ?? "no realm"), in the \(layer) handshake")
    }
}
let client = WebSocketClient(configuration: configuration)
for _ in 1...2 {
    let socket = try await client.connect(to: url)
    for try await message in socket.messages { print("server says:", message) }
    let end = try await socket.closed()
    print("closed with \(end.code?.rawValue ?? 0): \(end.reason)")
}

running.cancel()
try await running.value
