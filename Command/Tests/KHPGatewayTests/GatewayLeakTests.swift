// Each proof that a client can give a gateway, right and wrong, in each place and handshake, while operators look on:
// nothing that is logged, listed, counted or told to them has it (threats E18, G12).

import CommandTestSupport
import Foundation
import HTTPTypes
import KHPClient
import KHPServer
import Synchronization
import Testing

@testable import KHPGateway

@Suite("The leak matrix of a gateway: what clients prove themselves with is shown to nobody", .timeLimit(.minutes(2)))
struct GatewayLeakTests {
    private static let canary = "cNrY7qZ"

    /// The places where a proof can be.
    enum Place: String, CaseIterable {
        case basic, digest, bearer, token, jwt, cookie, query
        /// At a service that asks for nothing, one that redirects, one without a backend, and at none.
        case open, elsewhere, unreachable, nowhere
    }

    struct Cell: Sendable, CustomTestStringConvertible {
        var place: Place
        var policy: ExtendedHandshakePolicy
        var isRight: Bool

        var testDescription: String {
            "\(self.place), \(self.isRight ? "right" : "wrong"), extended \(self.policy)"
        }
    }

    private static let cells = Place.allCases.flatMap { place in
        [ExtendedHandshakePolicy.off, .required].flatMap { policy in
            [true, false].map { Cell(place: place, policy: policy, isRight: $0) }
        }
    }

    private static let text = """
        version: 1
        log: {level: debug}
        listeners: {public: {listen: 127.0.0.1:0}}
        admin: {listen: 127.0.0.1:0, token: \(canary)-admin}
        realms:
          basic: {schemes: [basic], users: users}
          digest: {schemes: [digest], users: digests}
          bearer: {schemes: [bearer], users: tokens}
          token: {schemes: [token], users: tokens}
          apps:
            schemes: [bearer]
            token: [header, "cookie:ticket", "query:access_token"]
            jwt: {keys: keys, algorithms: [ES256], issuer: https://id.example.com/, audience: [khp], onExpiry: ignore}
        pools: {gone: {backends: tcp://127.0.0.1:1}}
        services:
          basic: {path: /basic, type: echo, realm: basic}
          digest: {path: /digest, type: echo, realm: digest}
          bearer: {path: /bearer, type: echo, realm: bearer}
          token: {path: /token, type: echo, realm: token}
          apps: {path: /apps, type: echo, realm: apps}
          open: {path: /open, type: echo}
          elsewhere: {path: /elsewhere, redirect: "ws://127.0.0.1:1/there"}
          unreachable: {path: /unreachable, pool: gone}
        """

    private static func loaded() throws -> LoadedConfiguration {
        let secret = "\(canary)-secret"
        let key = DigestAlgorithm.sha256.key(user: "joe", realm: "digest", password: secret)
        let hash = try UsersFile.Line.password(secret, user: "joe", algorithm: .sha256).text
        let keys = TokenVerifierTests.folder.appendingPathComponent("public.json")
        let reading = ConfigurationFixture.read(
            self.text,
            files: [
                "users": "\(hash)\n", "digests": "joe:digest:SHA-256:\(key)\n", "tokens": "robot:\(secret)\n",
                "keys": try String(contentsOf: keys, encoding: .utf8),
            ]
        )
        return try #require(reading.loaded, "\(reading.findings)")
    }

    private static let spellings = SecretSpellings.of(canary)

    private static func give(_ cell: Cell, jwt: String, _ configuration: inout WebSocketClient.Configuration) -> String
    {
        let secret = cell.isRight ? "\(canary)-secret" : "\(canary)-wrong"
        let token = cell.isRight ? jwt : "\(canary).\(canary).\(canary)"
        configuration.extended.policy = cell.policy
        switch cell.place {
        case .basic:
            configuration.authentication.challengeHandler = BasicChallengeHandler(user: "joe", password: secret)
        case .digest:
            configuration.authentication.challengeHandler = LoginChallengeHandler(user: "joe", password: secret)
        case .bearer, .token:
            configuration.authentication.challengeHandler = TokenChallengeHandler(token: secret)
        case .jwt:
            configuration.authentication.challengeHandler = TokenChallengeHandler(token: token)
            return "/apps"
        case .cookie:
            configuration.headers[.cookie] = "a=b; ticket=\(token)"
            return "/apps"
        case .query:
            return "/apps?access_token=\(token)"
        case .open, .elsewhere, .unreachable, .nowhere:
            // Nobody asks, and they come all the same.
            configuration.headers[.authorization] = "Bearer \(secret)"
            configuration.headers[.cookie] = "ticket=\(token)"
            return "/\(cell.place)?access_token=\(secret)&state=\(token)"
        }
        return "/\(cell.place)"
    }

    @Test("in no line and no answer of the admin address")
    func matrix() async throws {
        let loaded = try Self.loaded()
        let jwt = try #require(TokenVerifierTests.lines.first { $0.name == "ES256" }).token
        let signature = String(try #require(jwt.split(separator: ".").last))
        try await GatewayTests.withGateway {
            $0 = loaded.configuration
        } materials: {
            $0 = GatewayMaterials(loaded)
        } body: { view in
            let admin = "Authorization: Bearer \(Self.canary)-admin\r\n"
            var told: [String] = []
            var opened = 0
            for cell in Self.cells {
                var configuration = WebSocketClient.Configuration()
                let path = Self.give(cell, jwt: jwt, &configuration)
                configuration.redirects.policy = .never
                let socket = try? await WebSocketClient(configuration: configuration).connect(to: view.url(path))
                // A matrix of refusals alone would mean little.
                if cell.place != .unreachable {
                    let opens = cell.place == .open || cell.isRight && ![.elsewhere, .nowhere].contains(cell.place)
                    #expect((socket != nil) == opens, "\(cell.testDescription)")
                }
                if socket != nil { opened += 1 }
                for question in ["/sessions", "/services"] {
                    told.append(try await view.admin("GET \(question)", headers: admin).body)
                }
                try await socket?.close()
            }
            #expect(opened > Self.cells.count / 4)
            for question in ["/metrics", "/config", "/load", "/version", "/readyz", "/healthz", "/"] {
                let answer = try await view.admin("GET \(question)", headers: admin)
                #expect(answer.status == 200)
                told.append(answer.body)
            }
            told.append(
                try await view.admin("GET /load", headers: "Authorization: Bearer \(Self.canary)-other\r\n").body
            )
            _ = await Patience.wait { view.running.line(with: "handshake.refused", "404") }
            told += view.running.lines.withLock { $0 }
            for text in told {
                for spelling in Self.spellings + [signature] where text.contains(spelling) {
                    let line = text.split(separator: "\n").first { $0.contains(spelling) } ?? ""
                    Issue.record("\(spelling) is in \(line)")
                }
            }
        }
    }
}
