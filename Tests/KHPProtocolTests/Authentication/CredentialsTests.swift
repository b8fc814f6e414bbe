import KHPProtocol
import Testing

@Suite struct CredentialsTests {
    @Test(
        "RFC 7617",
        arguments: [
            ("Aladdin", "open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ("test", "123\u{a3}", "Basic dGVzdDoxMjPCow=="),
            ("joe", "a:b:c", "Basic am9lOmE6Yjpj"), ("", "", "Basic Og=="),
        ]
    )
    func basic(user: String, password: String, value: String) throws {
        #expect(try BasicCredentials(user: user, password: password).authorization == value)
        let decoded = try #require(BasicCredentials(authorization: value))
        #expect(decoded.user == user)
        #expect(decoded.password == password)
        #expect(try Credentials.basic(user: user, password: password).authorizationValue() == value)
    }

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

    @Test("G10", arguments: [("a:b", "c"), ("a\n", "b"), ("a", "b\r\nX: y"), ("a", "\u{0}"), ("a\u{7f}", "b")])
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
        "G2: the comparison itself",
        arguments: [
            ("", "", true), ("a", "a", true), ("a", "b", false), ("a", "", false), ("", "a", false), ("ab", "a", false),
            ("a", "ab", false), ("a\u{0}", "a", false), ("secret", "secret", true), ("secreT", "secret", false),
        ]
    )
    func constantTime(given: String, expected: String, equal: Bool) {
        #expect(constantTimeEquals(given, expected) == equal)
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
        let url = try WebSocketURL("ws://h/")
        var rounds = ChallengeRounds()
        try rounds.answer("Basic CANARY", at: url, layer: .opening)
        var text = "\(credentials)\(String(reflecting: credentials))\(Credentials.authorization("CANARY"))\(rounds)"
        text += String(reflecting: try BasicCredentials(user: "u", password: "CANARY"))
        dump(credentials, to: &text)
        dump([credentials], to: &text)
        dump(rounds, to: &text)
        dump(try BasicCredentials(user: "u", password: "CANARY"), to: &text)
        #expect(!text.contains("CANARY"))
    }
}

@Suite struct ChallengeHandlerTests {
    private let url: WebSocketURL
    private let other: WebSocketURL

    init() throws {
        url = try WebSocketURL("ws://desk.example/trades")
        other = try WebSocketURL("ws://desk.example:81/trades")
    }

    private func request(_ scheme: String = "Basic", at hop: WebSocketURL, layer: ChallengeRequest.Layer = .extended)
        -> ChallengeRequest
    {
        ChallengeRequest(url: hop, originalURL: url, layer: layer, scheme: scheme, realm: "desk")
    }

    @Test("D12, D20: fixed credentials stay with the origin of the URL that was asked for (F1, F3)")
    func fixedCredentials() async {
        let handler = BasicChallengeHandler(user: "joe", password: "welcome")
        let credentials = Credentials.basic(user: "joe", password: "welcome")
        #expect(await handler.respond(to: request(at: url)) == credentials)
        #expect(await handler.respond(to: request("bAsIc", at: url, layer: .opening)) == credentials)
        #expect(await handler.respond(to: request(at: other)) == nil)
        #expect(await handler.respond(to: request(at: url, layer: .proxy)) == nil)
        #expect(await handler.respond(to: request("Digest", at: url)) == nil)
        let bound = BasicChallengeHandler(user: "joe", password: "welcome", origin: other)
        #expect(await bound.respond(to: request(at: other)) == credentials)
        #expect(await bound.respond(to: request(at: url)) == nil)
    }

    @Test func closures() async {
        let handler = BasicChallengeHandler { request in
            request.realm == "desk" ? .basic(user: "a", password: "b") : nil
        }
        #expect(await handler.respond(to: request(at: other)) == .basic(user: "a", password: "b"))
        #expect(await handler.respond(to: request("Token", at: other)) == nil)
    }

    @Test func theFirstAnsweredChallengeCounts() async throws {
        let challenges = try parseChallenges(fieldValues: [
            "Negotiate, Basic realm=\"desk\", charset=UTF-8, Basic realm=x"
        ])
        let answered = await answer(challenges, with: BasicChallengeHandler(user: "a", password: "b")) {
            ChallengeRequest($0, url: url, originalURL: url, layer: .extended, round: 1)
        }
        #expect(answered?.challenge.realm == "desk")
        let none = await answer(challenges, with: BasicChallengeHandler { _ in nil }) {
            ChallengeRequest($0, url: url, originalURL: url, layer: .extended, round: 1)
        }
        #expect(none == nil)
    }

    @Test func requestShowsTheChallenge() throws {
        let challenge = try #require(try parseChallenges(fieldValues: ["Application Basic Realm=x, a=b"]).first)
        let request = ChallengeRequest(challenge, url: other, originalURL: url, layer: .opening, round: 2)
        #expect(request.scheme == "Basic")
        #expect(request.realm == "x")
        #expect(request.parameters == ["realm": "x", "a": "b"])
        #expect(request.round == 2)
        #expect(request.isRedirectedToAnotherOrigin)
        #expect(!ChallengeRequest(url: url, layer: .opening, scheme: "Basic").isRedirectedToAnotherOrigin)
    }
}

@Suite struct ChallengeRoundsTests {
    private let url: WebSocketURL
    private let other: WebSocketURL

    init() throws {
        url = try WebSocketURL("ws://h/a")
        other = try WebSocketURL("ws://other/a")
    }

    @Test("D18: four answers, then no more (E10)")
    func limit() throws {
        var rounds = ChallengeRounds()
        for round in 1...4 {
            #expect(try rounds.challenged(at: url, layer: .extended) == round)
            try rounds.answer("Basic \(round)", at: url, layer: .extended)
        }
        let error = #expect(throws: WebSocketError.self) { try rounds.challenged(at: other, layer: .opening) }
        #expect(error?.code == .authenticationFailed)
        #expect(error?.phase == .opening)
        #expect(rounds.count == 4)
    }

    @Test("refused credentials are not sent twice")
    func refused() throws {
        var rounds = ChallengeRounds()
        _ = try rounds.challenged(at: url, layer: .extended)
        try rounds.answer("Basic x", at: url, layer: .extended)
        _ = try rounds.challenged(at: url, layer: .extended)
        let error = #expect(throws: WebSocketError.self) { try rounds.answer("Basic x", at: url, layer: .extended) }
        #expect(error?.code == .authenticationFailed)
        #expect(error?.message.contains("Basic x") == false)
        try rounds.answer("Basic y", at: url, layer: .extended)
    }

    @Test("accepted credentials may be sent again, and elsewhere")
    func accepted() throws {
        var rounds = ChallengeRounds()
        _ = try rounds.challenged(at: url, layer: .opening)
        try rounds.answer("Basic x", at: url, layer: .opening)
        rounds.accepted()
        _ = try rounds.challenged(at: url, layer: .extended)
        try rounds.answer("Basic x", at: url, layer: .extended)
        rounds.accepted()
        _ = try rounds.challenged(at: url, layer: .opening)
        try rounds.answer("Basic x", at: url, layer: .opening)
        // Refused here, unknown there.
        _ = try rounds.challenged(at: url, layer: .opening)
        try rounds.answer("Basic x", at: other, layer: .opening)
    }

    @Test func proxies() throws {
        var rounds = ChallengeRounds(limit: 0)
        let error = #expect(throws: WebSocketError.self) { try rounds.challenged(at: url, layer: .proxy) }
        #expect(error?.code == .proxyAuthenticationRequired)
    }
}
