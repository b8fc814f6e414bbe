import HTTPTypes
import NIOCore
import Testing

@testable import KHPProtocol

@Suite("One connect over its hops: what comes along, and where it ends")
struct ConnectAttemptTests {
    private func attempt(
        _ url: String = "ws://a.example/",
        follows308: Bool = false,
        _ configure: (inout ClientPlan) -> Void = { _ in }
    ) throws -> ConnectAttempt {
        var plan = ClientPlan(url: try WebSocketURL(url))
        plan.extended.method = "POST"
        plan.extended.body = ByteBuffer(string: "canary")
        plan.origin = "http://page.example"
        plan.headers[.cookie] = "canary"
        plan.extended.headers[.userAgent] = "canary"
        configure(&plan)
        return ConnectAttempt(
            plan,
            redirects: RedirectTracker(from: plan.url, follows308: follows308),
            authenticator: Authenticator()
        )
    }

    private func outcome(
        _ status: Int,
        _ fields: HTTPFields,
        _ layer: HandshakeLayer = .extended
    ) -> HopOutcome {
        let kind: HopOutcome.Kind = status == 426 ? .upgrade : status == 300 ? .choose : .redirect
        return HopOutcome(
            kind: kind,
            layer: layer,
            response: HandshakeResponse(status: status, reason: "", headers: fields)
        )
    }

    @Test(
        "within the origin all comes along but a method and content that would be sent again (D41)",
        arguments: [301, 302, 303]
    )
    func sameOrigin(_ status: Int) throws {
        var attempt = try self.attempt()
        _ = try attempt.follow(self.outcome(status, [.location: "/b"]))
        #expect(attempt.plan.extended.method == "GET")
        #expect(attempt.plan.extended.body == nil)
        #expect(attempt.plan.headers[.cookie] == "canary")
        #expect(attempt.presentsClientCertificate)
        // A 307 after it finds a GET.
        _ = try attempt.follow(self.outcome(307, [.location: "/c"]))
        #expect(attempt.plan.extended.method == "GET")
        #expect(attempt.cookieScope == .all)
    }

    @Test("the opening is a GET: its redirects leave method and content of the extended request alone, but for 303")
    func openingKeepsTheMethod() throws {
        for status in [300, 301, 302, 303, 307] {
            var attempt = try self.attempt()
            _ = try attempt.follow(self.outcome(status, [.location: "/b"], .opening))
            #expect(attempt.plan.extended.method == (status == 303 ? "GET" : "POST"))
        }
    }

    @Test(
        "what stops says status and target (D41)",
        arguments: [("PUT", 301), ("PUT", 302), ("POST", 300), ("POST", 307), ("HEAD", 307), ("DELETE", 308)]
    )
    func stops(_ method: String, _ status: Int) throws {
        var attempt = try self.attempt(follows308: true) { $0.extended.method = method }
        let error = #expect(throws: WebSocketError.self) {
            try attempt.follow(self.outcome(status, [.location: "http://b.example/x?token=canary"]))
        }
        #expect(error?.code == .redirectMethod)
        #expect(error?.response?.status == status)
        #expect(error?.phase == .extended)
        let message = "redirected the extended request with \(status) to ws://b.example/x?token=•••"
        #expect(error?.message == "The server \(message), which is not followed after \(method).")
    }

    @Test("neither a balancer nor a step up to TLS is about the method (D41)")
    func noAnswers() throws {
        var attempt = try self.attempt { $0.extended.method = "PUT" }
        let balanced = HandshakeResponse(status: 302, reason: "", headers: [.location: "ws://a.example/b"])
        _ = try attempt.follow(HopOutcome(kind: .balancer, layer: .extended, response: balanced))
        #expect(attempt.plan.extended.method == "PUT")
        let step = try attempt.follow(self.outcome(426, [.upgrade: "TLS/1.3"]))
        #expect(step?.to.isSecure == true)
    }

    // MARK: Permanent redirects (D29)

    @Test(
        "a later attempt starts where permanent redirects alone have led to",
        arguments: [
            ([], nil), ([301], "/1"), ([308], "/1"), ([302], nil), ([303], nil), ([307], nil), ([300], nil),
            ([301, 308], "/2"), ([301, 302, 301], "/1"), ([302, 301], nil), ([301, 307], "/1"),
        ] as [([Int], String?)],
        [HandshakeLayer.opening, .extended]
    )
    func permanentMoves(_ row: ([Int], String?), _ layer: HandshakeLayer) throws {
        let (statuses, path) = row
        var attempt = try self.attempt(follows308: true) { $0.extended.method = "GET" }
        for (index, status) in statuses.enumerated() {
            _ = try attempt.follow(self.outcome(status, [.location: "/\(index + 1)"], layer))
        }
        #expect(attempt.moved?.url.path == path)
    }

    @Test("what starts elsewhere gets nothing of the caller's, nor does what comes back from there (D12, D29)")
    func permanentMoveElsewhere() throws {
        for chain in [["ws://b.example/"], ["ws://b.example/", "ws://a.example/back"], ["/same"]] {
            var first = try self.attempt()
            for target in chain { _ = try first.follow(self.outcome(301, [.location: target])) }
            var plan = ClientPlan(url: try WebSocketURL("ws://a.example/"))
            plan.headers[.cookie] = "canary"
            let later = ConnectAttempt(
                plan,
                redirects: RedirectTracker(from: plan.url),
                authenticator: Authenticator(),
                moved: first.moved
            )
            let stays = chain == ["/same"]
            #expect(later.url == first.url)
            #expect(later.plan.url == first.url)
            #expect(later.plan.headers.isEmpty == !stays)
            #expect(later.presentsClientCertificate == stays)
            #expect(later.cookieScope == (stays ? .all : chain.count == 1 ? .ownOrigin : .none))
            #expect(later.plan.redirects.isEmpty)
            #expect(later.moved?.url == first.url)
        }
    }

    @Test(
        "elsewhere nothing comes along, nor back at the origin; Origin stays (D12, threats F1, F2, F15)",
        arguments: [
            "ws://b.example/", "ws://a.example:81/", "wss://a.example/", "ws://a.example./", "ws://x.a.example/",
        ]
    )
    func otherOrigin(_ other: String) throws {
        var attempt = try self.attempt()
        _ = try attempt.follow(self.outcome(302, [.location: other]))
        func check() {
            let plan = attempt.plan
            #expect(plan.extended.method == "GET")
            #expect(plan.extended.body == nil)
            #expect(plan.headers.isEmpty && plan.extended.headers.isEmpty)
            #expect(plan.origin == "http://page.example")
            #expect(!attempt.presentsClientCertificate)
        }
        check()
        #expect(attempt.cookieScope == .ownOrigin)
        guard !other.hasPrefix("wss") else { return }
        _ = try attempt.follow(self.outcome(307, [.location: "ws://a.example/again"]))
        check()
        #expect(attempt.cookieScope == .none)
    }

    @Test("two Locations are none (threat F10); two choices are two")
    func locations() throws {
        var fields = HTTPFields()
        fields.append(HTTPField(name: .location, value: "/b"))
        fields.append(HTTPField(name: .location, value: "/c"))
        for layer in [HandshakeLayer.opening, .extended] {
            var attempt = try self.attempt()
            let error = #expect(throws: WebSocketError.self) {
                try attempt.follow(self.outcome(302, fields, layer))
            }
            #expect(error?.code == .redirectRefused)
            var choosing = try self.attempt { $0.extended.method = "GET" }
            #expect(try choosing.follow(self.outcome(300, fields, layer))?.to.path == "/b")
        }
    }

    @Test("308 by option, in both handshakes (D4)", arguments: [HandshakeLayer.opening, .extended])
    func permanent(_ layer: HandshakeLayer) throws {
        var attempt = try self.attempt { $0.extended.method = "GET" }
        let error = #expect(throws: WebSocketError.self) {
            try attempt.follow(self.outcome(308, [.location: "/b"], layer))
        }
        #expect(error?.code == (layer == .opening ? .openingRefused : .extendedRefused))
        var following = try self.attempt(follows308: true) { $0.extended.method = "GET" }
        #expect(try following.follow(self.outcome(308, [.location: "/b"], layer))?.to.path == "/b")
        // KHP-E15: after another method neither 307 nor 308.
        var posting = try self.attempt(follows308: true)
        let code = layer == .extended ? WebSocketError.Code.redirectMethod : nil
        let posted = Result { () throws(WebSocketError) in
            try posting.follow(self.outcome(308, [.location: "/b"], layer))
        }
        if case .failure(let error) = posted { #expect(error.code == code) } else { #expect(code == nil) }
    }

    // MARK: Loops

    @Test("coming back is a loop, unless cookies changed in between (KHP-E16)")
    func cookieState() throws {
        var attempt = try self.attempt("ws://a.example/start")
        var cookies = 1
        _ = try attempt.follow(self.outcome(302, [.location: "/b"]), cookies: { _ in cookies })
        cookies = 2
        _ = try attempt.follow(self.outcome(302, [.location: "/start"]), cookies: { _ in cookies })
        let error = #expect(throws: WebSocketError.self) {
            try attempt.follow(self.outcome(302, [.location: "/start"]), cookies: { _ in cookies })
        }
        #expect(error?.code == .redirectLoop)
    }

    @Test("an error has the way to it, credentials in queries hidden")
    func trail() throws {
        var attempt = try self.attempt("ws://a.example/?secret=canary")
        _ = try attempt.follow(self.outcome(302, [.location: "ws://b.example/x?token=canary"]))
        let error = attempt.explained(WebSocketError(.timeout, "It took too long."))
        #expect(error.redirects.map(\.status) == [302])
        #expect(
            "\(error)"
                == "timeout: It took too long. (after 302 from ws://a.example/?secret=••• to ws://b.example/x?token=•••)"
        )
        #expect(attempt.explained(WebSocketError(.timeout, "")).url == nil)
    }

    // MARK: 426

    private func versions(_ list: String, _ upgrade: String? = nil) -> HTTPFields {
        var fields = HTTPFields()
        for value in list.split(separator: "|") {
            fields.append(HTTPField(name: HTTPField.Name("Sec-WebSocket-Version")!, value: String(value)))
        }
        fields[.upgrade] = upgrade
        return fields
    }

    @Test(
        "426 in the opening: an older version that frames alike, once (RFC 6455 section 4.4)",
        arguments: [
            ("8", 8), ("7", 7), ("7, 8", 8), ("7|8", 8), ("0, 8 , 99", 8), ("13, 8", nil), ("13", nil), ("6", nil),
            ("", nil), ("x8", nil), ("08x", nil), ("88888888888888888888", nil),
        ] as [(String, Int?)]
    )
    func olderVersion(_ list: String, _ version: Int?) throws {
        var attempt = try self.attempt()
        let result = Result { () throws(WebSocketError) in
            try attempt.follow(self.outcome(426, self.versions(list), .opening))
        }
        switch result {
        case .success(let step):
            #expect(step == nil)
            #expect(attempt.plan.version == version)
            #expect(attempt.plan.headers[.cookie] == "canary", "it is the same origin")
            // The same answer to that is final.
            let error = #expect(throws: WebSocketError.self) {
                try attempt.follow(self.outcome(426, self.versions(list), .opening))
            }
            #expect(error?.code == .openingRefused)
        case .failure(let error):
            #expect(version == nil)
            #expect(error.code == .openingRefused)
            if list == "13, 8" { #expect(error.message.hasSuffix("; it offers version 13, 8.")) }
        }
    }

    @Test("426 inside has no version to offer; TLS goes before a version; another origin is asked for 13")
    func upgrades() throws {
        var inside = try self.attempt()
        #expect(throws: WebSocketError.self) { try inside.follow(self.outcome(426, self.versions("8"))) }
        var both = try self.attempt()
        let step = try both.follow(self.outcome(426, self.versions("8", "TLS/1.2, HTTP/1.1"), .opening))
        #expect(step?.to.description == "wss://a.example/")
        #expect(step?.status == 426)
        #expect(both.plan.version == 13)
        #expect(both.plan.headers.isEmpty, "another scheme is another origin (threat F5)")
        var older = try self.attempt()
        _ = try older.follow(self.outcome(426, self.versions("8"), .opening))
        _ = try older.follow(self.outcome(302, [.location: "ws://b.example/"], .opening))
        #expect(older.plan.version == 13)
    }

    @Test("a 403 is about the credentials only where they were given: not at the origin behind a redirect (D16)")
    func refusedElsewhere() throws {
        let refusal = WebSocketError(
            .openingRefused,
            "The server refused the opening handshake with 403.",
            response: HandshakeResponse(status: 403, reason: ""),
            phase: .opening
        )
        for (location, code) in [
            ("/b", WebSocketError.Code.authenticationFailed), ("ws://b.example/", .openingRefused),
        ] {
            var attempt = try self.attempt()
            let challenge = HandshakeResponse(
                status: 401,
                reason: "",
                headers: [.wwwAuthenticate: "Basic realm=\"desk\""]
            )
            var dialogue = attempt.dialogue(about: challenge, in: .opening)
            _ = dialogue.begin(&attempt.authenticator, clientNonce: "n")
            let joe = Credentials.login(user: "joe", password: "welcome")
            guard case .send = dialogue.take(joe, &attempt.authenticator, clientNonce: "n") else {
                Issue.record("nothing is sent")
                return
            }
            _ = try attempt.follow(self.outcome(302, [.location: location], .opening))
            #expect(attempt.explained(refusal).code == code)
        }
    }

    @Test("version 8 names the origin as its drafts do")
    func originOfVersion8() throws {
        for (version, name, other) in [(13, "Origin", "Sec-WebSocket-Origin"), (8, "Sec-WebSocket-Origin", "Origin")] {
            let plan = OpeningClientPlan(
                url: try WebSocketURL("ws://h/"),
                key: "dGhlIHNhbXBsZSBub25jZQ==",
                origin: "http://page.example",
                version: version
            )
            let head = try OpeningClient(plan).requestHead
            #expect(head.fields.first("Sec-WebSocket-Version") == String(version))
            #expect(head.fields.first(name) == "http://page.example")
            #expect(!head.fields.contains(other))
        }
    }
}
