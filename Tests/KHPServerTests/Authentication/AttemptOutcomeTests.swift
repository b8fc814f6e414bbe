import KHPProtocol
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import KHPServer

@Suite("The outcome of each attempt, told to whoever counts them", .timeLimit(.minutes(1)))
struct AttemptOutcomeTests {
    private static let schemes: [AuthenticationScheme] = [
        .digest(password: { $0 == "joe" ? "welcome" : nil }),
        .bearer { $0 == "abc" ? Principal("ann") : $0 == "old" ? Principal("ann", expires: 1) : nil },
        .basic { user, password in user == "joe" && password == "welcome" ? Principal(user) : nil },
        .request { $0.query["key"].map { $0 == "k" ? .right(Principal("kim")) : .wrong } ?? .absent },
    ]

    private static func basic(_ login: String) -> String { "Basic " + Base64.encode(Array(login.utf8)) }

    private func withDesk(
        limit: Int,
        _ body: (_ open: (_ target: String, _ authorization: String?) async throws -> ResponseHead) async throws -> Void
    ) async throws -> [String] {
        let told = Mutex<[String]>([])
        let authentication = ServerAuthentication(realm: "desk", schemes: Self.schemes) { attempt in
            #expect(attempt.client?.ipAddress == "127.0.0.1")
            let name: String
            switch attempt.outcome {
            case .right(let principal): name = "right \(principal.name) of \(principal.realm ?? "")"
            default: name = "\(attempt.outcome)"
            }
            told.withLock { $0.append("\(attempt.scheme ?? "-"): \(name)") }
        }
        try await withServer {
            $0.limits.wrongAnswersPerAddress = limit
        } endpoints: {
            Endpoint("/desk", options: .init(authentication: authentication)) { (_: WebSocket) in }
        } body: { port in
            try await body { target, authorization in
                let client = try await RawClient.connect(port)
                let extra = authorization.map { "Authorization: \($0)\r\n" } ?? ""
                try await client.send(openingRequest(target, extra: extra))
                var bytes = try await client.receive { $0.readableBytesView.contains(sequence: [13, 10, 13, 10]) }
                _ = try? await client.close()
                var decoder = ResponseHeadDecoder(limits: Limits().openingHead)
                return try #require(try decoder.decode(&bytes))
            }
        }
        return told.withLock { $0 }
    }

    @Test("each outcome has a name, and no client makes one")
    func outcomes() async throws {
        let told = try await self.withDesk(limit: 100) { open in
            let challenges = try await open("/desk", nil).fields.all("WWW-Authenticate")
            func digest(_ user: String, uri: String = "/desk") throws -> String {
                try #require(DigestAnswer(challenges, user: user, password: "welcome", uri: uri)).value
            }
            let values = [
                try digest("joe"), try digest("joe"), try digest("jane"), try digest("joe", uri: "/other"),
                "Bearer abc", "Bearer old", "Bearer no", "Bearer a b", Self.basic("joe:welcome"),
                Self.basic("joe:wrong"), "Basic !", "Mine abc", "\"",
            ]
            for value in values { _ = try await open("/desk", value) }
            _ = try await open("/desk?key=k", "Bearer no")
            _ = try await open("/desk?key=x", nil)
        }
        #expect(
            told == [
                "digest: right joe of desk", "digest: stale", "digest: unknownUser", "digest: malformed",
                "bearer: right ann of desk", "bearer: wrong", "bearer: wrong", "bearer: malformed",
                "basic: right joe of desk", "basic: wrong", "basic: malformed", "-: malformed", "-: malformed",
                "-: right kim of desk", "-: wrong",
            ]
        )
    }

    @Test("an address with too many wrong answers is blocked, whatever it brings")
    func blocked() async throws {
        let told = try await self.withDesk(limit: 2) { open in
            for value in ["Bearer no", "Bearer no", "Bearer abc", "Mine abc", nil] {
                _ = try await open("/desk", value)
            }
        }
        #expect(told == ["bearer: wrong", "bearer: wrong", "bearer: blocked", "-: blocked", "-: blocked"])
    }
}
