// Logins and balancers that know a client by a cookie, set by an answer that opens nothing (D44).

import KHPClient
import TestSupport
import Testing

@Suite("Cookies of a 401 and of a redirect go with the next request")
struct SessionCookieTests {
    private static func client(_ store: CookieStore) -> WebSocketClient {
        var configuration = WebSocketClient.Configuration()
        configuration.extended.policy = .off
        configuration.cookies = .store(store)
        configuration.authentication.challengeHandler = LoginChallengeHandler(user: "joe", password: "welcome")
        return WebSocketClient(configuration: configuration)
    }

    @Test("Digest whose nonce belongs to a session, as Flask's logins have it", arguments: [true, false])
    func digest(_ keepsConnection: Bool) async throws {
        try await withScriptedServer { heads in
            let head = heads[heads.count - 1]
            let isKnown = head.value("Cookie") == "session=s1"
            let isAnswered = head.value("Authorization")?.contains("nonce=\"of-s1\"") == true
            if isKnown, isAnswered { return .upgrade() }
            // A client without a session gets one, and a nonce of it; an answer without a session is not known.
            let refusal = refusal(
                "401 Unauthorized",
                "WWW-Authenticate: Digest realm=\"desk\", qop=\"auth\", algorithm=SHA-256, nonce=\"of-s1\"",
                "Set-Cookie: session=s1; Path=/; HttpOnly",
                keepsConnection ? "Connection: keep-alive" : "Connection: close"
            )
            return keepsConnection ? .text(refusal) : .textThenClose(refusal)
        } body: { port, heard in
            let store = CookieStore()
            let client = Self.client(store)
            try await client.withConnection(to: "ws://127.0.0.1:\(port)/desk") {
                #expect($0.negotiated.challenges == 1)
            }
            #expect(heard.all.map { $0.value("Cookie") } == [nil, "session=s1"])
            #expect(heard.all.map(\.connection) == (keepsConnection ? [0, 0] : [0, 1]))
            #expect(store.all().map(\.name) == ["session"])
        }
    }

    @Test("a balancer that sets a cookie and redirects to the same URL is no loop; one that does so again is")
    func balancer() async throws {
        for always in [false, true] {
            try await withScriptedServer { heads in
                if !always, heads[heads.count - 1].value("Cookie") == "member=7" { return .upgrade() }
                return .textThenClose(refusal("302 Found", "Location: /desk", "Set-Cookie: member=7; Path=/"))
            } body: { port, heard in
                do {
                    try await Self.client(CookieStore()).withConnection(to: "ws://127.0.0.1:\(port)/desk") {
                        #expect($0.negotiated.redirects.map(\.status) == [302])
                    }
                    #expect(!always)
                } catch let error as WebSocketError {
                    #expect(always)
                    #expect(error.code == .redirectLoop)
                }
                #expect(heard.all.map { $0.value("Cookie") } == [nil, "member=7"])
            }
        }
    }

    @Test("those of the 101 count though the extended handshake then fails; those of other refusals never")
    func others() async throws {
        let store = CookieStore()
        try await withScriptedServer { heads in
            switch heads.count {
            case 1: .upgrade(["Sec-WebSocket-Protocol: x-kaazing-handshake", "Set-Cookie: early=1; Path=/"])
            default: .text(refusal("403 Forbidden", "Set-Cookie: refused=1; Path=/"))
            }
        } body: { port, heard in
            var configuration = WebSocketClient.Configuration()
            configuration.cookies = .store(store)
            let client = WebSocketClient(configuration: configuration)
            for _ in 1...2 {
                await #expect(throws: WebSocketError.self) { try await client.connect(to: "ws://127.0.0.1:\(port)/") }
            }
            #expect(store.all().map(\.name) == ["early"])
            #expect(heard.all.map { $0.value("Cookie") } == [nil, "early=1"])
        }
    }

    @Test("neither sent nor kept where cookies are off or deferred")
    func off() async throws {
        for cookies in [WebSocketClient.CookiePolicy.none, .deferred] {
            try await withScriptedServer { heads in
                heads.count > 1
                    ? .upgrade()
                    : .textThenClose(refusal("302 Found", "Location: /next", "Set-Cookie: member=7; Path=/"))
            } body: { port, heard in
                var configuration = WebSocketClient.Configuration()
                configuration.extended.policy = .off
                configuration.cookies = cookies
                let client = WebSocketClient(configuration: configuration)
                try await client.withConnection(to: "ws://127.0.0.1:\(port)/desk") { _ in }
                #expect(heard.all.allSatisfy { $0.value("Cookie") == nil })
            }
        }
    }
}
