// The doors of services: realms in a chain, over a real server with TLS and client certificates.

import CommandTestSupport
import Foundation
import HTTPTypes
import KHPClient
import KHPServer
import NIOSSL
import Synchronization
import Testing

@testable import KHPGateway

@Suite("The realms of a gateway's service")
struct ServiceAuthenticationTests {
    private static let text = """
        version: 1
        listeners: {a: {listen: 127.0.0.1:0, tls: {certificate: c, key: k, clientAuth: optional, clientCA: ca}}}
        realms:
          devices: {certificate: {principal: san-uri, strip: "urn:device:", roles: device.groups}}
          staff: {schemes: [digest, basic, bearer], users: users, groups: groups}
          apps:
            schemes: [bearer]
            token: [header, "cookie:ticket", "query:access_token"]
            jwt:
              keys: keys
              algorithms: [ES256]
              issuer: https://id.example.com/
              audience: [khp]
              roles: realm_access.roles
              onExpiry: ignore
        services: {s: {path: /s, type: echo, realm: [devices, staff, apps]}, o: {path: /o, type: echo, realm: devices}}
        """

    private static func loaded(_ authority: CertificateAuthority) throws -> LoadedConfiguration {
        let server = try authority.issue("DNS:localhost,IP:127.0.0.1", to: 86_400 * 100)
        let digest = DigestAlgorithm.sha256.key(user: "ann", realm: "staff", password: "welcome")
        let hash = try UsersFile.Line.password("welcome", user: "joe", algorithm: .sha256).text
        let joe = DigestAlgorithm.sha256.key(user: "joe", realm: "staff", password: "welcome")
        let keys = try String(
            contentsOf: TokenVerifierTests.folder.appendingPathComponent("public.json"),
            encoding: .utf8
        )
        var surroundings = ConfigurationFixture.surroundings(
            Self.text,
            files: [
                "c": String(decoding: server.pem, as: UTF8.self), "k": String(decoding: server.keyPEM, as: UTF8.self),
                "ca": String(decoding: try authority.pem(), as: UTF8.self), "device.groups": "service: d7\n",
                "users": "\(hash)\njoe:staff:SHA-256:\(joe)\nann:staff:SHA-256:\(digest)\nrobot:secret-token\n",
                "groups": "ops: ann\ntrader: joe ann\n", "keys": keys,
            ]
        )
        let today = ConfigurationSurroundings.system(environment: [:]).now()
        surroundings.now = { today }
        let reading = GatewayFile.read("gateway.yaml", surroundings)
        return try #require(reading.loaded, "\(reading.findings)")
    }

    /// The name, realm and roles that a service sees, or the status of its refusal.
    private func seen(
        _ loaded: LoadedConfiguration,
        _ policy: ExtendedHandshakePolicy,
        path: String = "/s",
        query: String = "",
        now: Int64? = nil,
        outcomes: OutcomeLog = OutcomeLog(),
        limit: Int = 100,
        _ configure: (inout WebSocketClient.Configuration) throws -> Void
    ) async throws -> String {
        var loaded = loaded
        if let now { loaded.now = { now } }
        let services = loaded.configuration.services
        return try await withServer {
            $0.tls = loaded.listenerTLS["a"]
            $0.limits.wrongAnswersPerAddress = limit
        } endpoints: {
            services.map { service in
                var options = Endpoint.Options()
                options.authentication = loaded.authentication(of: service) { outcome in
                    outcomes.add(outcome)
                }
                return Endpoint(service.path.path, options: options) { socket in
                    let principal = socket.negotiated.principal
                    let roles = (principal?.roles ?? []).sorted().joined(separator: ",")
                    try await socket.send("\(principal?.name ?? "") of \(principal?.realm ?? ""): \(roles)")
                }
            }
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            var tls = TLSConfiguration.makeClientConfiguration()
            tls.trustRoots = try CertificateAuthority.shared.get().roots()
            configuration.tls = tls
            configuration.extended.policy = policy
            try configure(&configuration)
            do {
                let url = "wss://localhost:\(port)\(path)\(query)"
                let socket = try await WebSocketClient(configuration: configuration).connect(to: url)
                for try await case .text(let text) in socket.messages { return text }
                return "nothing"
            } catch let error as WebSocketError {
                return "\(error.response?.status ?? 0)"
            }
        }
    }

    final class OutcomeLog: Sendable {
        private let outcomes = Mutex<[AuthenticationOutcome]>([])

        func add(_ outcome: AuthenticationOutcome) { self.outcomes.withLock { $0.append(outcome) } }
        var last: AuthenticationOutcome? { self.outcomes.withLock { $0.last } }
        /// Each as `staff digest ok`, with the cause behind a colon.
        var words: [String] {
            self.outcomes.withLock { outcomes in
                outcomes.map { "\($0.realm) \($0.scheme) \($0.result.rawValue)" + ($0.cause.map { ": \($0)" } ?? "") }
            }
        }
    }

    @Test(
        "let in whoever proves something, with the realm and roles of the proof",
        arguments: [ExtendedHandshakePolicy.required, .off]
    )
    func chain(_ policy: ExtendedHandshakePolicy) async throws {
        let authority = try CertificateAuthority.shared.get()
        let loaded = try Self.loaded(authority)
        let device = try authority.issue("DNS:d.example,URI:urn:device:d7")
        func certified(_ issued: CertificateAuthority.Issued) -> (inout WebSocketClient.Configuration) -> Void {
            { configuration in
                configuration.tls.certificateChain = issued.chain
                configuration.tls.privateKey = issued.key
            }
        }
        let log = OutcomeLog()
        let login: (inout WebSocketClient.Configuration) -> Void = {
            $0.authentication.challengeHandler = LoginChallengeHandler(user: "ann", password: "welcome")
        }
        #expect(
            try await self.seen(loaded, policy, outcomes: log, certified(device)) == "d7 of devices: service"
        )
        #expect(log.last == AuthenticationOutcome(realm: "devices", scheme: "certificate", result: .ok))
        #expect(try await self.seen(loaded, policy, path: "/o", certified(device)) == "d7 of devices: service")
        #expect(try await self.seen(loaded, policy, login) == "ann of staff: ops,trader")
        #expect(
            try await self.seen(loaded, policy) {
                $0.authentication.challengeHandler = TokenChallengeHandler(token: "secret-token")
            } == "robot of staff: "
        )
        // A certificate without such a name proves nothing, and leaves the rest to the others.
        let other = try authority.issue("URI:urn:other:d7")
        #expect(
            try await self.seen(loaded, policy) {
                certified(other)(&$0)
                login(&$0)
            } == "ann of staff: ops,trader"
        )
        #expect(try await self.seen(loaded, policy, path: "/o", certified(other)) == "403")
        #expect(try await self.seen(loaded, policy, path: "/o", login) == "403")
    }

    @Test(
        "tell of each proof what came of it",
        arguments: [
            ("Basic joe:welcome", "staff basic ok"), ("Basic joe:wrong", "staff basic wrong"),
            ("Basic nobody:welcome", "staff basic unknown-user"), ("Bearer nobodys", "staff bearer wrong"),
            ("Basic", "staff basic wrong: malformed"), ("Mine abc", "staff none wrong: malformed"),
        ]
    )
    func results(_ authorization: String, _ expected: String) async throws {
        let log = OutcomeLog()
        let loaded = try Self.loaded(try CertificateAuthority.shared.get())
        let parts = authorization.split(separator: " ")
        let value =
            parts[0] == "Basic" && parts.count > 1
            ? "Basic \(Data(parts[1].utf8).base64EncodedString())" : authorization
        _ = try await self.seen(loaded, .off, outcomes: log) { $0.headers[.authorization] = value }
        #expect(log.words == [expected])
    }

    @Test(
        "tell of Digest what came of it",
        arguments: [
            ("ann", "welcome", ["digest ok"]), ("ann", "wrong", ["digest wrong"]),
            ("nobody", "welcome", ["digest unknown-user"]),
        ]
    )
    func digest(_ user: String, _ password: String, _ expected: [String]) async throws {
        let log = OutcomeLog()
        let loaded = try Self.loaded(try CertificateAuthority.shared.get())
        _ = try await self.seen(loaded, .required, outcomes: log) {
            $0.authentication.challengeHandler = LoginChallengeHandler(user: user, password: password)
        }
        #expect(log.words == expected.map { "staff \($0)" })
    }

    @Test("tell of each request of a blocked address")
    func blocked() async throws {
        let log = OutcomeLog()
        let loaded = try Self.loaded(try CertificateAuthority.shared.get())
        let answer = try await self.seen(loaded, .required, outcomes: log, limit: 1) {
            $0.authentication.challengeHandler = LoginChallengeHandler(user: "ann", password: "welcome")
            $0.headers[.authorization] = "Bearer no"
        }
        #expect(answer == "403")
        #expect(log.words == ["staff bearer wrong", "staff digest blocked"])
    }

    @Test("take tokens in header, cookie and query", arguments: [ExtendedHandshakePolicy.required, .off])
    func tokens(_ policy: ExtendedHandshakePolicy) async throws {
        let loaded = try Self.loaded(try CertificateAuthority.shared.get())
        let token = try #require(TokenVerifierTests.lines.first { $0.name == "ES256" }).token
        // The file ignores the end, since the server's clock is the real one.
        let now: Int64 = 1_800_000_000
        let expected = "joe of apps: ops,trader"
        let log = OutcomeLog()
        #expect(
            try await self.seen(loaded, policy, now: now) {
                $0.authentication.challengeHandler = TokenChallengeHandler(token: token)
            } == expected
        )
        #expect(try await self.seen(loaded, policy, query: "?access_token=\(token)", now: now) { _ in } == expected)
        #expect(
            try await self.seen(loaded, policy, now: now) { $0.headers[.cookie] = "a=b; ticket=\(token)" } == expected
        )
        #expect(
            try await self.seen(loaded, policy, query: "?access_token=\(token)", now: now + 90, outcomes: log) { _ in }
                == "401"
        )
        #expect(log.last?.result == .expired && log.last?.cause == "the token has expired")
        #expect(
            try await self.seen(loaded, policy, query: "?access_token=\(token)x", now: now, outcomes: log) { _ in }
                == "401"
        )
        #expect(log.last?.result == .wrong)
    }
}
