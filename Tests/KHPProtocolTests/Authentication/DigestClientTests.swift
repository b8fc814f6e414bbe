import KHPProtocol
import NIOCore
import Testing

@Suite("The client's half of Digest (RFC 7616)")
struct DigestClientTests {
    private func challenge(_ text: String) throws -> DigestChallenge {
        let parsed = try parseChallenges(fieldValues: ["Digest " + text])
        return try DigestChallenge(try #require(parsed.first))
    }

    /// The parameters of an Authorization value.
    private func parameters(_ value: String?) throws -> [String: String] {
        let parsed = try parseChallenges(fieldValues: [try #require(value)])
        return try #require(parsed.first).values
    }

    @Test(
        "Threats G3, G4: what cannot be answered says why",
        arguments: [
            ("nonce=n", "realm"), ("realm=r", "nonce"), ("realm=r, nonce=\"\"", "nonce"),
            ("realm=r, nonce=n, algorithm=SHA-1", "algorithm"), ("realm=r, nonce=n, algorithm=SHA-512", "algorithm"),
            ("realm=r, nonce=n, qop=auth-conf", "qop"), ("realm=r, nonce=n, algorithm=SHA-256, qop=\"\"", "qop"),
            ("realm=r, nonce=n, algorithm=SHA-256", "qop"), ("realm=r, nonce=n, algorithm=MD5-sess", "qop"),
        ]
    )
    func unusable(text: String, word: String) throws {
        let parsed = try #require(try parseChallenges(fieldValues: ["Digest " + text]).first)
        let error = #expect(throws: DigestChallenge.Unusable.self) { try DigestChallenge(parsed) }
        #expect(error?.message.contains(word) == true)
    }

    @Test(
        "qop: auth-int only for an entity or where nothing else is offered (threat G4)",
        arguments: [
            ("auth", false, "auth"), ("auth", true, "auth"), ("auth,auth-int", false, "auth"),
            ("auth,auth-int", true, "auth-int"), ("auth-int", false, "auth-int"), ("token, AUTH", true, "auth"),
            ("auth-conf,auth", false, "auth"), (",, auth ,", false, "auth"),
            ("auth-x auth, auth-int", false, "auth-int"),
        ]
    )
    func protection(offered: String, hasEntity: Bool, chosen: String) throws {
        let challenge = try challenge("realm=r, nonce=n, qop=\"\(offered)\"")
        #expect(challenge.protection(hasEntity: hasEntity)?.rawValue == chosen)
        var session = try DigestSession(challenge, user: "u", password: "p")
        let entity = ByteBuffer(string: hasEntity ? "x" : "")
        let answer = session.answer(method: "GET", uri: "/", entity: entity, clientNonce: "c")
        #expect(try self.parameters(answer?.value)["qop"] == chosen)
    }

    @Test(
        "the form of RFC 2069, as an empty qop is: neither count nor nonce of the client",
        arguments: ["", ", qop=\"\"", ", qop=\" \"", ", qop=\",\"", ", qop=\"\", charset=x, unknown=\"y\""]
    )
    func withoutQop(_ qop: String) throws {
        var session = try DigestSession(try self.challenge("realm=r, nonce=n" + qop), user: "u", password: "p")
        let answer = session.answer(method: "GET", uri: "/", clientNonce: "c")
        #expect(answer?.value.contains("algorithm") == false)
        let sent = try self.parameters(answer?.value)
        #expect(Set(sent.keys) == ["username", "realm", "nonce", "uri", "response"])
    }

    @Test("the nonce count goes up, and starts again with the next nonce")
    func counts() throws {
        var session = try DigestSession(try self.challenge("realm=r, nonce=n, qop=auth"), user: "u", password: "p")
        func sent() throws -> [String: String] {
            try self.parameters(session.answer(method: "GET", uri: "/", clientNonce: "c")?.value)
        }
        let counts = try (0..<17).map { _ in try sent()["nc"] }
        #expect(counts.first == "00000001")
        #expect(counts.last == "00000011")
        session.take(nextNonce: "m")
        let next = try sent()
        #expect(next["nc"] == "00000001")
        #expect(next["nonce"] == "m")
    }

    @Test("the key of a session is made once (section 3.4.2)")
    func sessionKey() throws {
        let challenge = try challenge("realm=r, nonce=n, qop=auth, algorithm=SHA-256-sess")
        var session = try DigestSession(challenge, user: "u", password: "p")
        _ = session.answer(method: "GET", uri: "/", clientNonce: "first")
        session.take(nextNonce: "m")
        let sent = try self.parameters(session.answer(method: "GET", uri: "/", clientNonce: "second")?.value)
        #expect(sent["cnonce"] == "first")
        let algorithm = DigestAlgorithm.sha256
        let key = algorithm.hash(
            DigestKey.make(user: "u", realm: "r", password: "p", algorithm: algorithm) + ":n:first"
        )
        let expected = DigestExchange(algorithm: algorithm, nonce: "m", clientNonce: "first", method: "GET", uri: "/")
        #expect(sent["response"] == expected.response(key: key))
    }

    @Test(
        "Threat G10: names and realms are escaped, and read back as they were",
        arguments: [
            ("joe", "a \"quoted\" \\ realm"), ("DOMAIN\\joe", "desk"), ("a, b=\"c\"", "x, y=z"), ("", ""),
        ]
    )
    func escapes(user: String, realm: String) throws {
        let parsed = Challenge(
            scheme: "Digest",
            parameters: [("realm", realm), ("nonce", "n\"\\"), ("opaque", "o\"\\"), ("qop", "auth")].map {
                Challenge.Parameter(name: $0.0, value: $0.1)
            }
        )
        var session = try DigestSession(try DigestChallenge(parsed), user: user, password: "p")
        let sent = try self.parameters(session.answer(method: "GET", uri: "/a?b=c", clientNonce: "c")?.value)
        #expect(sent["username"] == user)
        #expect(sent["realm"] == realm)
        #expect(sent["nonce"] == "n\"\\")
        #expect(sent["opaque"] == "o\"\\")
        #expect(sent["uri"] == "/a?b=c")
        #expect(sent["username*"] == nil)
    }

    @Test("a name that is not ASCII is username*, or hidden where that is asked for (section 3.4)")
    func nonASCII() throws {
        var session = try DigestSession(
            try self.challenge("realm=r, nonce=n, qop=auth, charset=UTF-8, userhash=false"),
            user: "J\u{E4}s\u{F8}n Doe%'*",
            password: "p"
        )
        let plain = session.answer(method: "GET", uri: "/", clientNonce: "c")?.value ?? ""
        #expect(plain.hasPrefix("Digest username*=UTF-8''J%C3%A4s%C3%B8n%20Doe%25%27%2A, realm="))
        #expect(!plain.contains("userhash"))
        session = try DigestSession(
            try self.challenge("realm=r, nonce=n, qop=auth, userhash=true"),
            user: "joe",
            password: "p"
        )
        let hidden = session.answer(method: "GET", uri: "/", clientNonce: "c")?.value ?? ""
        #expect(!hidden.contains("joe"))
        #expect(hidden.hasSuffix("userhash=true"))
    }

    @Test(
        "Threat G10: what the scheme cannot carry",
        arguments: [("a:b", "p"), ("a\r\nX: y", "p"), ("a", "p\n"), ("\0", "p")]
    )
    func refused(user: String, password: String) throws {
        let challenge = try challenge("realm=r, nonce=n, qop=auth")
        let error = #expect(throws: WebSocketError.self) {
            try DigestSession(challenge, user: user, password: password)
        }
        #expect(error?.code == .invalidArgument)
    }

    @Test("domain and unknown parameters are passed over; stale in any case")
    func others() throws {
        let challenge = try challenge("realm=r, domain=\"http://evil.example/\", nonce=n, stale=TRUE, x=y, qop=auth")
        #expect(challenge.isStale)
        var session = try DigestSession(challenge, user: "u", password: "p")
        let value = session.answer(method: "GET", uri: "/", clientNonce: "c")?.value
        #expect(value?.contains("evil") == false)
    }

    // MARK: rspauth

    private func proof() throws -> (DigestProof, String) {
        var session = try DigestSession(try self.challenge("realm=r, nonce=n, qop=\"auth\""), user: "u", password: "p")
        let made = session.answer(method: "GET", uri: "/", clientNonce: "c")
        let answer = try #require(made)
        let exchange = DigestExchange(algorithm: .md5, nonce: "n", clientNonce: "c", method: "GET", uri: "/")
        let key = DigestKey.make(user: "u", realm: "r", password: "p", algorithm: .md5)
        return (answer.proof, exchange.responseAuthentication(key: key))
    }

    @Test("Threat G14: rspauth is checked where it is there")
    func rspauth() throws {
        let (proof, right) = try proof()
        #expect(try proof.check([]) == nil)
        #expect(try proof.check(["nextnonce=\"m\""]) == "m")
        #expect(try proof.check(["rspauth=\"\(right)\", cnonce=\"c\", nc=00000001, qop=auth, nextnonce=m"]) == "m")
        #expect(try proof.check(["rspauth=\"\(right.uppercased())\"", "qop=auth"]) == nil)
        let wrong = [
            "rspauth=\"\(String(right.dropLast()))0\"", "rspauth=\"\"", "rspauth=\"\(right)\", cnonce=d",
            "rspauth=\"\(right)\", nc=00000002", "rspauth=\"\(right)\", qop=auth-int",
            "rspauth=\"\(right)\", qop=none", "rspauth=\"\(right)\", rspauth=x", "rspauth",
        ].filter { $0 != "rspauth=\"\(right)\"" }
        for value in wrong {
            let error = #expect(throws: WebSocketError.self, "\(value)") { try proof.check([value]) }
            #expect(error?.code == .authenticationFailed)
            #expect(error?.description.contains(right) == false)
        }
    }

    @Test("RFC 7616 section 3.5: rspauth over content that was not read whole cannot be wrong, any other can")
    func unreadContent() throws {
        let (proof, right) = try proof()
        let other = "rspauth=\"\(String(repeating: "0", count: 32))\", nextnonce=m"
        #expect(try proof.check([other, "qop=auth-int"], entity: nil) == "m")
        #expect(try proof.check(["rspauth=\"\(right)\", qop=auth, nextnonce=m"], entity: nil) == "m")
        for values in [[other], [other, "qop=auth"], [other, "cnonce=d", "qop=auth-int"]] {
            #expect(throws: WebSocketError.self) { try proof.check(values, entity: nil) }
        }
        #expect(throws: WebSocketError.self) { try proof.check([other, "qop=auth-int"]) }
    }

    @Test("never shown")
    func descriptions() throws {
        var session = try DigestSession(
            try self.challenge("realm=r, nonce=n, qop=auth"),
            user: "CANARY",
            password: "CANARY"
        )
        let made = session.answer(method: "GET", uri: "/", clientNonce: "c")
        let answer = try #require(made)
        let key = DigestKey.make(user: "CANARY", realm: "r", password: "CANARY", algorithm: .md5)
        let authorization = RequestAuthorization(answer.value, proof: answer.proof)
        var text = "\(session)\(answer.proof)\(authorization)\(String(reflecting: session))"
        dump(session, to: &text)
        dump(answer.proof, to: &text)
        dump(authorization, to: &text)
        #expect(!text.contains("CANARY"))
        #expect(!text.contains(key))
    }
}
