// The admin address, asked in ways that it must not guess about.

import Foundation
import HTTPTypes
import KHPClient
import KHPServer
import Testing

@testable import KHPGateway

extension GatewayTests {
    /// None of them may close more than it seems to ask for, nor list less.
    private static let wrongQuestions = [
        ("POST /sessions/close?service=echo&principle=joe", "did you mean principal?"),
        ("POST /sessions/close?service=echo&service=relay", "service stands there twice"),
        ("POST /sessions/close?all=false", "all takes no value"),
        ("POST /sessions/close?service=echo&code=1005", "must not be sent"),
        ("POST /sessions/close?service=echo&code=no", "code is a number"),
        ("POST /sessions/close?service=echo&over=", "over is a number of seconds"),
        ("POST /sessions/close?service=echo&over=+5", "over is a number of seconds"),
        ("DELETE /sessions/0?service=echo", "it takes code, reason, over"),
        ("GET /sessions?principle=joe", "did you mean principal?"),
        ("GET /sessions?limit=0", "limit is a number from 1 to 1000"),
        ("POST /drain?time=5", "it takes over"),
        ("POST /drain?over=", "over is a number of seconds"),
        ("DELETE /drain?over=5", "it takes none"),
        ("POST /reload?force", "it takes none"),
        ("POST /pools/p/backends/b?action=drain&for=5", "it takes action"),
    ]

    @Test("an operator who asks wrongly is told so, and nothing happens")
    func wrongQuestionsToOperators() async throws {
        try await Self.withGateway { view in
            let first = try await WebSocketClient().connect(to: view.url("/echo"))
            for (question, words) in Self.wrongQuestions {
                let (status, body) = try await view.admin(question)
                #expect(status == 400 && body.contains(words), "\(question): \(status) \(body)")
            }
            #expect(try await view.admin("GET /load?now=1").status == 200)
            try await first.send("still here")
            #expect(try await first.receive() == .text("still here"))
            try await first.close()
        }
    }

    @Test("each service has a state: that of its pools, or the gateway's phase while it leaves")
    func states() async throws {
        var backend = 0
        try await Self.withGateway {
            backend = $0.pools[0].backends[0].port
            var other = $0.pools[0]
            other.name = "q"
            $0.pools.append(other)
            var routes = GatewayConfiguration.SubprotocolRoutes()
            routes.routes = ["p", "q"].map { .init(subprotocol: "of-\($0)", pool: $0) }
            $0.services.append(.init(name: "both", path: PathPattern(path: "/both"), kind: .routed(routes)))
        } body: { view in
            func service(_ name: String) async throws -> String {
                let body = try await view.admin("GET /services/\(name)").body
                return String(
                    body.components(separatedBy: "\"state\":\"").dropFirst().first?.prefix { $0 != "\"" } ?? ""
                )
            }
            for name in ["echo", "relay", "both"] {
                let state = try await service(name)
                #expect(state == "up")
            }
            let place = "/backends/tcp%3A%2F%2F127.0.0.1%3A\(backend)?action=disable"
            #expect(try await view.admin("POST /pools/p\(place)").status == 200)
            #expect(try await service("echo") == "up")
            #expect(try await service("relay") == "down")
            #expect(try await service("both") == "degraded")
            #expect(try await view.admin("POST /drain?over=0").status == 200)
            #expect(try await service("both") == "draining")
        }
    }

    @Test("a bound on principals counts those of each realm by themselves")
    func principalsOfRealms() async throws {
        try await Self.withGateway {
            $0.services[0].realms = ["a", "b"]
            $0.services[0].rules.limits.perPrincipal = 1
        } materials: {
            $0.authentication = { service, _ in
                guard !service.realms.isEmpty else { return nil }
                return ServerAuthentication(realm: "a", .bearer { Principal("joe", realm: $0) })
            }
        } body: { view in
            func open(_ realm: String) async throws -> WebSocket {
                var configuration = WebSocketClient.Configuration()
                configuration.headers[.authorization] = "Bearer \(realm)"
                configuration.extended.policy = .off
                return try await WebSocketClient(configuration: configuration).connect(to: view.url("/echo"))
            }
            let first = try await open("a")
            let second = try await open("b")
            await #expect(throws: WebSocketError.self) { _ = try await open("a") }
            try await first.close()
            try await second.close()
        }
    }
}
