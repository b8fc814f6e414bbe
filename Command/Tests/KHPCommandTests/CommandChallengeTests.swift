import ArgumentParser
import Foundation
import KHPProtocol
import Testing

@testable import KHPCommand

@Suite("What khp connect answers challenges with")
struct CommandChallengeTests {
    private let url: WebSocketURL
    private let other: WebSocketURL

    init() throws {
        self.url = try WebSocketURL("wss://desk.example/trades")
        self.other = try WebSocketURL("wss://other.example/trades")
    }

    private func handler(_ arguments: [String]) throws -> CommandChallengeHandler {
        try CommandChallengeHandler(options: try CredentialOptions.parse(arguments), in: .alone())
    }

    private func request(
        _ scheme: String,
        at hop: WebSocketURL? = nil,
        layer: HandshakeLayer = .extended,
        round: Int = 1
    ) -> ChallengeRequest {
        let hop = hop ?? self.url
        return ChallengeRequest(
            url: hop,
            originalURL: self.url,
            layer: layer,
            scheme: scheme,
            realm: "desk",
            round: round
        )
    }

    @Test("--user is for Digest and Basic, --token for Bearer and Token, both for the URL's origin alone (D20)")
    func options() async throws {
        let handler = try handler(["--user", "joe:welcome", "--token", "gold"])
        let expected: [(String, Credentials?)] = [
            ("Digest", .login(user: "joe", password: "welcome")), ("basic", .login(user: "joe", password: "welcome")),
            ("Bearer", .bearer("gold")), ("TOKEN", .token("gold")), ("Negotiate", nil),
        ]
        for (scheme, credentials) in expected {
            #expect(await handler.respond(to: self.request(scheme)) == credentials)
            #expect(await handler.respond(to: self.request(scheme, at: self.other)) == nil)
            #expect(await handler.respond(to: self.request(scheme, layer: .proxy)) == nil)
        }
        let none = try self.handler([])
        for (scheme, _) in expected { #expect(await none.respond(to: self.request(scheme)) == nil) }
    }

    @Test("--netrc answers Digest too, for the hosts that it names")
    func netrc() async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "netrc-\(UUID().uuidString)")
        try Data("machine other.example login ann password secret\n".utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let handler = try handler(["--netrc", file.path])
        #expect(
            await handler.respond(to: self.request("Digest", at: self.other)) == .login(user: "ann", password: "secret")
        )
        #expect(await handler.respond(to: self.request("Digest")) == nil)
    }

    @Test("--user NAME takes the password of that name from --netrc, and of no other name")
    func netrcOfUser() async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "netrc-\(UUID().uuidString)")
        let text = """
            machine desk.example login ann password wrong
            machine desk.example login joe password welcome
            default login eve password default
            """
        try Data(text.utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let expected: [(String, Credentials?)] = [
            ("joe", .login(user: "joe", password: "welcome")), ("joe:typed", .login(user: "joe", password: "typed")),
            ("eve", .login(user: "eve", password: "default")), ("bob", nil),
            (":gold", .login(user: "", password: "gold")),
        ]
        for (user, credentials) in expected {
            let handler = try handler(["--user", user, "--netrc", file.path])
            #expect(await handler.respond(to: self.request("Basic")) == credentials, "\(user)")
        }
    }

    @Test("the default entry of --netrc is for the URL given, and for no server that a redirect leads to")
    func netrcDefault() async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "netrc-\(UUID().uuidString)")
        try Data("machine third.example login ann password named\ndefault login eve password any\n".utf8).write(
            to: file
        )
        defer { try? FileManager.default.removeItem(at: file) }
        let handler = try handler(["--netrc", file.path])
        #expect(await handler.respond(to: self.request("Digest")) == .login(user: "eve", password: "any"))
        #expect(await handler.respond(to: self.request("Digest", at: self.other)) == nil)
        // The same host at another port is another origin.
        #expect(
            await handler.respond(to: self.request("Basic", at: try WebSocketURL("wss://desk.example:8443/"))) == nil
        )
        let named = try WebSocketURL("wss://third.example/")
        #expect(await handler.respond(to: self.request("Digest", at: named)) == .login(user: "ann", password: "named"))
    }

    @Test(
        "what cannot be sent is a mistake in the arguments",
        arguments: [
            ["--token", ""], ["--token", "a\nb"], ["--user", ":"], ["--user", "a\u{7}:b"],
        ]
    )
    func mistakes(arguments: [String]) throws {
        #expect(throws: CommandFailure.self) { try self.handler(arguments) }
    }

    @Test("refused credentials are given again where there is nobody to ask: the library tells of the refusal")
    func refused() async throws {
        let handler = try handler(["--user", "joe:wrong"])
        var again = self.request("Digest", round: 2)
        again.previousWasRefused = true
        #expect(await handler.respond(to: again) == .login(user: "joe", password: "wrong"))
    }
}
