import KHPGateway
import Testing

@Suite("The origins of a gateway's service")
struct OriginRuleTests {
    @Test(
        "are let in or not",
        arguments: [
            ("https://app.example.com", "https://app.example.com", true),
            ("https://app.example.com", "HTTPS://APP.example.com:443", true),
            ("https://app.example.com", "http://app.example.com", false),
            ("https://app.example.com", "https://app.example.com:8443", false),
            ("https://app.example.com", "https://app.example.com.evil.org", false),
            ("https://app.example.com", "null", false),
            ("http://[::1]:8080", "http://[::1]:8080", true),
            ("https://*.example.org", "https://a.example.org", true),
            ("https://*.example.org", "https://a.b.example.org", true),
            ("https://*.example.org", "https://example.org", false),
            ("https://*.example.org", "https://evilexample.org", false),
            ("https://*.example.org", "http://a.example.org", false),
            ("https://*.example.org", "https://a.example.org/x", false),
            ("*", "null", true),
        ]
    )
    func allows(_ rule: String, _ origin: String, _ expected: Bool) throws {
        let rule = try #require(OriginRule(rule))
        #expect(rule.allows(origin) == expected)
    }

    @Test(
        "are no origins with a path, without a scheme or a host, or with a star elsewhere",
        arguments: [
            "https://a/b", "a.example.com", "https://", "ws://a", "https://a*b", "https://*", "https://a:0", "null",
            "https://a:99999", "https://user@a", "https://*.*.a", "",
        ]
    )
    func refuses(_ text: String) {
        #expect(OriginRule(text) == nil)
    }

    @Test("are written as they are read", arguments: ["https://a.example.com", "http://*.b:81", "*", "http://[::1]:1"])
    func writes(_ text: String) throws {
        #expect(try #require(OriginRule(text)).description == text)
    }
}
