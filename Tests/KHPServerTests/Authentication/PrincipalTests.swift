// Each scheme's principal, on its way from the verifying closure to the request, the handler and the end of the session.

import KHPClient
import KHPServer
import NIOCore
import Synchronization
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite("Principals of each scheme")
struct PrincipalTests {
    /// Answers with an Authorization of its own.
    private struct OwnHandler: ChallengeHandler {
        func respond(to request: ChallengeRequest) async -> Credentials? { .authorization("Own right") }
    }

    private static let login = LoginChallengeHandler(user: "joe", password: "welcome")
    private static let token = TokenChallengeHandler(token: "abc")
    private static let hash = DigestAlgorithm.sha256.key(user: "joe", realm: "desk", password: "welcome")

    /// A scheme that yields `principal`, and a client's answer to it.
    private static func schemes(
        _ principal: Principal?
    ) -> [(name: String, scheme: AuthenticationScheme, handler: any ChallengeHandler)] {
        [
            ("basic", .basic { $1 == "welcome" ? principal : nil }, Self.login),
            ("digest", .digest(principal: { _ in principal }, password: { _ in "welcome" }), Self.login),
            ("digest by keys", .digest(principal: { _ in principal }, key: { _, _, _ in Self.hash }), Self.login),
            ("bearer", .bearer { $0 == "abc" ? principal : nil }, Self.token),
            ("token", .token { $0 == "abc" ? principal : nil }, Self.token),
            ("own", .custom(challenge: "Own") { $0 == "Own right" ? principal : nil }, OwnHandler()),
        ]
    }

    /// Connects to an endpoint with one scheme.
    /// - Returns: the principals that `respond`, the handler's request and its socket saw.
    private func seen(
        _ scheme: AuthenticationScheme,
        _ handler: any ChallengeHandler,
        _ policy: ExtendedHandshakePolicy
    ) async throws -> [Principal?] {
        let seen = Mutex<[Principal?]>([])
        let authentication = ServerAuthentication(realm: "desk", scheme)
        try await withServer {
            Endpoint("/", options: .init(authentication: authentication)) { request in
                seen.withLock { $0.append(request.principal) }
                return .complete()
            } handler: { socket, request in
                seen.withLock { $0 += [request.principal, socket.negotiated.principal] }
            }
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            configuration.extended.policy = policy
            configuration.authentication.challengeHandler = handler
            let socket = try await WebSocketClient(configuration: configuration).connect(to: "ws://127.0.0.1:\(port)/")
            _ = try await socket.closed()
        }
        return seen.withLock { $0 }
    }

    @Test("a principal comes whole to respond and handler", arguments: [ExtendedHandshakePolicy.required, .off])
    func whole(_ policy: ExtendedHandshakePolicy) async throws {
        let plain = Principal("joe", roles: ["trader", "admin"], claims: ["desk": "7"], expires: .max)
        for (name, scheme, handler) in Self.schemes(plain) {
            var expected = plain
            expected.realm = "desk"
            #expect(try await self.seen(scheme, handler, policy) == [expected, expected, expected], "\(name)")
        }
    }

    @Test("a verifier may name another realm, and a users file gives names")
    func realm() async throws {
        let foreign = Principal("joe", realm: "example.com")
        let file = try UsersFile("joe:desk:SHA-256:\(Self.hash)\nrobot:abc", name: "users", allowsTokens: true)
        let rows: [(scheme: AuthenticationScheme, handler: any ChallengeHandler, expected: Principal)] = [
            (.bearer { _ in foreign }, Self.token, foreign),
            (file.digest(realm: "desk"), Self.login, Principal("joe", realm: "desk")),
            (file.bearer, Self.token, Principal("robot", realm: "desk")),
            (file.token, Self.token, Principal("robot", realm: "desk")),
        ]
        for row in rows {
            let seen = try await self.seen(row.scheme, row.handler, .off)
            #expect(seen == [row.expected, row.expected, row.expected])
        }
    }

    @Test(
        "neither a proof that has ended nor no principal lets a client in",
        arguments: [nil, Int64.min, 0, 1_700_000_000]
    )
    func ended(_ expires: Int64?) async throws {
        let principal = expires.map { Principal("joe", expires: $0) }
        for (name, scheme, handler) in Self.schemes(principal) {
            let error = await #expect(throws: WebSocketError.self) { try await self.seen(scheme, handler, .off) }
            #expect(error?.code == .authenticationFailed, "\(name)")
        }
    }

    @Test(
        "a session ends with the proof, though its lifetime would last",
        arguments: [ExtendedHandshakePolicy.required, .off]
    )
    func end(_ policy: ExtendedHandshakePolicy) async throws {
        let authentication = ServerAuthentication(
            realm: "desk",
            .bearer { _ in Principal("joe", expires: Int64(time(nil)) + 1) },
            sessionLifetime: .seconds(3600)
        )
        try await withServer {
            Endpoint("/", options: .init(authentication: authentication)) { socket in
                for try await _ in socket.messages {}
            }
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            configuration.extended.policy = policy
            configuration.authentication.challengeHandler = Self.token
            let socket = try await WebSocketClient(configuration: configuration).connect(to: "ws://127.0.0.1:\(port)/")
            let end = try await socket.closed()
            #expect(end.code == .policyViolation && end.clean)
            #expect(end.reason == "the session is over; authenticate again")
        }
    }
}
