import HTTPTypes
import KHPProtocol
import Testing

@Suite("The client's authentication engine")
struct AuthenticatorTests {
    private typealias Place = Authenticator.Challenger

    private let url: WebSocketURL
    private let other: WebSocketURL
    private let extended: Place
    private let opening: Place
    private let proxy = Place.proxy(authority: "proxy:3128")
    private let login = Credentials.login(user: "joe", password: "welcome")
    private let target = Authenticator.Target(method: "GET", uri: "/a")

    init() throws {
        self.url = try WebSocketURL("ws://h/a")
        self.other = try WebSocketURL("ws://h:81/a")
        self.extended = .origin(self.url, .extended)
        self.opening = .origin(self.url, .opening)
    }

    private static let md5 = "Digest realm=desk, nonce=n1, qop=auth"
    private static let sha256 = "Digest realm=desk, nonce=n1, qop=auth, algorithm=SHA-256"
    private static let sha512 = "Digest realm=desk, nonce=n1, qop=auth, algorithm=SHA-512-256-sess"
    private static let basic = "Basic realm=desk"

    private func response(_ challenges: [String], _ status: Int = 401) -> HandshakeResponse {
        var fields = HTTPFields()
        let name: HTTPField.Name = status == 407 ? .proxyAuthenticate : .wwwAuthenticate
        for value in challenges { fields.append(HTTPField(name: name, value: value)) }
        return HandshakeResponse(status: status, reason: "", headers: fields)
    }

    private func challenged(
        _ authenticator: inout Authenticator,
        _ challenges: [String],
        at place: Place? = nil,
        _ status: Int = 401
    ) throws -> Authenticator.Challenged {
        let place = place ?? self.extended
        var url = self.url
        if case .origin(let hop, _) = place { url = hop }
        return try authenticator.challenged(
            by: self.response(challenges, status),
            at: place,
            url: url,
            originalURL: self.url,
            target: self.target,
            clientNonce: "c"
        )
    }

    private func ask(
        _ authenticator: inout Authenticator,
        _ challenges: [String],
        at place: Place? = nil,
        _ status: Int = 401
    ) throws -> [ChallengeRequest] {
        guard case .ask(let requests) = try self.challenged(&authenticator, challenges, at: place, status) else {
            Issue.record("answered without asking")
            return []
        }
        return requests
    }

    @discardableResult
    private func answer(
        _ authenticator: inout Authenticator,
        _ credentials: Credentials,
        _ request: ChallengeRequest?,
        at place: Place? = nil
    ) throws -> String {
        try authenticator.answer(
            credentials,
            to: try #require(request),
            at: place ?? self.extended,
            target: self.target,
            clientNonce: "c"
        )
    }

    private func parameters(_ value: String?) throws -> [String: String] {
        let parsed = try parseChallenges(fieldValues: [try #require(value)])
        return try #require(parsed.first).values
    }

    private func code(_ body: () throws -> Void) -> WebSocketError.Code? {
        do { try body() } catch { return (error as? WebSocketError)?.code }
        return nil
    }

    // MARK: Choice

    @Test(
        "the strongest first; schemes without a rank before them, as they came (threat G1)",
        arguments: [
            ([basic, md5], ["Digest MD5", "Basic"]),
            ([md5, sha256, sha512, basic], ["Digest SHA-512-256-sess", "Digest SHA-256", "Digest MD5", "Basic"]),
            (
                ["\(basic), \(sha512), Token, \(md5)", "Bearer"],
                [
                    "Token", "Bearer", "Digest SHA-512-256-sess", "Digest MD5", "Basic",
                ]
            ),
            (["Negotiate abc=, Application Basic realm=desk"], ["Negotiate", "Basic"]),
            (["Digest realm=desk, nonce=n, algorithm=SHA-1, qop=auth", basic], ["Basic"]),
            (["Digest realm=desk, qop=auth", "Digest nonce=n", sha256], ["Digest SHA-256"]),
            (["Basic realm=\"x", md5], ["Digest MD5"]),
        ] as [([String], [String])]
    )
    func order(challenges: [String], expected: [String]) throws {
        var authenticator = Authenticator()
        let requests = try self.ask(&authenticator, challenges)
        let found = requests.map { request in
            request.scheme == "Digest" ? "Digest \(request.parameters["algorithm"] ?? "MD5")" : request.scheme
        }
        #expect(found == expected)
        #expect(requests.allSatisfy { $0.round == 1 && !$0.previousWasRefused && $0.layer == .extended })
    }

    @Test(
        "nothing to answer (threat G3, KHP-E19)",
        arguments: [
            ([], "without a challenge"), ([""], "without a challenge"), (["Basic realm=\"x"], "cannot be read"),
            (["Digest realm=x, nonce=n, algorithm=MD7"], "not usable"),
            (["Basic " + (0..<1000).map { "p\($0)=v" }.joined(separator: ", ")], "cannot be read"),
        ] as [([String], String)]
    )
    func nothingToAnswer(challenges: [String], words: String) {
        var authenticator = Authenticator()
        let error = #expect(throws: WebSocketError.self) { try self.ask(&authenticator, challenges) }
        #expect(error?.code == .authenticationFailed)
        #expect(error?.message.contains(words) == true)
    }

    @Test(
        "Threat G1: nobody is talked down to a weaker scheme",
        arguments: [
            ([md5], [basic], false), ([sha256], [md5], false), ([sha512], [sha256], false),
            ([sha256, basic], [basic], false), ([md5, basic], [basic, md5], true), ([md5], [sha256], true),
            ([basic], [md5], true), ([sha256], [sha256, md5, basic], true), (["Bearer"], [basic], true),
            ([md5], ["Digest realm=desk, nonce=n, algorithm=SHA-1, qop=auth", basic], false),
        ] as [([String], [String], Bool)]
    )
    func downgrade(first: [String], later: [String], allowed: Bool) throws {
        var authenticator = Authenticator()
        _ = try self.ask(&authenticator, first)
        let error = self.code { _ = try self.ask(&authenticator, later) }
        #expect((error == nil) == allowed)
        if !allowed { #expect(error == .authenticationFailed) }
        var lenient = Authenticator(allowsWeakerScheme: true)
        _ = try self.ask(&lenient, first)
        #expect(try !self.ask(&lenient, later).isEmpty)
    }

    @Test("Threat G1: a weaker challenge is left out where another scheme stays; another place has its own history")
    func downgradeElsewhere() throws {
        var authenticator = Authenticator()
        _ = try self.ask(&authenticator, [Self.sha256])
        #expect(try self.ask(&authenticator, [Self.basic, "Bearer"]).map(\.scheme) == ["Bearer"])
        // The same realm in the other handshake counts, another realm there does not.
        #expect(self.code { _ = try self.ask(&authenticator, [Self.basic], at: self.opening) } == .authenticationFailed)
        #expect(try self.ask(&authenticator, ["Basic realm=other"], at: self.opening).count == 1)
        #expect(try self.ask(&authenticator, [Self.basic], at: .origin(self.other, .extended)).count == 1)
        #expect(try self.ask(&authenticator, [Self.basic], at: self.proxy, 407).count == 1)
    }

    // MARK: Rounds and refusals

    @Test("D18: four answers, then no more (threat E10)")
    func limit() throws {
        var authenticator = Authenticator()
        for round in 1...4 {
            let requests = try self.ask(&authenticator, ["Basic realm=\"realm \(round)\""])
            #expect(requests.first?.round == round)
            #expect(requests.first?.previousWasRefused == (round > 1))
            try self.answer(&authenticator, .basic(user: "joe", password: "\(round)"), requests.first)
        }
        let error = #expect(throws: WebSocketError.self) {
            try self.ask(&authenticator, [Self.basic], at: .origin(self.other, .opening))
        }
        #expect(error?.code == .authenticationFailed)
        #expect(error?.phase == .opening)
        #expect(authenticator.count == 4)
    }

    @Test("a proxy's errors are of their own")
    func proxies() throws {
        var authenticator = Authenticator(limit: 0)
        let error = #expect(throws: WebSocketError.self) {
            try self.ask(&authenticator, [Self.basic], at: self.proxy, 407)
        }
        #expect(error?.code == .proxyAuthenticationRequired)
        #expect(error?.phase == .connect)
        var other = Authenticator()
        let requests = try self.ask(&other, [Self.md5], at: self.proxy, 407)
        #expect(requests.first?.proxy == "proxy:3128")
        #expect(requests.first?.layer == .proxy)
        try self.answer(&other, self.login, requests.first, at: self.proxy)
        #expect((other.count, other.serverCount) == (1, 0))
    }

    @Test(
        "refused credentials are not sent twice, in whatever form",
        arguments: [
            ([md5], Credentials.digest(user: "joe", password: "welcome")),
            ([md5], .login(user: "joe", password: "welcome")), ([basic], .basic(user: "joe", password: "welcome")),
            ([basic], .authorization("Basic am9lOndlbGNvbWU=")),
        ] as [([String], Credentials)]
    )
    func refusedTwice(challenges: [String], again: Credentials) throws {
        var authenticator = Authenticator()
        let first = try self.ask(&authenticator, challenges)
        try self.answer(&authenticator, self.login, first.first)
        let second = try self.ask(&authenticator, [challenges[0].replacing("n1", with: "n2")])
        #expect(second.first?.previousWasRefused == true)
        #expect(authenticator.isRefused(again, at: self.extended))
        let error = #expect(throws: WebSocketError.self) { try self.answer(&authenticator, again, second.first) }
        #expect(error?.code == .authenticationFailed)
        #expect(error?.description.contains("welcome") == false)
        #expect(!authenticator.isRefused(again, at: self.opening))
        #expect(authenticator.count == 1)
        try self.answer(&authenticator, .login(user: "joe", password: "other"), second.first)
    }

    @Test("tokens are not sent twice either")
    func refusedTokens() throws {
        var authenticator = Authenticator()
        try self.answer(&authenticator, .bearer("t"), try self.ask(&authenticator, ["Bearer"]).first)
        _ = try self.ask(&authenticator, ["Bearer"])
        #expect(authenticator.isRefused(.bearer("t"), at: self.extended))
        #expect(authenticator.isRefused(.authorization("Bearer t"), at: self.extended))
        #expect(!authenticator.isRefused(.token("t"), at: self.extended))
    }

    @Test(
        "credentials go to the scheme that they are for",
        arguments: [
            ("Basic realm=x", Credentials.digest(user: "a", password: "b")), (md5, .basic(user: "a", password: "b")),
            (md5, .bearer("t")), ("Bearer", .token("t")), ("Negotiate", .login(user: "a", password: "b")),
            ("Bearer", .bearer("")), ("Bearer", .bearer("a b")), ("Bearer", .bearer("a\r\nX: y")),
            ("Token", .token("")),
            ("Token", .token("a\nb")), ("Basic realm=x", .login(user: "a:b", password: "c")),
            (md5, .login(user: "a:b", password: "c")), (md5, .digest(user: "a", password: "c\n")),
        ] as [(String, Credentials)]
    )
    func misfits(challenge: String, credentials: Credentials) throws {
        var authenticator = Authenticator()
        let requests = try self.ask(&authenticator, [challenge])
        #expect(self.code { try self.answer(&authenticator, credentials, requests.first) } == .invalidArgument)
        #expect(authenticator.count == 0)
        #expect(authenticator.authorization(at: self.extended, target: self.target, clientNonce: "c") == nil)
    }

    @Test(
        "KHP-E17: Kaazing's prefix is taken off; Bearer and Token go out as they are",
        arguments: [
            (
                "Application Basic realm=x", Credentials.login(user: "joe", password: "welcome"),
                "Basic am9lOndlbGNvbWU="
            ),
            ("Application Token realm=x", .token("gold"), "Token gold"),
            ("Application Negotiate abc=", .authorization("Negotiate xyz="), "Negotiate xyz="),
            ("Bearer realm=x, scope=\"a b\"", .bearer("mF_9.B5f-4.1JqM="), "Bearer mF_9.B5f-4.1JqM="),
        ] as [(String, Credentials, String)]
    )
    func plain(challenge: String, credentials: Credentials, value: String) throws {
        var authenticator = Authenticator()
        let request = try self.ask(&authenticator, [challenge]).first
        #expect(request?.scheme == String(value.prefix { $0 != " " }))
        #expect(try self.answer(&authenticator, credentials, request) == value)
    }

    // MARK: stale, counts, nextnonce

    @Test("stale: the new nonce without asking, no refusal, bounded by the rounds (threat E10)")
    func stale() throws {
        var authenticator = Authenticator()
        try self.answer(&authenticator, self.login, try self.ask(&authenticator, [Self.sha256]).first)
        for number in 2...4 {
            let renewed = Self.sha256.replacing("n1", with: "n\(number)") + ", stale=true"
            guard case .answer(let value, let request) = try self.challenged(&authenticator, [Self.md5, renewed]) else {
                Issue.record("asked again")
                return
            }
            #expect(request.round == number)
            let sent = try self.parameters(value)
            #expect(sent["nonce"] == "n\(number)")
            #expect(sent["nc"] == "00000001")
            #expect(sent["algorithm"] == "SHA-256")
        }
        #expect(!authenticator.isRefused(self.login, at: self.extended))
        #expect(
            self.code { _ = try self.challenged(&authenticator, [Self.sha256 + ", stale=true"]) }
                == .authenticationFailed
        )
    }

    @Test(
        "not stale: for another realm, for the same nonce, or where nothing of Digest was sent",
        arguments: [
            "Digest realm=other, nonce=n2, qop=auth, stale=true", md5 + ", stale=true",
            "Digest realm=desk, nonce=n2, qop=auth, stale=false",
        ]
    )
    func notStale(challenge: String) throws {
        var authenticator = Authenticator()
        try self.answer(&authenticator, self.login, try self.ask(&authenticator, [Self.md5]).first)
        #expect(try self.ask(&authenticator, [challenge]).first?.previousWasRefused == true)
        var fresh = Authenticator()
        #expect(try self.ask(&fresh, [challenge]).first?.previousWasRefused == false)
    }

    @Test("a later request of the place counts the nonce on, and no other place gets it (threats G8, G9)")
    func countsOn() throws {
        var authenticator = Authenticator()
        try self.answer(
            &authenticator,
            self.login,
            try self.ask(&authenticator, [Self.md5], at: self.opening).first,
            at: self.opening
        )
        try authenticator.accepted(HandshakeResponse(status: 101, reason: ""), at: self.opening)
        let next = Authenticator.Target(method: "GET", uri: "/b")
        let sent = try self.parameters(authenticator.authorization(at: self.opening, target: next, clientNonce: "d"))
        #expect(sent["nc"] == "00000002")
        #expect(sent["uri"] == "/b")
        #expect(sent["cnonce"] == "d")
        #expect(authenticator.authorization(at: self.extended, target: next, clientNonce: "d") == nil)
        #expect(authenticator.authorization(at: .origin(self.other, .opening), target: next, clientNonce: "d") == nil)
        #expect(authenticator.authorization(at: self.proxy, target: next, clientNonce: "d") == nil)
        // The other handshake asks with the same nonce: no count comes twice.
        let inside = try self.answer(&authenticator, self.login, try self.ask(&authenticator, [Self.md5]).first)
        #expect(try self.parameters(inside)["nc"] == "00000003")
    }

    @Test("what came along unasked is refused only where the same realm and scheme ask again")
    func unasked() throws {
        for (challenge, refused) in [
            (Self.md5.replacing("n1", with: "n2"), true), ("Digest realm=other, nonce=n2, qop=auth", false),
        ] {
            var authenticator = Authenticator()
            try self.answer(&authenticator, self.login, try self.ask(&authenticator, [Self.md5]).first)
            try authenticator.accepted(HandshakeResponse(status: 302, reason: ""), at: self.extended)
            #expect(authenticator.authorization(at: self.extended, target: self.target, clientNonce: "d") != nil)
            _ = try self.ask(&authenticator, [challenge])
            #expect(authenticator.isRefused(self.login, at: self.extended) == refused)
        }
    }

    @Test("nextnonce is taken, a wrong rspauth is not (threat G14)")
    func authenticationInfo() throws {
        var authenticator = Authenticator()
        let value = try self.answer(&authenticator, self.login, try self.ask(&authenticator, [Self.md5]).first)
        var fields = HTTPFields()
        fields[.authenticationInfo] = "nextnonce=\"n9\""
        var wrong = authenticator
        try authenticator.accepted(HandshakeResponse(status: 101, reason: "", headers: fields), at: self.extended)
        let sent = try self.parameters(
            authenticator.authorization(at: self.extended, target: self.target, clientNonce: "d")
        )
        #expect(sent["nonce"] == "n9")
        #expect(sent["nc"] == "00000001")
        fields[.authenticationInfo] = "rspauth=\"\(try self.parameters(value)["response"] ?? "")\""
        let error = #expect(throws: WebSocketError.self) {
            try wrong.accepted(HandshakeResponse(status: 302, reason: "", headers: fields), at: self.extended)
        }
        #expect(error?.code == .authenticationFailed)
    }

    @Test(
        "a redirect whose rspauth covers content is taken where that was not read whole (RFC 7616 section 3.5)",
        arguments: [("auth-int", "17", true), ("auth-int", nil, true), ("auth-int", "0", false), ("auth", "17", false)]
            as [(String, String?, Bool)]
    )
    func redirectWithContent(_ qop: String, _ length: String?, _ isTaken: Bool) throws {
        for place in [self.opening, self.extended] {
            var authenticator = Authenticator()
            let request = try self.ask(&authenticator, [Self.md5], at: place).first
            try self.answer(&authenticator, self.login, request, at: place)
            var fields = HTTPFields()
            fields[.authenticationInfo] = "rspauth=\"\(String(repeating: "0", count: 32))\", qop=\(qop)"
            fields[.contentLength] = length
            let redirect = HandshakeResponse(status: 302, reason: "", headers: fields)
            do throws(WebSocketError) {
                try authenticator.accepted(redirect, at: place)
                #expect(isTaken)
            } catch {
                #expect(!isTaken)
                #expect(error.code == .authenticationFailed)
            }
        }
    }

    @Test("D12, threat F2: what was left is forgotten, and stays refused where it was")
    func left() throws {
        let entry = PreemptiveCredentials(.token("t"), origin: self.url)
        var authenticator = try Authenticator(preemptive: [entry])
        try self.answer(&authenticator, self.login, try self.ask(&authenticator, [Self.md5]).first)
        authenticator.left(self.url)
        #expect(authenticator.authorization(at: self.extended, target: self.target, clientNonce: "d") == nil)
        #expect(authenticator.authorization(at: self.opening, target: self.target, clientNonce: "d") == nil)
        #expect(authenticator.proof(at: self.extended) == nil)
        #expect(try self.ask(&authenticator, [Self.md5]).count == 1)
    }

    // MARK: Unasked

    @Test("pre-emptive credentials: both handshakes of their origin, nowhere else, not once refused")
    func preemptive() throws {
        let entry = try PreemptiveCredentials(.basic(user: "joe", password: "welcome"), origin: "http://h/other")
        var authenticator = try Authenticator(preemptive: [entry])
        for place in [self.opening, self.extended] {
            let value = authenticator.authorization(at: place, target: self.target, clientNonce: "c")
            #expect(value == "Basic am9lOndlbGNvbWU=")
        }
        let secure = try WebSocketURL("wss://h/a")
        for place in [self.proxy, .origin(self.other, .opening), .origin(secure, .opening)] {
            #expect(authenticator.authorization(at: place, target: self.target, clientNonce: "c") == nil)
        }
        // Digest is asked for: the same login may answer that.
        var digest = authenticator
        #expect(try self.ask(&digest, [Self.md5]).first?.previousWasRefused == false)
        #expect(!digest.isRefused(self.login, at: self.extended))
        _ = try self.ask(&authenticator, [Self.basic])
        #expect(authenticator.isRefused(self.login, at: self.extended))
        for place in [self.opening, self.extended] {
            #expect(authenticator.authorization(at: place, target: self.target, clientNonce: "c") == nil)
        }
    }

    @Test(
        "what cannot be sent unasked is refused",
        arguments: [
            Credentials.login(user: "a", password: "b"), .digest(user: "a", password: "b"), .token(""),
            .basic(user: "a:b", password: "c"), .authorization("a\r\nb"),
        ]
    )
    func notPreemptive(credentials: Credentials) throws {
        let entry = PreemptiveCredentials(credentials, origin: self.url)
        #expect(self.code { _ = try Authenticator(preemptive: [entry]) } == .invalidArgument)
    }

    @Test("never shown")
    func descriptions() throws {
        var authenticator = try Authenticator(preemptive: [PreemptiveCredentials(.token("CANARY"), origin: self.url)])
        try self.answer(
            &authenticator,
            .login(user: "u", password: "CANARY"),
            try self.ask(&authenticator, [Self.basic]).first
        )
        var text = "\(authenticator)\(String(reflecting: authenticator))"
        dump(authenticator, to: &text)
        #expect(!text.contains("CANARY"))
        #expect(!text.contains(Base64.encode(Array("u:CANARY".utf8))))
    }
}
