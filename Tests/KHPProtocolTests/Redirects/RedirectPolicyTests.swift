import KHPProtocol
import Testing

@Suite struct RedirectPolicyTests {
    /// From, to, and which of the four middle policies allow it: same origin, same domain, peer domain, sub domain.
    @Test(
        "the policies of the Kaazing clients, default ports normalised",
        arguments: [
            ("ws://h.example/a", "ws://h.example/b", "odps"), ("ws://h.example/a", "WS://H.EXAMPLE:80/b", "odps"),
            ("ws://h.example/", "ws://h.example:81/", "dps"), ("ws://h.example/", "wss://h.example/", "dps"),
            ("wss://h.example/", "ws://h.example/", ""), ("wss://h.example:1/", "ws://h.example:1/", ""),
            ("ws://a.b.example/", "ws://c.b.example/", "p"), ("ws://a.b.example/", "wss://c.b.example/", "p"),
            ("wss://a.b.example/", "ws://c.b.example/", ""), ("ws://b.example/", "ws://a.b.example/", "s"),
            ("ws://b.example/", "ws://x.a.b.example/", "s"), ("ws://a.b.example/", "ws://b.example/", ""),
            ("ws://b.example/", "ws://evilb.example/", ""), ("ws://b.example/", "ws://b.example.evil/", ""),
            ("ws://a.b.example/", "ws://a.evilb.example/", ""), ("ws://a.example/", "ws://b.example/", ""),
            ("ws://h/", "ws://i/", ""), ("ws://h/", "ws://a.h/", "s"), ("ws://10.0.0.1/", "ws://99.0.0.1/", ""),
            ("ws://10.0.0.1/", "ws://10.0.0.1:8080/", "dps"), ("ws://[::1]/", "ws://[::2]/", ""),
            ("ws://0.0.1.example/", "ws://10.0.0.1/", ""), ("ws://b.example./", "ws://c.example./", ""),
            ("ws://a.b.example./", "ws://c.b.example./", "p"),
        ]
    )
    func table(from: String, to: String, allowed: String) throws {
        let from = try WebSocketURL(from)
        let to = try WebSocketURL(to)
        #expect(RedirectPolicy.sameOrigin.allows(from: from, to: to) == allowed.contains("o"))
        #expect(RedirectPolicy.sameDomain.allows(from: from, to: to) == allowed.contains("d"))
        #expect(RedirectPolicy.peerDomain.allows(from: from, to: to) == allowed.contains("p"))
        #expect(RedirectPolicy.subDomain.allows(from: from, to: to) == allowed.contains("s"))
        #expect(RedirectPolicy.always.allows(from: from, to: to))
        #expect(!RedirectPolicy.never.allows(from: from, to: to))
    }

    @Test func names() {
        #expect(
            RedirectPolicy.allCases.map(\.rawValue)
                == ["never", "same-origin", "same-domain", "peer-domain", "sub-domain", "always"]
        )
    }
}
