import KHPClient
import KHPServer
import Synchronization
import TestSupport
import Testing

@Suite("Basic authentication of an endpoint")
struct AuthenticationTests {
    private func connect(
        _ port: Int,
        user: String,
        password: String,
        extended: ExtendedHandshakePolicy = .preferred
    ) async throws -> HandshakeSummary {
        var configuration = WebSocketClient.Configuration()
        configuration.extended.policy = extended
        configuration.authentication.challengeHandler = BasicChallengeHandler(user: user, password: password)
        let client = WebSocketClient(configuration: configuration)
        return try await client.withConnection(to: "ws://127.0.0.1:\(port)/desk") { $0.negotiated }
    }

    @Test(
        "right credentials open the socket, wherever the challenge is made",
        arguments: [ServerAuthentication.Place.extended, .opening],
        [ExtendedHandshakePolicy.required, .off]
    )
    func right(_ place: ServerAuthentication.Place, _ extended: ExtendedHandshakePolicy) async throws {
        let principal = Mutex<String?>(nil)
        try await withServer {
            Endpoint(
                "/desk",
                options: .init(
                    authentication: .init(
                        realm: "desk",
                        .basic { $0 == "joe" && $1 == "wélcome" ? Principal($0) : nil },
                        challengeAt: place
                    )
                )
            ) { socket in
                principal.withLock { $0 = socket.negotiated.principal?.name }
            }
        } body: { port in
            let negotiated = try await self.connect(port, user: "joe", password: "wélcome", extended: extended)
            #expect(negotiated.challenges == 1)
        }
        #expect(principal.withLock { $0 } == "joe")
    }

    @Test("wrong credentials fail, and are sent once only")
    func wrong() async throws {
        let asked = Mutex(0)
        try await withServer {
            Endpoint(
                "/desk",
                options: .init(
                    authentication: .init(
                        realm: "desk",
                        .basic { _, _ in
                            asked.withLock { $0 += 1 }
                            return nil
                        },
                        application: true
                    )
                )
            ) { (_: WebSocket) in }
        } body: { port in
            await #expect { try await self.connect(port, user: "joe", password: "wrong") } throws: { error in
                (error as? WebSocketError)?.code == .authenticationFailed
            }
        }
        #expect(asked.withLock { $0 } == 1)
    }

    @Test("the third wrong answer is answered 403 (D18)")
    func attempts() async throws {
        try await withServer {
            Endpoint("/desk", options: .init(authentication: .init(realm: "desk", .basic { _, _ in nil }))) {
                (_: WebSocket) in
            }
        } body: { port in
            let count = Mutex(0)
            var configuration = WebSocketClient.Configuration()
            configuration.authentication.challengeHandler = BasicChallengeHandler { _ in
                let number = count.withLock { count in
                    count += 1
                    return count
                }
                return .basic(user: "joe", password: "\(number)")
            }
            let client = WebSocketClient(configuration: configuration)
            do {
                _ = try await client.connect(to: "ws://127.0.0.1:\(port)/desk")
                Issue.record("opened")
            } catch let error as WebSocketError {
                #expect(error.code == .authenticationFailed)
                #expect(error.response?.status == 403)
            }
            #expect(count.withLock { $0 } == 3)
        }
    }
}
