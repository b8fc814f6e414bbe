import KHPProtocol
import Testing

@Suite("Challenge handlers for logins, tokens and locations")
struct LoginAndDispatchTests {
    private let url: WebSocketURL
    private let other: WebSocketURL

    init() throws {
        self.url = try WebSocketURL("ws://desk.example/trades")
        self.other = try WebSocketURL("ws://desk.example:81/trades")
    }

    private func request(
        _ scheme: String,
        at hop: WebSocketURL,
        layer: HandshakeLayer = .extended,
        realm: String? = "desk",
        proxy: String? = nil
    ) -> ChallengeRequest {
        ChallengeRequest(url: hop, originalURL: self.url, layer: layer, scheme: scheme, realm: realm, proxy: proxy)
    }

    @Test("D12, D20: fixed logins and tokens stay with the origin that was asked for (threats F1, F3)")
    func fixed() async {
        let login = LoginChallengeHandler(user: "joe", password: "welcome")
        let token = TokenChallengeHandler(token: "gold")
        for scheme in ["Digest", "bAsIc"] {
            #expect(
                await login.respond(to: self.request(scheme, at: self.url)) == .login(user: "joe", password: "welcome")
            )
            #expect(await login.respond(to: self.request(scheme, at: self.other)) == nil)
            #expect(await login.respond(to: self.request(scheme, at: self.url, layer: .proxy)) == nil)
            #expect(await token.respond(to: self.request(scheme, at: self.url)) == nil)
        }
        #expect(await token.respond(to: self.request("BEARER", at: self.url)) == .bearer("gold"))
        #expect(await token.respond(to: self.request("Token", at: self.url)) == .token("gold"))
        for scheme in ["Bearer", "Token"] {
            #expect(await token.respond(to: self.request(scheme, at: self.other)) == nil)
            #expect(await token.respond(to: self.request(scheme, at: self.url, layer: .proxy)) == nil)
            #expect(await login.respond(to: self.request(scheme, at: self.url)) == nil)
        }
        let bound = LoginChallengeHandler(user: "joe", password: "welcome", origin: self.other)
        #expect(await bound.respond(to: self.request("Digest", at: self.other)) != nil)
        #expect(await bound.respond(to: self.request("Digest", at: self.url)) == nil)
    }

    @Test func closures() async {
        let login = LoginChallengeHandler { $0.realm == "desk" ? ("a", "b") : nil }
        #expect(await login.respond(to: self.request("Digest", at: self.other)) == .login(user: "a", password: "b"))
        #expect(await login.respond(to: self.request("Digest", at: self.other, realm: nil)) == nil)
        let token = TokenChallengeHandler { $0.layer == .opening ? "t" : nil }
        #expect(await token.respond(to: self.request("Token", at: self.other, layer: .opening)) == .token("t"))
        #expect(await token.respond(to: self.request("Token", at: self.other)) == nil)
    }

    @Test(
        "location patterns",
        arguments: [
            ("*", ["ws://a/", "wss://b.c:9/x?y"], []),
            (
                "example.com", ["ws://example.com/", "wss://example.com/a", "ws://EXAMPLE.com:80"],
                [
                    "ws://example.com:8000/", "ws://a.example.com/", "wss://example.com:80/", "ws://notexample.com/",
                ]
            ),
            (
                "*.example.com:8000/*", ["ws://a.example.com:8000/", "wss://a.b.example.com:8000/x"],
                [
                    "ws://example.com:8000/", "ws://a.example.com/", "ws://evilexample.com:8000/",
                    "ws://a.example.com.evil:8000/",
                ]
            ),
            ("*.example.com:*", ["ws://a.example.com:1234/", "wss://a.example.com/"], ["ws://example.com:1/"]),
            ("wss://example.com", ["wss://example.com/"], ["ws://example.com/", "wss://example.com:444/"]),
            ("http://*/a", ["ws://x/a", "ws://x/a?b", "ws://x/%61"], ["ws://x/a/", "ws://x/", "wss://x/a"]),
            ("h/a/*", ["ws://h/a", "ws://h/a/", "ws://h/a/b/c"], ["ws://h/ab", "ws://h/", "ws://h/b/../b/a"]),
            ("h/b/../a", ["ws://h/a"], ["ws://h/b"]),
            ("[::1]:9", ["ws://[::1]:9/"], ["ws://[::1]/", "ws://[::2]:9/"]),
            ("*:*", ["ws://a:1/", "wss://[::1]:5/"], []), ("*", ["ws://127.0.0.1:5/"], []),
            ("*.1", [], ["ws://127.0.0.1/"]),
        ] as [(String, [String], [String])]
    )
    func patterns(pattern: String, matching: [String], others: [String]) throws {
        guard let location = try? LocationPattern(pattern) else {
            #expect(matching.isEmpty)
            return
        }
        for url in matching { #expect(location.matches(try WebSocketURL(url)), "\(url)") }
        for url in others { #expect(!location.matches(try WebSocketURL(url)), "\(url)") }
        #expect(location.description == pattern)
    }

    @Test(
        "what is no pattern",
        arguments: [
            "", "joe@example.com", "ws://joe:pw@h/", "ftp://h", "h:0", "h:65536", "h:x", "h:", "h/a?b", "h/a#b", "a*.b",
            "*example.com", "h/*/b", "h/a*", "h\\b", "a b", "*.", "*.127.0.0.1", "h/\r\n", "://h", "h:+80",
        ]
    )
    func noPatterns(text: String) {
        let error = #expect(throws: WebSocketError.self) { try LocationPattern(text) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains("pw") == false)
    }

    @Test(
        "an error says which part of a pattern does not belong there",
        arguments: [
            ("h/a?b", "a query or a fragment"), ("h/a#b", "a query or a fragment"), ("joe@h", "user and password"),
            ("a b", "a space"), ("h\\b", "a backslash"), ("h\u{7F}", "a control character"), ("ftp://h", "its scheme"),
        ]
    )
    func reasons(text: String, reason: String) {
        let error = #expect(throws: WebSocketError.self) { try LocationPattern(text) }
        #expect(error?.message.contains(reason) == true)
    }

    @Test("the most specific registration answers, alone")
    func dispatch() async throws {
        func handler(_ name: String?) -> TokenChallengeHandler { TokenChallengeHandler { _ in name } }
        var dispatch = DispatchChallengeHandler()
        func answer(_ url: String, realm: String? = "desk", proxy: String? = nil) async throws -> Credentials? {
            let layer = proxy == nil ? HandshakeLayer.extended : .proxy
            let hop = try WebSocketURL(url)
            return await dispatch.respond(to: self.request("Token", at: hop, layer: layer, realm: realm, proxy: proxy))
        }
        #expect(try await answer("ws://a.b.example/") == nil)
        try dispatch.register(handler("any"), for: "*")
        try dispatch.register(handler("below"), for: "*.example")
        try dispatch.register(handler("deeper"), for: "*.b.example:*")
        try dispatch.register(handler("exact"), for: "a.b.example:*")
        try dispatch.register(handler("port"), for: "a.b.example")
        try dispatch.register(handler("path"), for: "a.b.example/x/*")
        try dispatch.register(handler("secure"), for: "wss://a.b.example/x/*")
        try dispatch.register(handler(nil), for: "a.b.example/x/y")
        try dispatch.register(handler("beginning"), for: "*", realm: "de*")
        try dispatch.register(handler("realm"), for: "*", realm: "desk")
        let expected: [(String, String?, String?)] = [
            ("ws://other/", "desk", "realm"), ("ws://other/", "dean", "beginning"), ("ws://other/", nil, "any"),
            ("ws://other/", "floor", "any"), ("ws://c.example/", "desk", "below"),
            ("ws://c.b.example:9/", nil, "deeper"), ("ws://a.b.example:9/x", nil, "exact"),
            ("ws://a.b.example/", nil, "port"), ("ws://a.b.example/x/z", nil, "path"),
            ("wss://a.b.example/x/z", nil, "secure"),
            // Its handler gives up, and nobody else is asked.
            ("ws://a.b.example/x/y", "desk", nil),
        ]
        for (url, realm, name) in expected {
            #expect(try await answer(url, realm: realm) == name.map { .token($0) }, "\(url)")
        }
        try dispatch.register(handler("newer"), for: "*.example")
        #expect(try await answer("ws://c.example/") == .token("newer"))
        // No pattern reaches a proxy.
        #expect(try await answer("ws://other/", proxy: "p:1") == nil)
        dispatch.register(handler("proxies"), forProxy: nil)
        dispatch.register(handler("proxy"), forProxy: "P:1")
        #expect(try await answer("ws://other/", proxy: "p:1") == .token("proxy"))
        #expect(try await answer("ws://other/", proxy: "p:2") == .token("proxies"))
        #expect(try await answer("ws://other/") == .token("realm"))
    }
}
