import KHPProtocol
import NIOCore
import TestSupport
import Testing

/// Randomness that tests can repeat.
private struct Counting: RandomNumberGenerator {
    var state: UInt64 = 0

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        return self.state
    }
}

private enum Outcome: Equatable {
    case right
    case stale
    case wrong
}

/// A server's Digest with its memory, at a time that tests set.
private struct Desk {
    var verifier: DigestVerifier
    var counts: NonceCounts
    var now: UInt64 = 1_800_000_000_000_000
    private var generator = Counting()

    init(
        algorithms: [DigestAlgorithm] = [.sha256, .md5],
        realm: String = "desk",
        integrity: Bool = false,
        hashed: Bool = false,
        key: String = "a key of this cluster",
        otherKeys: [String] = [],
        capacity: Int = 100
    ) {
        self.verifier = DigestVerifier(
            realm: realm,
            algorithms: algorithms,
            offersIntegrity: integrity,
            acceptsHashedUsers: hashed,
            key: Array(key.utf8),
            otherKeys: otherKeys.map { Array($0.utf8) }
        )
        self.counts = NonceCounts(lifetime: 300_000_000, capacity: capacity)
    }

    mutating func challenges(isStale: Bool = false) -> [String] {
        self.verifier.challenges(isStale: isStale, now: self.now, using: &self.generator)
    }

    mutating func answer(
        _ algorithm: DigestAlgorithm = .sha256,
        uri: String = "/trades?since=1",
        _ change: (inout DigestAnswer) -> Void = { _ in }
    ) throws -> DigestAnswer {
        var answer = try #require(
            DigestAnswer(self.challenges(), algorithm: algorithm, user: "joe", password: "wélcome", uri: uri)
        )
        change(&answer)
        return answer
    }

    mutating func judge(
        _ value: String,
        method: String = "GET",
        target: String = "/trades?since=1",
        entity: ByteBuffer = ByteBuffer(),
        user: String = "joe"
    ) -> (outcome: Outcome, info: String?) {
        guard let claim = self.verifier.claim(of: value, method: method, target: target, entity: entity) else {
            return (.wrong, nil)
        }
        let key =
            claim.authorization.user == user
            ? DigestKey.make(
                user: "joe",
                realm: self.verifier.realm,
                password: "wélcome",
                algorithm: claim.authorization.algorithm
            ) : nil
        switch self.verifier.judge(claim, key: key, counts: &self.counts, now: self.now) {
        case .right(let confirmation): return (.right, confirmation.authenticationInfo())
        case .stale: return (.stale, nil)
        case .wrong: return (.wrong, nil)
        }
    }

    mutating func outcome(_ answer: DigestAnswer) -> Outcome { self.judge(answer.value).outcome }
}

@Suite("The server's half of Digest (RFC 7616)")
struct DigestVerifierTests {
    @Test("challenges: the strongest first, with one nonce, quoted as section 3.3 has it")
    func challenges() throws {
        var desk = Desk(
            algorithms: [.md5, .sha256, .sha512_256],
            realm: "a \"desk\"\r\n",
            integrity: true,
            hashed: true
        )
        let values = desk.challenges(isStale: true)
        let parsed = try parseChallenges(fieldValues: values)
        #expect(parsed.compactMap { $0["algorithm"] } == ["SHA-512-256", "SHA-256", "MD5"])
        #expect(Set(parsed.compactMap { $0["nonce"] }).count == 1)
        for (value, challenge) in zip(values, parsed) {
            #expect(challenge.realm == "a \"desk\"", "controls are left out (threats A15, G10)")
            #expect(
                value.contains(
                    "realm=\"a \\\"desk\\\"\", qop=\"auth, auth-int\", algorithm=\(challenge["algorithm"]!), "
                )
            )
            #expect(value.hasSuffix(", charset=UTF-8, userhash=true, stale=true"))
            #expect(value.contains("nonce=\"\(challenge["nonce"]!)\", opaque=\"\(challenge["opaque"]!)\""))
        }
        #expect(!desk.challenges()[0].contains("stale"))
        #expect(desk.challenges()[0] != desk.challenges()[0], "each has a nonce of its own")
    }

    @Test("right answers, in every algorithm", arguments: DigestAlgorithm.allCases)
    func right(_ algorithm: DigestAlgorithm) throws {
        var desk = Desk(algorithms: DigestAlgorithm.allCases)
        var answer = try desk.answer(algorithm)
        let (outcome, info) = desk.judge(answer.value)
        #expect(outcome == .right)
        // Section 3.5: the server's proof, checked as a client does.
        let proof = answer.exchange.responseAuthentication(key: answer.key)
        #expect(info == "rspauth=\"\(proof)\", qop=auth, cnonce=\"\(answer.clientNonce)\", nc=00000001")
        answer.count = 2
        #expect(desk.outcome(answer) == .right)
        answer.count = 0xFFFF_FFFF
        #expect(desk.outcome(answer) == .right)
    }

    @Test("RFC 7616 section 3.9.1: the answer of its example is read as it stands there")
    func example() throws {
        let value = """
            Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm=MD5, \
            nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, \
            cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, \
            response="8ca523f5e9506fed4657c9700eebdbec", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
            """
        let given = try DigestAuthorization(value)
        let key = DigestKey.make(
            user: given.user,
            realm: given.realm,
            password: "Circle of Life",
            algorithm: given.algorithm
        )
        #expect(given.exchange(method: "GET", entity: ByteBuffer()).response(key: key) == given.response)
    }

    /// A wrong value in the answer. A fault beside the signature has to be
    /// refused even where the signature holds.
    @Test(
        "one thing wrong",
        arguments: [
            ("username", "\"ann\""), ("username", ""), ("username", "\"jo\u{7}e\""), ("username*", "UTF-8''joe"),
            ("realm", "\"other\""), ("realm", ""), ("nonce", ""), ("uri", "\"/trades\""),
            ("uri", "\"/trades?since=2\""), ("uri", "\"ws://localhost/trades?since=1\""), ("uri", ""),
            ("response", ""), ("response", "\"\""), ("response", "\"\(String(repeating: "0", count: 64))\""),
            ("response", "\"\(String(repeating: "0", count: 32))\""), ("algorithm", "SHA-512-256"),
            ("algorithm", "MD5"),
            ("algorithm", "SHA-1"), ("algorithm", "\"\""), ("algorithm", ""), ("cnonce", ""), ("cnonce", "\"\""),
            ("cnonce", "\"another\""), ("opaque", ""), ("qop", ""), ("qop", "auth-int"),
            ("qop", "\"auth,auth-int\""), ("nc", ""), ("nc", "1"), ("nc", "00000000"), ("nc", "+0000001"),
            ("nc", "0000000g"), ("nc", "000000001"), ("nc", "00000003"), ("userhash", "true"), ("userhash", "perhaps"),
            ("Realm", "\"desk\""),
        ]
    )
    func oneWrong(_ name: String, _ value: String) throws {
        var desk = Desk()
        var answer = try desk.answer()
        #expect(desk.judge(answer.value).outcome == .right, "the control")
        answer.count = 2
        answer.overwritten[name] = value
        #expect(desk.outcome(answer) == .wrong)
    }

    @Test(
        "no Digest at all",
        arguments: [
            "", "Digest", "Digest ", "Digest abc==", "Basic am9lOndlbGNvbWU=", "digest username=\"joe", "Digest ,",
        ]
    )
    func malformed(_ value: String) {
        var desk = Desk()
        #expect(desk.judge(value).outcome == .wrong)
    }

    @Test("quotes are a matter of taste in what clients send, and so is the case of names")
    func quoting() throws {
        var desk = Desk()
        var answer = try desk.answer()
        answer.overwritten = ["qop": "\"auth\"", "nc": "\"00000001\"", "algorithm": "\"sha-256\"", "userhash": "false"]
        #expect(desk.outcome(answer) == .right)
        answer.count = 2
        answer.overwritten = [:]
        let value = answer.value.replacing("Digest username=", with: "DIGEST  UserName =")
        #expect(desk.judge(value).outcome == .right)
    }

    @Test("a signature opens only the request that it was made for (threat G6)")
    func otherRequest() throws {
        var desk = Desk()
        let answer = try desk.answer()
        #expect(desk.judge(answer.value, target: "/trades").outcome == .wrong)
        #expect(desk.judge(answer.value, method: "POST").outcome == .wrong)
        #expect(desk.judge(answer.value).outcome == .right)
    }

    @Test("auth-int signs the entity, where it is offered")
    func integrity() throws {
        let entity = ByteBuffer(string: "terms")
        var desk = Desk(integrity: true)
        var answer = try desk.answer { $0.protection = .integrity }
        var exchange = answer.exchange
        exchange.entity = entity
        answer.overwritten["response"] = exchange.response(key: answer.key)
        #expect(desk.judge(answer.value, entity: ByteBuffer(string: "Terms")).outcome == .wrong)
        let (outcome, info) = desk.judge(answer.value, entity: entity)
        #expect(outcome == .right)
        #expect(info?.contains("qop=auth-int") == true)
        var strict = Desk()
        let other = try strict.answer { $0.protection = .integrity }
        #expect(strict.judge(other.value).outcome == .wrong, "not offered")
    }

    @Test("names: UTF-8 in quotes, as an extended value, or hashed (threat G10)")
    func names() throws {
        var desk = Desk(hashed: true)
        func outcome(_ user: String, _ overwritten: [String: String]) throws -> Outcome {
            var answer = try desk.answer { $0.user = user }
            answer.overwritten = overwritten
            let value = answer.value
            guard let claim = desk.verifier.claim(of: value, method: "GET", target: answer.uri) else { return .wrong }
            let given = claim.authorization
            let hash = DigestKey.userHash(user: user, realm: "desk", algorithm: .sha256)
            let known = given.isUserHashed ? given.user == hash : given.user == user
            switch desk.verifier.judge(claim, key: known ? answer.key : nil, counts: &desk.counts, now: desk.now) {
            case .right: return .right
            case .stale: return .stale
            case .wrong: return .wrong
            }
        }
        let jason = "Jäsøn \"Doe\""
        let hash = DigestKey.userHash(user: jason, realm: "desk", algorithm: .sha256)
        #expect(try outcome(jason, [:]) == .right)
        #expect(try outcome(jason, ["username": "", "username*": "UTF-8''J%C3%A4s%C3%B8n%20%22Doe%22"]) == .right)
        #expect(try outcome(jason, ["username": "\"\(hash)\"", "userhash": "true"]) == .right)
        for (overwritten, what) in [
            (["username": "", "username*": "ISO-8859-1''J%E4s"], "another character set"),
            (["username": "", "username*": "UTF-8''%C3"], "no UTF-8"),
            (["username": "", "username*": "UTF-8''%0D%0A"], "a line break"),
            (["username": "", "username*": "UTF-8''%4"], "half a byte"),
            (["username": "", "username*": "UTF-8''\(hash)", "userhash": "true"], "both forms"),
            (["username": "\"\(jason)\"", "userhash": "true"], "a name that is no hash"),
        ] {
            #expect(try outcome(jason, overwritten) == .wrong, "\(what)")
        }
    }

    @Test("a count is used once and never goes back (threat G5)")
    func replay() throws {
        var desk = Desk()
        var answer = try desk.answer()
        #expect(desk.outcome(answer) == .right)
        #expect(desk.outcome(answer) == .stale, "the same header again")
        answer.count = 7
        #expect(desk.outcome(answer) == .right)
        answer.count = 6
        #expect(desk.outcome(answer) == .stale, "a count before the last")
        answer.count = 8
        answer.password = "guess"
        #expect(desk.outcome(answer) == .wrong)
        answer.password = "wélcome"
        #expect(desk.outcome(answer) == .right, "a wrong answer uses up no count")
    }

    @Test("a nonce lasts five minutes, and none comes from the future (threat G5)")
    func age() throws {
        var desk = Desk()
        let issued = desk.now
        var answer = try desk.answer()
        desk.now = issued + 300_000_000
        #expect(desk.outcome(answer) == .right)
        desk.now += 1
        answer.count = 2
        #expect(desk.outcome(answer) == .stale)
        answer.password = "guess"
        #expect(desk.outcome(answer) == .wrong, "stale is said to right credentials only")
        answer.password = "wélcome"
        // The clock goes back: a nonce that was forgotten as too old stays forgotten.
        desk.now = issued
        #expect(desk.outcome(answer) == .stale)
        var later = try desk.answer()
        desk.now = issued - 61_000_000
        later.count = 2
        #expect(desk.outcome(later) == .stale)
    }

    @Test("a nonce that is none of ours is stale to who knows the password, and wrong to everyone else")
    func foreign() throws {
        var desk = Desk()
        var other = Desk(key: "the key of another cluster")
        let foreign = try #require(other.answer().challenge["nonce"])
        let own = try #require(desk.answer().challenge["nonce"])
        // Another time under the same seal; the seal of another realm.
        let forged = (own.first == "A" ? "B" : "A") + own.dropFirst()
        var elsewhere = Desk(realm: "other")
        let moved = try #require(elsewhere.answer().challenge["nonce"])
        for nonce in [
            "", foreign, forged, moved, "dcd98b7102dd2f0e8b11d0f600bfb0c093", own + "=", String(own.dropLast()),
        ] {
            var answer = try desk.answer { $0.overwritten["nonce"] = "\"\(nonce)\"" }
            #expect(desk.outcome(answer) == .stale, "\(nonce)")
            answer.password = "guess"
            #expect(desk.outcome(answer) == .wrong, "\(nonce)")
        }
        var restarted = try desk.answer { $0.overwritten["opaque"] = "\"another\"" }
        #expect(desk.outcome(restarted) == .stale, "the challenge of a server that is gone")
        restarted.password = "guess"
        #expect(desk.outcome(restarted) == .wrong)
        #expect(desk.counts.count == 0, "nothing of it is remembered")
    }

    @Test("two servers with one key take each other's nonces")
    func cluster() throws {
        var one = Desk()
        var two = Desk()
        var answer = try one.answer()
        #expect(two.outcome(answer) == .right)
        #expect(two.outcome(answer) == .stale)
        answer.count = 2
        #expect(one.outcome(answer) == .right)
    }

    @Test("a full memory forgets the oldest nonces, and with them all that were issued before (threat G5)")
    func overflow() throws {
        var desk = Desk(capacity: 3)
        var answers: [DigestAnswer] = []
        for _ in 0..<5 {
            desk.now += 1
            answers.append(try desk.answer())
        }
        // The first is not used yet when the memory overflows.
        for answer in answers.dropFirst() { #expect(desk.outcome(answer) == .right) }
        #expect(desk.counts.count == 3)
        for index in answers.indices { answers[index].count = 2 }
        #expect(answers.map { desk.outcome($0) } == [.stale, .stale, .right, .right, .right])
        for index in answers.indices { #expect(desk.outcome(answers[index]) == .stale, "\(index)") }
    }

    @Test("while keys change, nonces of the old and the new one are taken, and those of no key are stale")
    func rotation() throws {
        var old = Desk(key: "the old key of all")
        var between = Desk(key: "the old key of all", otherKeys: ["the new key of all"])
        var new = Desk(key: "the new key of all", otherKeys: ["the old key of all"])
        var last = Desk(key: "the new key of all")
        let fromOld = try old.answer()
        // Another time: the desks draw the same random numbers.
        new.now += 1
        let fromNew = try new.answer()
        #expect(between.outcome(fromOld) == .right && between.outcome(fromNew) == .right)
        #expect(new.outcome(fromOld) == .right && new.outcome(fromNew) == .right)
        #expect(new.outcome(fromOld) == .stale, "a count is taken once")
        #expect(old.outcome(fromNew) == .stale && last.outcome(fromOld) == .stale)
        #expect(last.outcome(fromNew) == .right)
    }

    @Test("however nonces come and go, no count is taken twice")
    func property() {
        var generator = Counting(state: 7)
        var counts = NonceCounts(lifetime: 50, capacity: 8)
        let seal = DigestNonceSeal(realm: "desk", key: Array("a key of this cluster".utf8))
        var nonces: [DigestNonce] = []
        var taken: Set<String> = []
        var now: UInt64 = 1_000_000
        for _ in 0..<20_000 {
            // Mostly forward, sometimes back.
            now = generator.next() % 20 == 0 ? now - generator.next() % 40 : now + generator.next() % 5
            if nonces.isEmpty || generator.next() % 3 == 0 {
                guard let nonce = seal.read(seal.make(now: now, using: &generator)) else {
                    Issue.record("a nonce that cannot be read")
                    return
                }
                nonces.append(nonce)
            }
            let index = nonces.count - 1 - Int(generator.next() % UInt64(min(nonces.count, 30)))
            let count = UInt32(generator.next() % 4 + 1)
            guard counts.use(nonces[index], count: count, now: now) == .fresh else { continue }
            #expect(taken.insert("\(index) \(count)").inserted)
            #expect(counts.count <= 8)
        }
        #expect(taken.count > 1000)
    }

    @Test("nothing shows keys, answers or users")
    func silence() throws {
        var desk = Desk()
        let answer = try desk.answer()
        let claim = try #require(desk.verifier.claim(of: answer.value, method: "GET", target: answer.uri))
        var dumped = ""
        dump(claim, to: &dumped)
        dump(desk.verifier, to: &dumped)
        dumped += "\(claim) \(claim.authorization) \(desk.verifier)"
        for secret in ["a key of", answer.exchange.response(key: answer.key), answer.clientNonce, "joe"] {
            #expect(!dumped.contains(secret))
        }
    }
}
