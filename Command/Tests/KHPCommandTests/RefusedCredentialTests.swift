import Foundation
import KHPProtocol
import KHPServer
import Testing

@testable import KHPCommand

/// The advice to a person whose credentials are missing or refused: who refused, what was asked for, which option
/// helps. With the other tests that start processes, one after the other.
extension EndToEndTests {
    @Test("a wrong password: who refused it, no step that was not taken, no warning of what was not sent")
    func wrongPassword() async throws {
        try await self.servingDigestAndBasic { url in
            let ended = try await RunningCommand.run(
                ["connect", "-v", "--user", "joe:wrong", "--message", "hi", url]
            )
            #expect(ended.status == 8)
            #expect(ended.errors.contains("khp: the server refused the credentials"))
            #expect(ended.errors.contains("are name and password, or token, right?"))
            #expect(ended.errors.contains("challenge Digest \"desk\" (round 1)"), "\(ended.errors)")
            #expect(ended.errors.contains("challenge Digest \"desk\" (round 2)"), "\(ended.errors)")
            #expect(!ended.errors.contains("answered"), "the second was not")
            #expect(!ended.errors.contains("without TLS"), "Basic was not answered")
        }
    }

    @Test("no credentials: the schemes, and what answers them")
    func noCredentials() async throws {
        try await self.servingDigestAndBasic { url in
            let token = try await RunningCommand.run(["connect", "--token", "gold", "--message", "hi", url])
            #expect(token.status == 8)
            #expect(token.errors.contains("the server asks for Digest or Basic credentials, and there are none"))
            #expect(token.errors.contains("--user NAME:PASSWORD or --netrc FILE answers Basic and Digest"))
        }
    }

    @Test("behind a redirect to another origin --user is not the advice (D20)")
    func credentialsOfAnotherOrigin() throws {
        let first = try WebSocketURL("wss://desk.example/trades")
        let second = try WebSocketURL("wss://other.example/trades")
        func sentence(at url: WebSocketURL) -> String {
            var error = WebSocketError(
                .authenticationFailed,
                "The server asks for Basic credentials, and there are none to give it.",
                detail: .noCredentials,
                url: url,
                phase: .extended
            )
            error.redirects = [RedirectStep(from: first, to: url, status: 302, layer: .opening)]
            return CommandFailure(error).sentence
        }
        #expect(sentence(at: second).contains("; --user and --token are for the URL given alone; --netrc FILE"))
        #expect(sentence(at: first).contains("; --user NAME:PASSWORD or --netrc FILE"))
    }

    /// A server that offers Digest and Basic.
    private func servingDigestAndBasic(_ body: (_ url: String) async throws -> Void) async throws {
        let users = FileManager.default.temporaryDirectory.appendingPathComponent("khp-users-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: users) }
        let key = DigestAlgorithm.sha256.key(user: "joe", realm: "desk", password: "welcome")
        let line = try UsersFile.Line.password("welcome", user: "joe").text
        try Data("joe:desk:SHA-256:\(key)\n\(line)\n".utf8).write(to: users)
        let options = [
            "--route", "/a=echo", "--auth", "/a=basic:desk", "--auth", "/a=digest:desk", "--users", users.path,
        ]
        _ = try await RunningCommand.serving(options) { port in try await body("ws://127.0.0.1:\(port)/a") }
    }
}
