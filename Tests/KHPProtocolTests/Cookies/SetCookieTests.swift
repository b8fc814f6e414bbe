import KHPProtocol
import Testing

@Suite("Set-Cookie fields (RFC 6265 section 5.2)")
struct SetCookieTests {
    @Test(
        "name and value",
        arguments: [
            ("SID=31d4d96e407aad42", "SID", "31d4d96e407aad42"), ("  a  =  b  ", "a", "b"), ("a=", "a", ""),
            ("a=b=c", "a", "b=c"), ("a==", "a", "="), ("a=\"b c\"", "a", "\"b c\""), ("a=b,c", "a", "b,c"),
            ("a=b; Path=/", "a", "b"), ("a=b;", "a", "b"), ("a=b;;;", "a", "b"), ("a=b ; x", "a", "b"),
            ("\ta\t=\tb\t", "a", "b"), ("a b=c d", "a b", "c d"), ("$Version=1", "$Version", "1"),
            ("a=b\"c;d\"e", "a", "b\"c"),
        ]
    )
    func pair(field: String, name: String, value: String) {
        let cookie = SetCookie(field)
        #expect(cookie?.name == name)
        #expect(cookie?.value == value)
    }

    @Test(
        "what is ignored: no name, no pair, controls, what is not ASCII, too much",
        arguments: [
            "", ";", "a", "a; b=c", "=b", " = b", "=", "a=b\u{0}", "a=b\u{1F}", "a=b\r\nX: y", "a\u{7F}=b", "a=\u{E9}",
            "a=\u{FFFD}", "a=b; Path=/\u{7}", "a=" + String(repeating: "x", count: 4096),
        ]
    )
    func ignored(field: String) {
        #expect(SetCookie(field) == nil)
    }

    @Test("4096 bytes of name and value fit")
    func largest() {
        #expect(SetCookie("a=" + String(repeating: "x", count: 4095))?.value.utf8.count == 4095)
    }

    @Test(
        "attributes: any case, any order, the last one counts, unknown ones pass",
        arguments: [
            ("a=b; Domain=Example.COM", "example.com", nil, nil, nil, ""),
            ("a=b; domain=.x.y", "x.y", nil, nil, nil, ""),
            ("a=b; Domain=x.y; Domain=z.w", "z.w", nil, nil, nil, ""),
            ("a=b; Domain=x.y; Domain", nil, nil, nil, nil, ""),
            ("a=b; Domain=", nil, nil, nil, nil, ""), ("a=b; Path=/x; PATH=/y", nil, "/y", nil, nil, ""),
            ("a=b; Path=/x; Path=y", nil, nil, nil, nil, ""), ("a=b; Path", nil, nil, nil, nil, ""),
            ("a=b; Path=\"/x\"", nil, nil, nil, nil, ""), ("a=b; Secure; HttpOnly", nil, nil, nil, nil, "sh"),
            ("a=b; secure=no; HTTPONLY=", nil, nil, nil, nil, "sh"),
            ("a=b; Secured; Http-Only", nil, nil, nil, nil, ""),
            ("a=b; Max-Age=10", nil, nil, 10, nil, ""), ("a=b; max-age=-5", nil, nil, 0, nil, ""),
            ("a=b; Max-Age=5; Max-Age=x", nil, nil, 5, nil, ""), ("a=b; Max-Age=", nil, nil, nil, nil, ""),
            ("a=b; Max-Age=-", nil, nil, nil, nil, ""), ("a=b; Max-Age=1.5", nil, nil, nil, nil, ""),
            ("a=b; Max-Age=+5", nil, nil, nil, nil, ""), ("a=b; Max-Age=00007", nil, nil, 7, nil, ""),
            ("a=b; Max-Age=99999999999999999999", nil, nil, .max, nil, ""),
            ("a=b; Expires=Sun, 06 Nov 1994 08:49:37 GMT", nil, nil, nil, 784_111_777, ""),
            ("a=b; Expires=never", nil, nil, nil, nil, ""),
            ("a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Expires=never; SameSite=Lax", nil, nil, nil, 0, ""),
            ("a=b ;  Path = /x ;  Secure ", nil, "/x", nil, nil, "s"), ("a=b; ; =; ==; x=y", nil, nil, nil, nil, ""),
        ] as [(String, String?, String?, Int64?, Int64?, String)]
    )
    func attributes(
        field: String,
        domain: String?,
        path: String?,
        maxAge: Int64?,
        expires: Int64?,
        flags: String
    ) throws {
        let cookie = try #require(SetCookie(field))
        #expect(cookie.domain == domain)
        #expect(cookie.path == path)
        #expect(cookie.maxAge == maxAge)
        #expect(cookie.expires == expires)
        #expect(cookie.isSecure == flags.contains("s"))
        #expect(cookie.isHTTPOnly == flags.contains("h"))
    }

    @Test("an attribute of more than 1024 bytes is passed over")
    func longAttribute() {
        #expect(SetCookie("a=b; Path=/" + String(repeating: "x", count: 1023))?.path?.utf8.count == 1024)
        #expect(SetCookie("a=b; Path=/" + String(repeating: "x", count: 1024))?.path == nil)
    }

    @Test(
        "the promises of a name (RFC 6265bis section 4.1.3)",
        arguments: [
            ("__Secure-a=b; Secure", true), ("__Secure-a=b", false), ("__SECURE-a=b", false),
            ("__Host-a=b; Secure; Path=/", true), ("__Host-a=b; Secure", false), ("__Host-a=b; Path=/", false),
            ("__Host-a=b; Secure; Path=/x", false), ("__Host-a=b; Secure; Path=/; Domain=x.y", false),
            ("__host-a=b; Secure; Path=/; Domain=x.y", false), ("__Hos-a=b", true),
        ]
    )
    func prefixes(field: String, isKept: Bool) {
        #expect((SetCookie(field) != nil) == isKept)
    }

    @Test("neither description nor dump shows a value (threat E18)")
    func secrecy() throws {
        let field = try #require(SetCookie("a=canary"))
        let cookie = try #require(Cookie(field, from: WebSocketURL("ws://h.example/"), now: 0))
        var jar = CookieJar()
        jar.set(cookie, now: 0)
        for value in [field, cookie, jar] as [Any] {
            var text = "\(value) \(String(reflecting: value))"
            dump(value, to: &text)
            #expect(!text.contains("canary"))
        }
        #expect("\(cookie)" == "a=••• for h.example/")
    }
}
