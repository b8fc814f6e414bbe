// D23, threat A13: the origins that may open WebSockets; threat A14: the hosts that are served.

import KHPProtocol
import Testing

@Suite struct OriginPolicyTests {
    @Test(
        arguments: [
            (nil, true), ("https://example.com", true), ("HTTPS://EXAMPLE.COM", true),
            ("https://example.com:443", true),
            ("http://localhost:8080", true), ("http://example.com", false), ("https://example.com:444", false),
            ("https://example.com.", false), ("https://evil-example.com", false), ("https://example.com.evil", false),
            ("https://www.example.com", false), ("https://example.com/", false), ("https://user@example.com", false),
            ("https://b\u{FC}cher.example", false), ("null", false), ("", false), ("example.com", false),
            ("https://example.com https://evil.example", false), ("https://", false), ("://example.com", false),
        ] as [(String?, Bool)]
    )
    func listed(origin: String?, passes: Bool) throws {
        let policy = try OriginPolicy.allowing(["https://Example.com", "http://localhost:8080"])
        #expect(policy.allows(origin, at: try Authority("example.com"), isSecure: true) == passes)
    }

    @Test(
        arguments: [
            (nil, false, true), ("http://example.com:8080", false, true), ("https://example.com:8080", false, true),
            ("https://example.com:8080", true, true), ("http://example.com:8080", true, false),
            ("http://example.com", false, false), ("http://other.example:8080", false, false), ("null", false, false),
            ("privileged://example.com:8080", false, false),
        ] as [(String?, Bool, Bool)]
    )
    func same(origin: String?, isSecure: Bool, passes: Bool) throws {
        let authority = try Authority("EXAMPLE.com:8080")
        #expect(OriginPolicy.sameOrigin.allows(origin, at: authority, isSecure: isSecure) == passes)
    }

    /// Behind a proxy that ends TLS the page says https while the request says nothing.
    @Test func aDefaultPortIsAsGoodAsNone() throws {
        for host in ["example.com", "example.com:80", "example.com:443"] {
            let authority = try Authority(host)
            #expect(OriginPolicy.sameOrigin.allows("https://example.com", at: authority, isSecure: false))
        }
    }

    @Test("the default port of another scheme is another port", arguments: ["https://h:80", "http://h:443"])
    func anotherSchemesPort(origin: String) throws {
        let authority = try Authority("h")
        for isSecure in [false, true] {
            #expect(!OriginPolicy.sameOrigin.allows(origin, at: authority, isSecure: isSecure))
        }
        #expect(OriginPolicy.sameOrigin.allows("https://h:443", at: authority, isSecure: true))
        #expect(OriginPolicy.sameOrigin.allows("http://h:80", at: authority, isSecure: false))
    }

    @Test func anyTakesAll() throws {
        for origin in ["null", "https://evil.example", nil] {
            #expect(OriginPolicy.any.allows(origin, at: try Authority("a"), isSecure: true))
        }
    }

    @Test(arguments: ["null", "example.com", "https://", "https://a b", "https://example.com/path", ""])
    func refusesToListWhatIsNoOrigin(text: String) {
        #expect(throws: WebSocketError.self) { try OriginPolicy.allowing([text]) }
    }

    @Test(arguments: [
        ("example.com", true), ("example.com:80", true), ("example.com:9000", true), ("[::1]:8080", true),
        ("rooted.example", true), ("rooted.example.:7", true), ("Example.COM.", true), ("[0:0:0::1]:8080", true),
        ("[::1]", false), ("[::1]:80", false), ("attacker.test", false), ("example.com.attacker.test", false),
    ])
    func hosts(host: String, passes: Bool) throws {
        let policy = try HostPolicy.allowing(["EXAMPLE.com", "[0:0::1]:8080", "rooted.example."])
        #expect(policy.allows(try Authority(host)) == passes)
        #expect(HostPolicy.any.allows(try Authority(host)))
    }

    @Test func refusesToListWhatIsNoHost() {
        #expect(throws: WebSocketError.self) { try HostPolicy.allowing(["http://example.com"]) }
    }
}
