import KHPProtocol
import TestSupport
import Testing

@Suite struct WebSocketURLTests {
    /// Given, description, resource, authority, origin.
    static let valid: [(String, String, String, String, String)] = [
        ("ws://example.com", "ws://example.com/", "/", "example.com", "http://example.com"),
        ("WSS://Example.COM:443/a", "wss://example.com/a", "/a", "example.com", "https://example.com"),
        ("ws://h:443/", "ws://h:443/", "/", "h:443", "http://h:443"),
        ("wss://h:80", "wss://h:80/", "/", "h:80", "https://h:80"),
        ("ws://h:", "ws://h/", "/", "h", "http://h"),
        ("http://h/x", "ws://h/x", "/x", "h", "http://h"),
        ("https://h/x", "wss://h/x", "/x", "h", "https://h"),
        ("ws://h?a=1", "ws://h/?a=1", "/?a=1", "h", "http://h"),
        ("ws://h/?", "ws://h/?", "/?", "h", "http://h"),
        ("ws://h/a?b?c/d", "ws://h/a?b?c/d", "/a?b?c/d", "h", "http://h"),
        ("ws://h/a/../b/./c", "ws://h/b/c", "/b/c", "h", "http://h"),
        ("ws://h//a//b/", "ws://h//a//b/", "//a//b/", "h", "http://h"),
        ("ws://h/%23%e2%82%ac", "ws://h/%23%e2%82%ac", "/%23%e2%82%ac", "h", "http://h"),
        ("ws://h/\u{20ac}?\u{e9}", "ws://h/%E2%82%AC?%C3%A9", "/%E2%82%AC?%C3%A9", "h", "http://h"),
        ("ws://127.0.0.1:8080/echo", "ws://127.0.0.1:8080/echo", "/echo", "127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("ws://[::1]:9000/", "ws://[::1]:9000/", "/", "[::1]:9000", "http://[::1]:9000"),
        (
            "wss://[2001:DB8:0:0:1:0:0:1]", "wss://[2001:db8::1:0:0:1]/", "/", "[2001:db8::1:0:0:1]",
            "https://[2001:db8::1:0:0:1]"
        ),
        ("ws://[::FFFF:1.2.3.4]/", "ws://[::ffff:1.2.3.4]/", "/", "[::ffff:1.2.3.4]", "http://[::ffff:1.2.3.4]"),
        (
            "ws://xn--bcher-kva.example/", "ws://xn--bcher-kva.example/", "/", "xn--bcher-kva.example",
            "http://xn--bcher-kva.example"
        ),
        ("ws://my_host-1.local./", "ws://my_host-1.local./", "/", "my_host-1.local.", "http://my_host-1.local."),
        ("ws://h/a@b:c;d=e!$&'()*+,", "ws://h/a@b:c;d=e!$&'()*+,", "/a@b:c;d=e!$&'()*+,", "h", "http://h"),
        ("ws://h:00080/", "ws://h/", "/", "h", "http://h"),
    ]

    @Test("R-U1: valid URLs", arguments: valid)
    func parses(given: String, description: String, resource: String, authority: String, origin: String) throws {
        let url = try WebSocketURL(given)
        #expect(url.description == description)
        #expect(url.resource == resource)
        #expect(url.authority == authority)
        #expect(url.origin == origin)
        #expect(try WebSocketURL(url.description) == url)
    }

    @Test func parts() throws {
        let url = try WebSocketURL("wss://[FE80::1]/a/b?c=d")
        #expect(url.isSecure)
        #expect(url.host == "fe80::1")
        #expect(url.port == 443)
        #expect(url.path == "/a/b")
        #expect(url.query == "c=d")
        #expect(try WebSocketURL("ws://h").query == nil)
        #expect(try WebSocketURL("ws://h?").query == "")
        #expect(url.redacted == "wss://[fe80::1]/a/b?c=d")
    }

    @Test(
        "R-U2: invalid URLs say why",
        arguments: [
            ("", "no scheme"), ("example.com", "no scheme"), ("//example.com/", "no scheme"), ("ftp://h/", "ftp"),
            ("ws:h", "no //"), ("ws:/h", "no //"), ("ws://", "host is empty"), ("ws:///a", "host is empty"),
            ("ws://:80/", "host is empty"), ("ws://h/#frag", "%23"), ("ws://h#", "%23"),
            ("ws://user:pass@h/", "challenge handler"), ("ws://@h/", "challenge handler"),
            ("ws://h:0/", "port is 0"), ("ws://h:65536/", "above 65535"),
            ("ws://h:99999999999999999999/", "above 65535"),
            ("ws://h:8o/", "not a number"), ("ws://h:-1/", "not a number"), ("ws://h:80:80/", "not a number"),
            ("ws://b\u{fc}cher.example/", "punycode"), ("ws://a b/", "a space"), ("ws://h/a b", "%20"),
            ("ws://h/a\\b", "%5C"), ("ws:\\\\h/", "no //"), ("ws://h\\x/", "host name"), ("ws://h/\u{1}", "%01"),
            ("ws://h/\u{7f}", "%7F"), ("ws://h/\r\n", "%0D"), ("ws://h/%", "hexadecimal"), ("ws://h/%2", "hexadecimal"),
            ("ws://h/%zz", "hexadecimal"), ("ws://h/?a=%g0", "hexadecimal"), ("ws://h/<x>", "%3C"),
            ("ws://h/?a={1}", "%7B"), ("ws://h/?a|b", "%7C"), ("ws://h/?a[0]", "%5B"), ("ws://%65x/", "host name"),
            ("ws://a..b/", "label"), ("ws://.a/", "label"), ("ws://./", "label"), ("ws://256.1.1.1/", "IPv4"),
            ("ws://1.2.3/", "IPv4"), ("ws://1.2.3.4.5/", "IPv4"), ("ws://0x7f.1/", "IPv4"),
            ("ws://2130706433/", "IPv4"),
            ("ws://01.2.3.4/", "IPv4"), ("ws://0x7f000001/", "IPv4"), ("ws://1.2.3.4./", "IPv4"),
            ("ws://[::1/", "no ]"),
            ("ws://[::1]x/", "after the host"), ("ws://[]/", "IPv6"), ("ws://[:]/", "IPv6"),
            ("ws://[1::2::3]/", "IPv6"),
            ("ws://[::12345]/", "IPv6"), ("ws://[1:2:3:4:5:6:7]/", "IPv6"), ("ws://[1:2:3:4:5:6:7:8:9]/", "IPv6"),
            ("ws://[1:2:3:4:5:6:7:8::]/", "IPv6"), ("ws://[1:2:3:4:5:6:7:]/", "IPv6"),
            ("ws://[fe80::1%25eth0]/", "zone"),
            ("ws://[v1.x]/", "IPv6"), ("ws://[::1.2.3]/", "IPv6"), ("ws://[1.2.3.4]/", "IPv6"),
            ("ws://[:::1]/", "IPv6"),
            ("ws://[::g]/", "IPv6"), ("ws://[::1:]/", "IPv6"),
            ("ws://" + String(repeating: "a", count: 64) + "/", "63"),
            ("ws://" + String(repeating: "a.", count: 130) + "/", "too long"),
        ]
    )
    func refuses(given: String, reason: String) {
        let error = #expect(throws: WebSocketError.self) { try WebSocketURL(given) }
        #expect(error?.code == .invalidURL)
        #expect(error?.message.contains(reason) == true, "\(error?.message ?? "")")
        #expect(error?.message.contains("pass@") == false)
    }

    @Test(arguments: [
        ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("::", "::"), ("1::", "1::"), ("::8", "::8"),
        ("1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8"),
        ("0:0:3:0:0:0:7:8", "0:0:3::7:8"), ("0001:0:0:4:0:0:7:8", "1::4:0:0:7:8"),
        ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
        ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"), ("64:ff9b::1.2.3.4", "64:ff9b::102:304"), ("::1.2.3.4", "::102:304"),
        ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"), ("1:2:3:4:5:ffff:102:304", "1:2:3:4:5:ffff:102:304"),
        ("::5:ffff:102:304", "::5:ffff:102:304"), ("::fffe:102:304", "::fffe:102:304"),
    ])
    func ipv6Spelling(given: String, expected: String) throws {
        #expect(try WebSocketURL("ws://[\(given)]").host == expected)
    }

    @Test(
        "RFC 3986 section 5.4, over ws",
        arguments: [
            ("ws://g", "ws://g/"), ("//g", "ws://g/"), ("g", "ws://a/b/c/g"), ("./g", "ws://a/b/c/g"),
            ("g/", "ws://a/b/c/g/"),
            ("/g", "ws://a/g"), ("?y", "ws://a/b/c/d;p?y"), ("g?y", "ws://a/b/c/g?y"), ("#s", "ws://a/b/c/d;p?q"),
            ("g#s", "ws://a/b/c/g"), ("g?y#s", "ws://a/b/c/g?y"), (";x", "ws://a/b/c/;x"), ("g;x", "ws://a/b/c/g;x"),
            ("g;x?y#s", "ws://a/b/c/g;x?y"), ("", "ws://a/b/c/d;p?q"), (".", "ws://a/b/c/"), ("./", "ws://a/b/c/"),
            ("..", "ws://a/b/"), ("../", "ws://a/b/"), ("../g", "ws://a/b/g"), ("../..", "ws://a/"),
            ("../../", "ws://a/"),
            ("../../g", "ws://a/g"), ("../../../g", "ws://a/g"), ("../../../../g", "ws://a/g"), ("/./g", "ws://a/g"),
            ("/../g", "ws://a/g"), ("g.", "ws://a/b/c/g."), (".g", "ws://a/b/c/.g"), ("g..", "ws://a/b/c/g.."),
            ("..g", "ws://a/b/c/..g"), ("./../g", "ws://a/b/g"), ("./g/.", "ws://a/b/c/g/"),
            ("g/./h", "ws://a/b/c/g/h"),
            ("g/../h", "ws://a/b/c/h"), ("g;x=1/./y", "ws://a/b/c/g;x=1/y"), ("g;x=1/../y", "ws://a/b/c/y"),
            ("g?y/./x", "ws://a/b/c/g?y/./x"), ("g?y/../x", "ws://a/b/c/g?y/../x"), ("g#s/./x", "ws://a/b/c/g"),
            ("g#s/../x", "ws://a/b/c/g"),
        ]
    )
    func resolution(reference: String, expected: String) throws {
        let base = try WebSocketURL("ws://a/b/c/d;p?q")
        #expect(try base.resolving(reference).description == expected)
    }

    @Test(
        "D11 and what else a server may send",
        arguments: [
            ("http://h/x", "ws://h/x"), ("https://h:444/x", "wss://h:444/x"), ("HTTPS://H/", "wss://h/"),
            ("//u:p@h/x", "wss://h/x"), ("wss://joe@h", "wss://h/"), ("?", "wss://base:1/dir/file?"),
            ("/a|b", "wss://base:1/a%7Cb"), ("/\u{20ac}", "wss://base:1/%E2%82%AC"), ("x:80/", ""), ("mailto:a@b", ""),
            ("javascript:alert(1)", ""), ("data:,x", ""), ("file:///etc/passwd", ""), ("/a b", ""), ("\\\\h\\x", ""),
            ("/a\r\nb", ""), ("/%zz", ""), ("ws:/x", ""), ("http:///x", ""), ("//a@b@c/", ""), ("//h:0/", ""),
            ("//[::1", ""), ("//h%2Fx/", ""), ("//0x7f.1/", ""),
        ]
    )
    func locations(reference: String, expected: String) throws {
        let base = try WebSocketURL("wss://base:1/dir/file?q")
        if expected.isEmpty {
            let error = #expect(throws: WebSocketError.self) { try base.resolving(reference) }
            #expect(error?.code == .invalidURL)
        } else {
            #expect(try base.resolving(reference).description == expected)
        }
    }

    @Test(
        "KHP-E16: one key for all spellings of a resource",
        arguments: [
            ("ws://h/a%2Db?%7e", "WS://H:80/a-b?~", true), ("ws://h/%c3%a9", "ws://h/\u{e9}", true),
            ("ws://h/a/%2e%2E/./b%2E/%2e", "ws://h/b./", true), ("ws://h/a%2Fb", "ws://h/a/b", false),
            ("ws://h/", "wss://h/", false), ("ws://h/?", "ws://h/", false),
            ("ws://h/a", "ws://h/A", false), ("wss://h:80", "ws://h:80", false),
        ]
    )
    func loopKeys(one: String, other: String, equal: Bool) throws {
        #expect(try (WebSocketURL(one).loopKey == WebSocketURL(other).loopKey) == equal)
    }

    @Test func sameOrigin() throws {
        let url = try WebSocketURL("ws://h/a")
        #expect(try url.isSameOrigin(as: WebSocketURL("WS://H:80/b")))
        #expect(try !url.isSameOrigin(as: WebSocketURL("wss://h/a")))
        #expect(try !url.isSameOrigin(as: WebSocketURL("ws://h:81/a")))
        #expect(try !url.isSameOrigin(as: WebSocketURL("ws://h./a")))
    }

    @Test func deepPathsTakeLinearTime() throws {
        let start = ContinuousClock.now
        let url = try WebSocketURL("ws://h/" + String(repeating: "a/../", count: 20000))
        #expect(url.path == "/")
        _ = try url.resolving(String(repeating: "../a/", count: 20000))
        #expect(start.duration(to: .now) < .seconds(3) * Sanitizer.patience)
    }

    @Test func fuzz() throws {
        var generator = SeededGenerator(seed: 3986)
        let seeds = Self.valid.map { Array($0.0.utf8) }
        let base = try WebSocketURL("wss://base/dir/file?q")
        var accepted = 0
        for round in 0..<6000 {
            let text = String(decoding: generator.mutated(seeds[round % seeds.count]), as: UTF8.self)
            // Accepted, or refused with the one error. An accepted URL is safe in a request line and reads back.
            for result in [try? WebSocketURL(text), try? base.resolving(text)] {
                guard let url = result else { continue }
                accepted += 1
                #expect(url.description.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F })
                #expect(url.path.hasPrefix("/"))
                #expect((1...65535).contains(url.port))
                #expect(try WebSocketURL(url.description) == url)
            }
        }
        #expect(accepted > 1000)
    }
}

@Suite struct AuthorityTests {
    @Test(
        "Threat A12: Host values",
        arguments: [
            ("h", "h", nil), ("H:80", "h", 80), ("[::1]:1", "::1", 1), ("h:", "h", nil),
            ("1.2.3.4:65535", "1.2.3.4", 65535),
        ] as [(String, String, Int?)]
    )
    func valid(text: String, host: String, port: Int?) throws {
        let authority = try Authority(text)
        #expect(authority.host == host)
        #expect(authority.port == port)
    }

    @Test(arguments: ["", "u@h", "h:a", "h:0", "h, h", "h/", "[::1", "a b", "::1", "h:80 "])
    func invalid(text: String) {
        #expect(throws: GrammarError.self) { try Authority(text) }
    }

    /// Names in lower case have a way of their own, which is quick. Another letter takes the long one.
    @Test(
        "both ways of reading a Host value agree",
        arguments: [
            "a", "a.b", "a..b", ".a", "a.", "a-b", "-a", "a_b", "a.1", "a.1.2.3", "1.2.3.a", "a:", "a:1", "a:0",
            "a:00080", "a:000080", "a:65535", "a:65536", "a:99999", "a:8x", "a:8:9", "a:+1", "a b", "a,b", "a/",
        ]
            + [62, 63, 64, 65].flatMap { count in
                [String(repeating: "a", count: count), "b." + String(repeating: "a", count: count) + ".c"]
            }
            + (250...256).map { count in
                (String(repeating: "a.", count: count / 2) + "aaa").prefix(count).description
            }
    )
    func bothWays(text: String) {
        let quick = try? Authority(text)
        let long = try? Authority(text.uppercased())
        #expect(quick == long)
    }
}
