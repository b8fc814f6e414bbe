// Which proxy a URL goes through: no_proxy rules and the environment's variables (R-P1).

import KHPProtocol
import Testing

@Suite struct NoProxyRulesTests {
    @Test(arguments: [
        ("", "ws://example.com/", false),
        ("*", "ws://example.com/", true),
        ("example.com", "ws://example.com/", true),
        ("example.com", "ws://EXAMPLE.com:99/", true),
        ("Example.COM", "ws://example.com/", true),
        ("example.com", "ws://example.com./", true),
        ("example.com.", "ws://example.com/", true),
        ("example.com", "ws://a.b.example.com/", true),
        ("example.com", "ws://badexample.com/", false),
        ("example.com", "ws://example.com.evil.org/", false),
        (".example.com", "ws://example.com/", true),
        (".example.com", "ws://a.example.com/", true),
        (".example.com", "ws://badexample.com/", false),
        ("*.example.com", "ws://example.com/", false),
        ("*.example.com", "ws://a.example.com/", true),
        ("example.com:8080", "ws://example.com:8080/", true),
        ("example.com:8080", "ws://example.com/", false),
        ("example.com:443", "wss://example.com/", true),
        (".example.com:80", "ws://a.example.com/", true),
        ("a,example.com", "ws://example.com/", true),
        (" a , example.com ", "ws://example.com/", true),
        ("a example.com\tb", "ws://example.com/", true),
        ("192.0.2.1", "ws://192.0.2.1/", true),
        ("192.0.2.1", "ws://192.0.2.10/", false),
        ("192.0.2.1:80", "ws://192.0.2.1/", true),
        ("192.0.2.1:81", "ws://192.0.2.1/", false),
        ("192.0.2.1", "ws://[::ffff:192.0.2.1]/", true),
        ("::ffff:192.0.2.1", "ws://192.0.2.1/", true),
        ("2.1", "ws://192.0.2.1/", false),
        (".1", "ws://192.0.2.1/", false),
        ("192.0.2.0/24", "ws://192.0.2.255/", true),
        ("192.0.2.0/24", "ws://192.0.3.0/", false),
        ("192.0.2.77/24", "ws://192.0.2.1/", true),
        ("192.0.2.128/25", "ws://192.0.2.127/", false),
        ("192.0.2.128/25", "ws://192.0.2.129/", true),
        ("0.0.0.0/0", "ws://8.8.8.8/", true),
        ("0.0.0.0/0", "ws://example.com/", false),
        ("0.0.0.0/0", "ws://[::1]/", false),
        ("192.0.2.1/32", "ws://192.0.2.1/", true),
        ("192.0.2.0/33", "ws://192.0.2.1/", false),
        ("192.0.2.0/", "ws://192.0.2.1/", false),
        ("192.0.2/24", "ws://192.0.2.1/", false),
        ("::1", "ws://[::1]/", true),
        ("[::1]", "ws://[0:0:0:0:0:0:0:1]/", true),
        ("[::1]:8080", "ws://[::1]:8080/", true),
        ("[::1]:8080", "ws://[::1]/", false),
        ("2001:db8::/32", "ws://[2001:db8:1::9]/", true),
        ("[2001:db8::]/32", "ws://[2001:db8:1::9]/", true),
        ("2001:db8::/32", "ws://[2001:db9::9]/", false),
        ("2001:db8::/129", "ws://[2001:db8::9]/", false),
        ("exa mple.com:x,%,[,/,*x", "ws://example.com/", false),
    ])
    func excepts(_ rules: String, _ url: String, _ expected: Bool) throws {
        #expect(try NoProxyRules(rules).excepts(WebSocketURL(url)) == expected)
    }
}

@Suite struct ProxySelectionTests {
    private static func proxy(_ variables: [String: String], _ url: String) throws -> String? {
        try ProxySelection.environment(variables).proxy(for: WebSocketURL(url))?.description
    }

    @Test(
        arguments: [
            (["http_proxy": "http://a", "https_proxy": "http://b"], "http://a:80", "http://b:80"),
            (["HTTP_PROXY": "http://a", "HTTPS_PROXY": "http://b"], "http://a:80", "http://b:80"),
            (["http_proxy": "http://a", "HTTP_PROXY": "http://b"], "http://a:80", nil),
            (["all_proxy": "socks5://c", "https_proxy": "b:9"], "socks5://c:1080", "http://b:9"),
            (["all_proxy": "socks://c:1/", "ALL_PROXY": "d"], "socks5://c:1", "socks5://c:1"),
            (["ALL_PROXY": "c", "all_proxy": "d"], "http://d:80", "http://d:80"),
            // httpoxy: under CGI the upper-case variable is a field of somebody's request.
            (["HTTP_PROXY": "http://evil", "REQUEST_METHOD": "GET"], nil, nil),
            (["HTTP_PROXY": "http://evil", "REQUEST_METHOD": "GET", "http_proxy": "a"], "http://a:80", nil),
            (["HTTPS_PROXY": "b", "REQUEST_METHOD": "GET"], nil, "http://b:80"),
            (["http_proxy": "", "HTTP_PROXY": "a", "all_proxy": "a"], nil, "http://a:80"),
            (["all_proxy": "a", "no_proxy": "server"], nil, nil),
            (["all_proxy": "a", "NO_PROXY": "server"], nil, nil),
            (["all_proxy": "a", "no_proxy": "", "NO_PROXY": "server"], "http://a:80", "http://a:80"),
            (["all_proxy": "a", "no_proxy": "server:443"], "http://a:80", nil),
            ([:], nil, nil),
        ] as [([String: String], String?, String?)]
    )
    func environment(_ variables: [String: String], _ plain: String?, _ secure: String?) throws {
        #expect(try Self.proxy(variables, "ws://server/") == plain)
        #expect(try Self.proxy(variables, "wss://server/") == secure)
    }

    @Test func namesTheVariableAndNotThePassword() throws {
        let error = try #require(throws: WebSocketError.self) {
            _ = try Self.proxy(["http_proxy": "ftp://joe:canary@p"], "ws://server/")
        }
        #expect(error.code == .invalidArgument)
        #expect(error.message.contains("http_proxy"))
        #expect(!error.message.contains("canary") && !error.message.contains("joe"))
        // A variable that is not needed is not read.
        #expect(try Self.proxy(["http_proxy": "ftp://x"], "wss://server/") == nil)
        #expect(try Self.proxy(["http_proxy": "ftp://x", "no_proxy": "*"], "ws://server/") == nil)
    }

    @Test func oneProxyWithExceptions() throws {
        let selection = ProxySelection.proxy(try Proxy("http://p"), except: "10.0.0.0/8, .local")
        #expect(try selection.proxy(for: WebSocketURL("ws://example.com/"))?.host == "p")
        #expect(try selection.proxy(for: WebSocketURL("ws://10.1.2.3/")) == nil)
        #expect(try ProxySelection.direct.proxy(for: WebSocketURL("ws://example.com/")) == nil)
    }
}
