import HTTPTypes
import KHPClient
import KHPServer
import NIOCore
import Synchronization
import TestSupport
import Testing

@Suite("An endpoint's `admit` is asked before credentials are looked at", .timeLimit(.minutes(1)))
struct AdmitTests {
    private final class Steps: Sendable {
        private let all = Mutex<[String]>([])
        func add(_ step: String) { self.all.withLock { $0.append(step) } }
        var taken: [String] { self.all.withLock { $0 } }
    }

    /// The status of a connect, 101 where it opened, and the steps of the server.
    private func connect(
        _ policy: ExtendedHandshakePolicy,
        challengeAt place: ServerAuthentication.Place = .extended,
        authenticates: Bool = true,
        admit: @escaping @Sendable (HandshakeRequest) async throws -> Void
    ) async throws -> (status: Int, steps: [String]) {
        let steps = Steps()
        var options = Endpoint.Options()
        options.admit = { request in
            steps.add("admit \(request.layer) \(request.attempt)")
            #expect((request.principal == nil) == (request.layer == .opening || place == .extended))
            #expect(request.client?.ipAddress == "127.0.0.1")
            #expect(request.offersExtendedHandshake == (policy == .required))
            try await admit(request)
        }
        if authenticates {
            let scheme = AuthenticationScheme.basic { user, _ in
                steps.add("verify")
                return Principal(user)
            }
            options.authentication = ServerAuthentication(realm: "desk", schemes: [scheme], challengeAt: place)
        }
        var status = 101
        try await withServer {
            Endpoint(
                "/desk",
                options: options,
                respond: { request in
                    steps.add("respond \(request.layer) \(request.attempt)")
                    return .complete()
                }
            ) { (_: WebSocket) in }
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            configuration.extended.policy = policy
            configuration.authentication.challengeHandler = LoginChallengeHandler(user: "joe", password: "x")
            do {
                let socket = try await WebSocketClient(configuration: configuration)
                    .connect(to: "ws://127.0.0.1:\(port)/desk")
                try await socket.close()
            } catch let error as WebSocketError {
                status = error.response?.status ?? 0
            }
        }
        return (status, steps.taken)
    }

    @Test("each request passes it, the opening of a client of the extended handshake too")
    func order() async throws {
        let plain = try await self.connect(.off) { _ in }
        #expect(plain.status == 101)
        #expect(plain.steps == ["admit opening 1", "admit opening 1", "verify", "respond opening 1"])
        let inside = try await self.connect(.required) { _ in }
        #expect(inside.status == 101)
        #expect(
            inside.steps == [
                "admit opening 1", "admit extended 1", "admit extended 2", "verify", "respond extended 2",
            ]
        )
        let outside = try await self.connect(.required, challengeAt: .opening) { _ in }
        #expect(outside.status == 101)
        #expect(outside.steps.suffix(3) == ["verify", "admit extended 2", "respond extended 2"])
        let open = try await self.connect(.required, authenticates: false) { _ in }
        #expect(open.steps == ["admit opening 1", "admit extended 1", "respond extended 1"])
    }

    @Test(
        "what it throws refuses, and nothing is verified",
        arguments: [HandshakeLayer.opening, .extended],
        [429, 500]
    )
    func refuses(_ layer: HandshakeLayer, _ status: Int) async throws {
        struct Broken: Error {}
        let (answer, steps) = try await self.connect(.required) { request in
            guard request.layer == layer else { return }
            if status == 500 { throw Broken() }
            throw HandshakeResponse.refuse(429, "Too many of you.\n")
        }
        #expect(answer == status)
        #expect(steps == (layer == .opening ? ["admit opening 1"] : ["admit opening 1", "admit extended 1"]))
    }

    @Test("an endpoint that asks nothing else asks it")
    func alone() async throws {
        var options = Endpoint.Options()
        options.admit = { _ in throw HandshakeResponse.refuse(403, "no\n") }
        try await withServer {
            Endpoint("/desk", options: options) { (_: WebSocket) in }
        } body: { port in
            for policy in [ExtendedHandshakePolicy.off, .required] {
                var configuration = WebSocketClient.Configuration()
                configuration.extended.policy = policy
                let error = await #expect(throws: WebSocketError.self) {
                    try await WebSocketClient(configuration: configuration)
                        .connect(to: "ws://127.0.0.1:\(port)/desk")
                }
                #expect(error?.response?.status == 403)
            }
        }
    }
}
