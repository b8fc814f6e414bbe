import KHPProtocol
import Testing

@Suite("The cookie jar (RFC 6265 sections 5.1, 5.3 and 5.4)")
struct CookieJarTests {
    private func jar(_ fields: [(String, String)], now: Int64 = 0) throws -> CookieJar {
        var jar = CookieJar()
        for (url, text) in fields {
            guard let field = SetCookie(text), let cookie = Cookie(field, from: try WebSocketURL(url), now: now) else {
                continue
            }
            jar.set(cookie, now: now)
        }
        return jar
    }

    /// The cookies that go to `url` after `from` has set `fields`.
    private func sent(
        _ fields: [String],
        from: String,
        to url: String,
        now: Int64 = 0
    ) throws -> String {
        var jar = try self.jar(fields.map { (from, $0) })
        return jar.header(for: try WebSocketURL(url), now: now) ?? ""
    }

    @Test(
        "the examples of RFC 6265 section 3.1",
        arguments: [
            (["SID=31d4d96e407aad42"], "SID=31d4d96e407aad42"),
            (["SID=31d4d96e407aad42; Path=/; Domain=example.com"], "SID=31d4d96e407aad42"),
            (
                ["SID=31d4d96e407aad42; Path=/; Secure; HttpOnly", "lang=en-US; Path=/; Domain=example.com"],
                "SID=31d4d96e407aad42; lang=en-US"
            ),
            (["lang=en-US; Expires=Wed, 09 Jun 2021 10:18:14 GMT"], "lang=en-US"),
            (["lang=en-US", "lang=; Expires=Sun, 06 Nov 1994 08:49:37 GMT"], ""),
        ]
    )
    func examples(fields: [String], header: String) throws {
        var jar = try self.jar(fields.map { ("wss://example.com/", $0) }, now: 1_600_000_000)
        #expect(jar.header(for: try WebSocketURL("wss://example.com/"), now: 1_600_000_000) ?? "" == header)
    }

    /// A cookie that `from` sets with this attribute goes to `to`, or does not.
    @Test(
        "domain-match: hosts, ports, addresses",
        arguments: [
            ("ws://a.example.com/", "", "ws://a.example.com/", true),
            ("ws://a.example.com/", "", "ws://A.EXAMPLE.COM/x", true),
            ("ws://example.com/", "", "ws://a.example.com/", false),
            ("ws://a.example.com/", "", "ws://example.com/", false),
            ("ws://a.example.com/", "Domain=example.com", "ws://example.com/", true),
            ("ws://a.example.com/", "Domain=.EXAMPLE.com", "ws://b.example.com/", true),
            ("ws://a.example.com/", "Domain=example.com", "ws://b.a.example.com/", true),
            ("ws://a.example.com/", "Domain=a.example.com", "ws://b.a.example.com/", true),
            ("ws://a.example.com/", "Domain=a.example.com", "ws://b.example.com/", false),
            ("ws://a.example.com/", "Domain=example.com", "ws://evilexample.com/", false),
            ("ws://a.example.com/", "Domain=example.com", "ws://example.com.evil/", false),
            // Not one's own: ignored altogether.
            ("ws://a.example.com/", "Domain=b.example.com", "ws://a.example.com/", false),
            ("ws://a.example.com/", "Domain=x.a.example.com", "ws://a.example.com/", false),
            ("ws://a.example.com/", "Domain=other.com", "ws://a.example.com/", false),
            ("ws://a.example.com/", "Domain=..example.com", "ws://a.example.com/", false),
            ("ws://a.example.com/", "Domain=example.com.", "ws://a.example.com/", false),
            // One label is a public suffix, or the host itself.
            ("ws://a.com/", "Domain=com", "ws://a.com/", false), ("ws://a.com/", "Domain=.com", "ws://b.com/", false),
            ("ws://localhost/", "Domain=localhost", "ws://localhost/", true),
            ("ws://localhost/", "Domain=localhost", "ws://a.localhost/", false),
            // An address has no parent and no child.
            ("ws://10.0.0.1/", "", "ws://10.0.0.1/", true),
            ("ws://10.0.0.1/", "Domain=10.0.0.1", "ws://10.0.0.1/", true),
            ("ws://10.0.0.1/", "Domain=0.0.1", "ws://10.0.0.1/", false),
            ("ws://0.0.1.example/", "Domain=0.0.1", "ws://10.0.0.1/", false),
            ("ws://[::1]/", "", "ws://[::1]/", true), ("ws://[::1]/", "Domain=::1", "ws://[::1]/", true),
            // Ports, and TLS, keep to themselves.
            ("ws://example.com/", "", "ws://example.com:80/", true),
            ("ws://example.com/", "", "ws://example.com:81/", false),
            ("ws://example.com:8080/", "Domain=example.com", "ws://a.example.com:8080/", true),
            ("ws://example.com:8080/", "Domain=example.com", "ws://a.example.com/", false),
            ("ws://example.com:8080/", "", "wss://example.com:8080/", false),
            ("wss://example.com:8080/", "", "ws://example.com:8080/", false),
        ]
    )
    func domains(from: String, attribute: String, target: String, goes: Bool) throws {
        #expect(try self.sent(["a=b; Path=/; \(attribute)"], from: from, to: target) == (goes ? "a=b" : ""))
    }

    @Test(
        "path-match, and the default path",
        arguments: [
            ("/", "", "/", true), ("/", "", "/x/y", true), ("/a", "", "/b", true), ("/a/b", "", "/a", true),
            ("/a/b", "", "/a/", true), ("/a/b", "", "/a/c", true), ("/a/b", "", "/ab", false), ("/a/b", "", "/", false),
            ("/a/b/", "", "/a/b", true), ("/a/b/", "", "/a", false), ("/x?/a/b", "", "/y", true),
            ("/", "Path=/foo", "/foo", true), ("/", "Path=/foo", "/foo/", true), ("/", "Path=/foo", "/foo/bar", true),
            ("/", "Path=/foo", "/foobar", false), ("/", "Path=/foo", "/fo", false), ("/", "Path=/foo", "/FOO", false),
            ("/", "Path=/foo/", "/foo", false), ("/", "Path=/foo/", "/foo/bar", true),
            ("/", "Path=/foo", "/foo?x", true),
            ("/a/b", "Path=foo", "/a/x", true), ("/a/b", "Path=", "/a/x", true), ("/a/b", "Path=/", "/x", true),
            ("/", "Path=/é", "/", false),
        ]
    )
    func paths(from: String, attribute: String, target: String, goes: Bool) throws {
        let header = try self.sent(["a=b; \(attribute)"], from: "ws://h.example\(from)", to: "ws://h.example\(target)")
        #expect(header == (goes ? "a=b" : ""))
    }

    @Test("Secure is taken over wss only (threat G15)")
    func secure() throws {
        #expect(try self.sent(["a=b; Secure"], from: "ws://h.example/", to: "wss://h.example/") == "")
        #expect(try self.sent(["a=b; Secure"], from: "wss://h.example/", to: "wss://h.example/") == "a=b")
        #expect(try self.sent(["__Host-a=b; Secure; Path=/"], from: "ws://h.example/", to: "ws://h.example/") == "")
    }

    @Test(
        "how long: Max-Age before Expires, 400 days at most, at T-1 still there, at T gone",
        arguments: [
            ("Max-Age=10", 10), ("Expires=Thu, 01 Jan 1970 00:00:20 GMT", 20),
            ("Max-Age=10; Expires=Thu, 01 Jan 1970 00:00:20 GMT", 10),
            ("Expires=Thu, 01 Jan 1970 00:00:20 GMT; Max-Age=30", 30), ("Max-Age=99999999999999999999", 34_560_000),
            ("Expires=Fri, 31 Dec 9999 23:59:59 GMT", 34_560_000), ("Max-Age=0", nil), ("Max-Age=-1", nil),
            ("Expires=Thu, 01 Jan 1970 00:00:00 GMT", nil),
        ] as [(String, Int64?)]
    )
    func life(attribute: String, end: Int64?) throws {
        let url = "ws://h.example/"
        guard let end else {
            #expect(try self.sent(["a=b", "a=c; \(attribute)"], from: url, to: url) == "", "it removes the one before")
            return
        }
        #expect(try self.sent(["a=b; \(attribute)"], from: url, to: url, now: end - 1) == "a=b")
        #expect(try self.sent(["a=b; \(attribute)"], from: url, to: url, now: end) == "")
        let jar = try self.jar([(url, "a=b; \(attribute)")])
        #expect(jar.all(now: end - 1).map(\.expires) == [end])
        #expect(jar.all(now: end).isEmpty)
    }

    @Test("replacing: same name, domain and path; the place in the order stays")
    func replacement() throws {
        let url = "ws://h.example/x/y"
        #expect(try self.sent(["a=1", "b=2", "a=3"], from: url, to: url) == "a=3; b=2")
        #expect(try self.sent(["a=1", "a=2; Path=/x/y"], from: url, to: url) == "a=2; a=1")
        #expect(try self.sent(["a=1", "A=2"], from: url, to: url) == "a=1; A=2")
        #expect(try self.sent(["a=1", "a=2; Domain=h.example"], from: url, to: url) == "a=1; a=2")
        #expect(try self.sent(["a=1", "a=; Path=/x; Max-Age=0"], from: url, to: url) == "")
        #expect(try self.sent(["a=1", "a=; Path=/; Max-Age=0"], from: url, to: url) == "a=1")
    }

    @Test("order: longer paths first, then the older")
    func order() throws {
        let url = "ws://h.example/x/y/z"
        let fields = ["a=1; Path=/", "b=2; Path=/x/y", "c=3; Path=/x", "d=4; Path=/x/y"]
        #expect(try self.sent(fields, from: url, to: url) == "b=2; d=4; c=3; a=1")
    }

    @Test("50 for one domain: what was not used for longest goes, without Secure first")
    func perDomain() throws {
        let url = try WebSocketURL("wss://h.example/")
        var jar = try self.jar(
            (0..<50).map { ("wss://h.example/", "c\($0)=x; Path=/\($0)\($0 == 1 ? "; Secure" : "")") }
        )
        // 0 is used; 1 is Secure.
        _ = jar.header(for: try WebSocketURL("wss://h.example/0"), now: 0)
        for name in ["x", "y"] {
            let cookie = try #require(Cookie(SetCookie("\(name)=1")!, from: url, now: 0))
            jar.set(cookie, now: 0)
        }
        let names = jar.all(now: 0).map(\.name)
        #expect(names.count == 50)
        #expect(names.contains("c0") && names.contains("c1") && !names.contains("c2") && !names.contains("c3"))
        // Others are not touched by the limit of one.
        jar.set(try #require(Cookie(SetCookie("z=1")!, from: WebSocketURL("ws://other.example/"), now: 0)), now: 0)
        #expect(jar.all(now: 0).count == 51)
    }

    @Test("3000 altogether; those that have ended go first")
    func altogether() throws {
        var fields = (0..<3000).map { ("ws://h\($0 / 50).example/", "c\($0)=x\($0 == 2999 ? "; Max-Age=10" : "")") }
        fields.append(("ws://last.example/", "z=1"))
        let full = try self.jar(fields)
        #expect(full.all(now: 0).count == 3000)
        #expect(full.all(now: 0).first?.name == "c1")
        var jar = try self.jar(Array(fields.dropLast()))
        jar.set(try #require(Cookie(SetCookie("z=1")!, from: WebSocketURL("ws://last.example/"), now: 10)), now: 10)
        #expect(jar.all(now: 0).first?.name == "c0")
        #expect(jar.all(now: 0).count == 3000)
    }

    @Test("after a redirect to another origin only its own are sent (D12, threat F2)")
    func scopes() throws {
        var jar = try self.jar([
            ("ws://a.example.com/", "shared=1; Domain=example.com"),
            ("ws://b.example.com/", "own=2; Domain=example.com"),
        ])
        let url = try WebSocketURL("ws://b.example.com/")
        #expect(jar.header(for: url, scope: .all, now: 0) == "shared=1; own=2")
        #expect(jar.header(for: url, scope: .ownOrigin, now: 0) == "own=2")
        #expect(jar.header(for: url, scope: .none, now: 0) == nil)
    }

    @Test("removing one")
    func removal() throws {
        var jar = try self.jar([("ws://h.example/", "a=1"), ("ws://h.example/", "b=2")])
        jar.remove(try #require(jar.all(now: 0).first))
        #expect(jar.all(now: 0).map(\.name) == ["b"])
    }
}
