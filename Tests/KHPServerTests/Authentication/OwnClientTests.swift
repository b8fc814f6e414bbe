import KHPClient
import KHPServer
import Synchronization
import TestSupport
import Testing

@Suite("Our client at each scheme of our server")
struct OwnClientTests {
    @Test(
        "right credentials open, wherever the challenge is made",
        arguments: [ServerAuthentication.Place.extended, .opening],
        [ExtendedHandshakePolicy.required, .off]
    )
    func right(_ place: ServerAuthentication.Place, _ extended: ExtendedHandshakePolicy) async throws {
        let digest: @Sendable ([DigestAlgorithm]) -> AuthenticationScheme = { algorithms in
            .digest(algorithms: algorithms, integrity: true) { $0 == "Jäsøn" ? "wélcome" : nil }
        }
        let login = LoginChallengeHandler(user: "Jäsøn", password: "wélcome")
        let cases: [(path: String, schemes: [AuthenticationScheme], handler: any ChallengeHandler)] = [
            ("/md5", [digest([.md5])], login), ("/sha256", [digest([.sha256])], login),
            ("/sha512", [digest([.sha512_256])], login), ("/session", [digest([.sha256Session])], login),
            ("/all", [.basic { _, _ in nil }, digest([.md5, .sha256, .sha512_256])], login),
            ("/bearer", [.bearer { $0 == "abc" ? "Jäsøn" : nil }], TokenChallengeHandler(token: "abc")),
            ("/token", [.token { $0 == "abc" ? "Jäsøn" : nil }], TokenChallengeHandler(token: "abc")),
        ]
        let endpoints = cases.map { path, schemes, _ in
            Endpoint(
                path,
                options: .init(
                    authentication: ServerAuthentication(
                        realm: "desk \"one\"",
                        schemes: schemes,
                        application: true,
                        challengeAt: place
                    )
                )
            ) { try await $0.send($0.negotiated.principal?.name ?? "nobody") }
        }
        try await withServer {
            endpoints
        } body: { port in
            for (path, _, handler) in cases {
                var configuration = WebSocketClient.Configuration()
                configuration.extended.policy = extended
                configuration.authentication.challengeHandler = handler
                let client = WebSocketClient(configuration: configuration)
                let url = "ws://127.0.0.1:\(port)\(path)?since=%2f1"
                try await client.withConnection(to: url) { socket in
                    #expect(socket.negotiated.challenges == 1, "\(path)")
                    for try await message in socket.messages { #expect(message == .text("Jäsøn"), "\(path)") }
                }
            }
        }
    }

    @Test("a wrong password is refused and sent once only", arguments: [ExtendedHandshakePolicy.required, .off])
    func wrong(_ extended: ExtendedHandshakePolicy) async throws {
        try await withServer {
            Endpoint("/desk", options: .init(authentication: .init(realm: "desk", .digest { _ in "welcome" }))) {
                (_: WebSocket) in
            }
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            configuration.extended.policy = extended
            configuration.authentication.challengeHandler = LoginChallengeHandler(user: "joe", password: "guess")
            let client = WebSocketClient(configuration: configuration)
            let error = await #expect(throws: WebSocketError.self) {
                try await client.connect(to: "ws://127.0.0.1:\(port)/desk")
            }
            #expect(error?.code == .authenticationFailed)
        }
    }

    @Test("a nonce that is too old is answered afresh, without asking anybody")
    func stale() async throws {
        // So short that each nonce is too old when it comes back, unless within the same microsecond.
        let nonces = DigestNonceOptions(lifetime: .zero)
        try await withServer {
            Endpoint(
                "/desk",
                options: .init(authentication: .init(realm: "desk", .digest { _ in "welcome" }, nonces: nonces))
            ) {
                (_: WebSocket) in
            }
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            let asked = Count()
            configuration.authentication.challengeHandler = LoginChallengeHandler { _ in
                asked.add()
                return (user: "joe", password: "welcome")
            }
            let client = WebSocketClient(configuration: configuration)
            let error = await #expect(throws: WebSocketError.self) {
                try await client.connect(to: "ws://127.0.0.1:\(port)/desk")
            }
            #expect(error?.code == .authenticationFailed)
            #expect(asked.value == 1)
        }
    }
}

private final class Count: Sendable {
    private let count = Mutex(0)

    var value: Int { self.count.withLock { $0 } }

    func add() { self.count.withLock { $0 += 1 } }
}
