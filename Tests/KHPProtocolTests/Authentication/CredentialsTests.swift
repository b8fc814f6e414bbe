import KHPProtocol
import TestSupport
import Testing

@Suite struct CredentialsTests {
    @Test(arguments: ["basic QTpi", "BASIC   QTpi"])
    func schemeInAnyCase(value: String) {
        #expect(BasicCredentials(authorization: value)?.user == "A")
    }

    @Test(arguments: [
        "", "Basic", "Basic ", "Basic QTp", "Basic QQ==", "Basic QTpi x", "Bearer QTpi", "Basic QTpi,", "BasicQTpi",
        "Basic /zo=", "Basic YQo6Yg==", "Application Basic QTpi",
    ])
    func refusesOthers(value: String) {
        #expect(BasicCredentials(authorization: value) == nil)
    }

    @Test("Threat G10", arguments: [("a:b", "c"), ("a\n", "b"), ("a", "b\r\nX: y"), ("a", "\u{0}"), ("a\u{7f}", "b")])
    func cannotBeSent(user: String, password: String) {
        let error = #expect(throws: WebSocketError.self) {
            try Credentials.basic(user: user, password: password).authorizationValue()
        }
        #expect(error?.code == .invalidArgument)
    }

    @Test func wholeValues() throws {
        #expect(try Credentials.authorization("Bearer x").authorizationValue() == "Bearer x")
        #expect(throws: WebSocketError.self) { try Credentials.authorization("Bearer x\r\nA: b").authorizationValue() }
        #expect(throws: WebSocketError.self) { try Credentials.authorization("").authorizationValue() }
    }

    @Test(
        "Threat G2: the comparison itself",
        arguments: [
            ("", "", true), ("a", "a", true), ("a", "b", false), ("a", "", false), ("", "a", false), ("ab", "a", false),
            ("a", "ab", false), ("a\u{0}", "a", false), ("secret", "secret", true), ("secreT", "secret", false),
        ]
    )
    func constantTime(given: String, expected: String, equal: Bool) {
        #expect(constantTimeEquals(given, expected) == equal)
    }

    @Test("Threat G2: a comparison takes as long wherever the difference is, and whatever the user is")
    func time() throws {
        func differ(_ seconds: [Double]) -> Bool { (seconds.max() ?? 0) > 2 * (seconds.min() ?? 0) }
        // In the first byte, in the last one, nowhere.
        let secret = String(repeating: "a", count: 65_536)
        let texts = ["b" + secret.dropFirst(), secret.dropLast() + "b", secret].map { given in
            Growth.seconds { _ = constantTimeEquals(given, secret) }
        }
        #expect(!differ(texts), "texts: \(texts)")
        let code = [UInt8](repeating: 1, count: 8192)
        let codes = [[2] + code.dropFirst(), code.dropLast() + [2], code].map { given in
            Growth.seconds { _ = MessageAuthenticationCode.isEqual(given, code) }
        }
        #expect(!differ(codes), "codes: \(codes)")
        let login = try BasicCredentials(user: "joe", password: secret)
        let users = ["joe", "ann"].map { user in
            Growth.seconds { _ = login.matches(user: user, password: secret) }
        }
        #expect(!differ(users), "a user that is there, and one that is not: \(users)")
    }

    @Test func matches() throws {
        let credentials = try BasicCredentials(user: "joe", password: "welcome")
        #expect(credentials.matches(user: "joe", password: "welcome"))
        #expect(!credentials.matches(user: "joe", password: "Welcome"))
        #expect(!credentials.matches(user: "jo", password: "welcome"))
    }

    @Test("never shown")
    func descriptions() throws {
        let credentials = Credentials.basic(user: "u", password: "CANARY")
        let entry = PreemptiveCredentials(credentials, origin: try WebSocketURL("ws://h/"))
        let authenticator = try Authenticator(preemptive: [entry])
        var text =
            "\(credentials)\(String(reflecting: credentials))\(Credentials.authorization("CANARY"))\(authenticator)\(entry)"
        text += String(reflecting: try BasicCredentials(user: "u", password: "CANARY"))
        dump(credentials, to: &text)
        dump([credentials], to: &text)
        dump(authenticator, to: &text)
        dump(entry, to: &text)
        dump(try BasicCredentials(user: "u", password: "CANARY"), to: &text)
        #expect(!text.contains("CANARY"))
    }
}

@Suite struct ChallengeHandlerTests {
    private let url: WebSocketURL
    private let other: WebSocketURL

    init() throws {
        self.url = try WebSocketURL("ws://desk.example/trades")
        self.other = try WebSocketURL("ws://desk.example:81/trades")
    }

    private func request(_ scheme: String = "Basic", at hop: WebSocketURL, layer: HandshakeLayer = .extended)
        -> ChallengeRequest
    {
        ChallengeRequest(url: hop, originalURL: self.url, layer: layer, scheme: scheme, realm: "desk")
    }

    @Test("D12, D20: fixed credentials stay with the origin of the URL that was asked for (threats F1, F3)")
    func fixedCredentials() async {
        let handler = BasicChallengeHandler(user: "joe", password: "welcome")
        let credentials = Credentials.basic(user: "joe", password: "welcome")
        #expect(await handler.respond(to: self.request(at: self.url)) == credentials)
        #expect(await handler.respond(to: self.request("bAsIc", at: self.url, layer: .opening)) == credentials)
        #expect(await handler.respond(to: self.request(at: self.other)) == nil)
        #expect(await handler.respond(to: self.request(at: self.url, layer: .proxy)) == nil)
        #expect(await handler.respond(to: self.request("Digest", at: self.url)) == nil)
        let bound = BasicChallengeHandler(user: "joe", password: "welcome", origin: self.other)
        #expect(await bound.respond(to: self.request(at: self.other)) == credentials)
        #expect(await bound.respond(to: self.request(at: self.url)) == nil)
    }

    @Test func closures() async {
        let handler = BasicChallengeHandler { request in
            request.realm == "desk" ? .basic(user: "a", password: "b") : nil
        }
        #expect(await handler.respond(to: self.request(at: self.other)) == .basic(user: "a", password: "b"))
        #expect(await handler.respond(to: self.request("Token", at: self.other)) == nil)
    }

    @Test func requestShowsTheChallenge() throws {
        let challenge = try #require(try parseChallenges(fieldValues: ["Application Basic Realm=x, a=b"]).first)
        let request = ChallengeRequest(challenge, url: self.other, originalURL: self.url, layer: .opening, round: 2)
        #expect(request.scheme == "Basic")
        #expect(request.realm == "x")
        #expect(request.parameters == ["realm": "x", "a": "b"])
        #expect(request.round == 2)
        #expect(request.isRedirectedToAnotherOrigin)
        #expect(!ChallengeRequest(url: self.url, layer: .opening, scheme: "Basic").isRedirectedToAnotherOrigin)
    }
}
