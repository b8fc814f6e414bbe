// A proxy's URL means what it says, and no description of it shows a password (R-P1).

import KHPProtocol
import Testing

@Suite struct ProxyTests {
    @Test(arguments: [
        ("http://proxy.example:3128", Proxy.Kind.http, "proxy.example", 3128, nil, nil),
        ("HTTP://Proxy.Example", .http, "proxy.example", 80, nil, nil),
        ("https://proxy.example/", .https, "proxy.example", 443, nil, nil),
        ("proxy.example:3128", .http, "proxy.example", 3128, nil, nil),
        ("joe:secret@proxy.example", .http, "proxy.example", 80, "joe", "secret"),
        ("socks5://127.0.0.1", .socks5, "127.0.0.1", 1080, nil, nil),
        // As GNOME writes it into all_proxy.
        ("socks://127.0.0.1:1080/", .socks5, "127.0.0.1", 1080, nil, nil),
        ("SOCKS://joe:pw@gate/", .socks5, "gate", 1080, "joe", "pw"),
        ("socks5h://[2001:DB8::1]:9", .socks5, "2001:db8::1", 9, nil, nil),
        ("socks4://joe@gate", .socks4, "gate", 1080, "joe", nil),
        ("socks4a://gate:1", .socks4, "gate", 1, nil, nil),
        ("http://j%6Fe:a%3Ab%2F%40%25@p", .http, "p", 80, "joe", "a:b/@%"),
        ("http://joe:a:b@c@p", .http, "p", 80, "joe", "a:b@c"),
        ("http://m%C3%BCller:p%C3%A4ss@p", .http, "p", 80, "müller", "päss"),
        ("http://joe:@p", .http, "p", 80, "joe", ""),
        ("http://@p", .http, "p", 80, nil, nil),
        ("http://:@p", .http, "p", 80, nil, nil),
    ])
    func parses(
        _ text: String,
        _ kind: Proxy.Kind,
        _ host: String,
        _ port: Int,
        _ user: String?,
        _ password: String?
    ) throws {
        let proxy = try Proxy(text)
        #expect(proxy.kind == kind)
        #expect(proxy.host == host)
        #expect(proxy.port == port)
        #expect(proxy.user == user)
        #expect(proxy.password == password)
    }

    @Test(arguments: [
        ("", "empty"), ("http://", "empty"), ("ftp://joe:canary@p", "scheme"), ("http://joe:canary@p:0", "port"),
        ("http://joe:canary@p:99999", "port"), ("http://joe:canary@p/x", "%2F"), ("http://joe:ca?nary@p", "%3F"),
        ("http://joe:ca#nary@p", "%23"), ("http://joe:ca/nary@p", "%2F"), ("http://joe:canary%@p", "%25"),
        ("http://joe:canary%4@p", "%25"), ("http://joe:canary%0D%0AX@p", "control character"),
        ("http://joe:canary%FF@p", "UTF-8"), ("http://jo%00e:canary@p", "control character"),
        ("http://joe:canary@p x", "space"), ("http://joe:canary@[::1", "]"),
    ])
    func refuses(_ text: String, _ hint: String) throws {
        let error = try #require(throws: WebSocketError.self) { _ = try Proxy(text) }
        #expect(error.code == .invalidArgument)
        #expect(error.message.contains(hint), "\(error.message)")
        #expect(!"\(error)".contains("ca") || !"\(error)".contains("nary"))
        #expect(!"\(error)".contains("joe"))
    }

    @Test func showsNoCredentials() throws {
        let proxy = try Proxy("http://jennifer:canary@proxy.example:3128")
        var dumped = ""
        dump(proxy, to: &dumped)
        for text in [proxy.description, proxy.debugDescription, "\(proxy)", String(reflecting: proxy), dumped] {
            #expect(text.contains("http://•••@proxy.example:3128"))
            #expect(!text.contains("canary") && !text.contains("jennifer"))
        }
        #expect(try Proxy("socks5://[::1]").description == "socks5://[::1]:1080")
        let tunnel = try Tunnel(
            through: proxy,
            to: WebSocketURL("ws://a/"),
            authorization: "Basic canary"
        )
        dump(tunnel, to: &dumped)
        #expect(!dumped.contains("canary"))
    }

    @Test func takesCredentialsOfItsOwn() throws {
        let proxy = try Proxy("http://old:older@p").authenticated(user: "joe", password: "a:b")
        #expect(proxy.user == "joe" && proxy.password == "a:b")
        #expect(throws: WebSocketError.self) { try proxy.authenticated(user: "joe", password: "a\r\nb") }
    }
}
