// Digest over many requests: nonces that age and are forgotten, and both ends of a login with their proofs.

import KHPProtocol
import NIOCore

extension FuzzTarget {
    /// Uses of nonces, four bytes each: a nonce, its count, the time that passes, and how long it may last.
    static let nonces = FuzzTarget(name: "nonces") { _ in
        [
            [0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 1, 1, 5, 0, 2, 1, 200, 0, 0, 3, 0, 0],
            (0..<24).flatMap { [UInt8($0), 1, 1, 0] } + (0..<24).flatMap { [UInt8($0), 2, 0, 3] },
            (0..<24).flatMap { [UInt8(23 - $0), UInt8($0), 250, 0] } + [3, 0, 0, 0],
        ]
        .deciding([[0, 0], [3, 1], [7, 0]])
    } run: { input in
        var input = input
        let capacity = 1 + input.choice(8)
        let grows = input.flag()
        let seal = DigestNonceSeal(realm: "club", key: [1, 2, 3])
        var generator = Cuts(seed: 7)
        let start: UInt64 = 1_000_000_000_000
        // Issued one second after the other, the last ones in the future.
        let nonces = (0..<24).compactMap { number in
            seal.read(seal.make(now: start + UInt64(number) * 10_000_000, using: &generator))
        }
        check(nonces.count == 24, "a nonce of our own is none")
        check(seal.read("\(seal.opaque)AAAA") == nil, "somebody else's nonce is one of ours")
        let lifetime: UInt64 = 60_000_000
        var counts = NonceCounts(lifetime: lifetime, capacity: capacity)
        var now = start
        var used: [Int: UInt32] = [:]
        let bytes = input.content
        for place in stride(from: 0, to: bytes.count - 3, by: 4) {
            let number = Int(bytes[place]) % nonces.count
            let count = UInt32(bytes[place + 1])
            let step = UInt64(bytes[place + 2]) * 100_000
            // A clock may be set back.
            now = bytes[place + 3] & 4 == 4 && now > step ? now - step : now + step
            if grows, place % 32 == 28 { counts.extend(lifetime: lifetime, capacity: capacity + 2) }
            let shorter: UInt64 = bytes[place + 3] & 1 == 1 ? 5_000_000 : .max
            let use = counts.use(nonces[number], count: count, now: now, lifetime: shorter)
            let issued = nonces[number].issued
            switch use {
            case .fresh:
                check(used[number].map { $0 < count } ?? true, "\(count) of nonce \(number) is taken twice")
                check(issued + min(lifetime, shorter) >= now, "a nonce that is too old is taken")
                check(issued <= now + 60_000_000, "a nonce of the future is taken")
                used[number] = count
            case .replayed: check(used[number].map { $0 >= count } ?? false, "\(count) was never used")
            // Forgotten, or out of its time: safe either way.
            case .stale: break
            }
            check(counts.count <= capacity + 2, "\(counts.count) nonces are kept")
        }
    }

    /// A user, a password, a realm and a nonce that a server sends next; then edits of the server's proof.
    static let proofs = FuzzTarget(name: "proofs") { _ in
        [
            "joe\nwelcome1Zq9\nclub\nnext", "jöe\nwelcome1Zq9\na \"quoted\\ realm\nnext\n0A", "a%b'c!\np\n\n\nxy",
            "j\u{1}\np\nr\nn", "a:b\np\nr\nn", "\u{65}\u{301}\nZq9vXw7Rk2\nü\nnext\n\u{8}\"\u{9}f",
        ]
        .map { Array($0.utf8) }
        .deciding([[0, 0], [1, 1], [2, 2], [3, 3], [1, 4], [0, 5], [3, 7]])
    } run: { input in
        var input = input
        let algorithm = [DigestAlgorithm.md5, .sha256, .sha512_256, .sha256Session][input.choice(4)]
        let bits = input.byte()
        let lines = input.lines
        guard lines.count > 3 else { return }
        let (user, password, realm, next) = (lines[0], lines[1], lines[2], lines[3])
        let keys: (own: [UInt8], other: [UInt8]) = ([1, 2, 3], [4, 5])
        let old = DigestVerifier(realm: realm, algorithms: [algorithm], offersIntegrity: true, key: keys.other)
        let verifier = DigestVerifier(
            realm: realm,
            algorithms: [algorithm],
            offersIntegrity: bits & 1 == 1,
            acceptsHashedUsers: bits & 2 == 2,
            key: keys.own,
            otherKeys: [keys.other]
        )
        var generator = Cuts(seed: 7)
        let asking = bits & 4 == 4 ? old : verifier
        let texts = asking.challenges(isStale: bits & 8 == 8, now: 1_000, using: &generator)
        guard let parsed = try? parseChallenges(fieldValues: texts).first, let challenge = try? DigestChallenge(parsed)
        else {
            // A realm may hold what no field can; servers refuse those when they are made.
            return check(realm.utf8.contains { $0 < 0x20 || $0 >= 0x7F }, "\(texts) cannot be read")
        }
        let entity = ByteBuffer(string: bits & 16 == 16 ? "body" : "")
        guard var session = try? DigestSession(challenge, user: user, password: password) else {
            return check(
                (user + password).utf8.contains { $0 < 0x20 || $0 == 0x7F || $0 == 0x3A },
                "\(user) is refused"
            )
        }
        var counts = NonceCounts(lifetime: 60_000_000, capacity: 8)
        let key = DigestKey.make(user: user, realm: challenge.realm, password: password, algorithm: algorithm)
        for number in 1...2 {
            guard let answer = session.answer(method: "GET", uri: "/echo", entity: entity, clientNonce: "f2/wE4q7")
            else { return check(false, "no answer") }
            check(!"\(session)\(answer.proof)".contains(password) || password.utf8.count < 8, "a password is shown")
            guard let claim = verifier.claim(of: answer.value, method: "GET", target: "/echo", entity: entity) else {
                let isUnasked = bits & 4 == 4 && bits & 1 == 0
                return check(isUnasked || realm != challenge.realm, "our server cannot read \(answer.value)")
            }
            let given = claim.authorization
            check(given.isUserHashed || given.user == user, "\(user) becomes \(given.user)")
            check(verifier.opaques.contains(claim.opaque), "an opaque of nobody")
            if case .right = verifier.judge(claim, key: nil, counts: &counts, now: 2_000) {
                check(false, "a user that nobody knows is right")
            }
            guard case .right(let confirmation) = verifier.judge(claim, key: key, counts: &counts, now: 2_000) else {
                return check(false, "right answer \(number) is not taken")
            }
            let info = confirmation.authenticationInfo(entity: entity)
            check(answer.proof.holds([info], entity), "our client doubts \(info)")
            Self.edit(info, answer.proof, entity, Array(lines.dropFirst(4).joined(separator: "\n").utf8))
            let said = (try? answer.proof.check(["nextnonce=\(DigestKey.quote(next))"])) ?? nil
            check(said == nil || said == next, "\(next) becomes \(said ?? "")")
            // Our server has no such nonce: the session itself counts on with the one that it has.
            var other = session
            other.take(nextNonce: said ?? "")
            check(other.answer(method: "GET", uri: "/", clientNonce: "1") != nil, "no answer with the next nonce")
        }
    }

    /// Two bytes each, where and to what: a proof that says another hash is none.
    private static func edit(_ info: String, _ proof: DigestProof, _ entity: ByteBuffer, _ edits: [UInt8]) {
        guard !edits.isEmpty else { return }
        var bytes = Array(info.utf8)
        for index in stride(from: 0, to: edits.count - 1, by: 2) {
            bytes[Int(edits[index]) * (bytes.count - 1) / 255] = edits[index + 1]
        }
        let edited = String(decoding: bytes, as: UTF8.self)
        func said(_ text: String) -> String? {
            (try? parseAuthenticationParameters([text]))?.last { $0.name == "rspauth" }?.value.lowercased()
        }
        guard proof.holds([edited], entity) else { return }
        check(said(edited) == nil || said(edited) == said(info), "another proof is taken: \(edited)")
    }
}

extension DigestProof {
    /// True where a client is content with the fields.
    func holds(_ values: [String], _ entity: ByteBuffer = ByteBuffer()) -> Bool {
        do {
            _ = try self.check(values, entity: entity)
            return true
        } catch {
            return false
        }
    }
}

extension DigestKey {
    fileprivate static func quote(_ text: String) -> String {
        "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }
}
