import KHPServer
import Testing

@Suite("Users files and password hashes")
struct UsersFileTests {
    @Test("a hash verifies its own password and no other", arguments: PasswordHash.Algorithm.allCases)
    func hashRoundTrip(algorithm: PasswordHash.Algorithm) throws {
        let hash = try PasswordHash.make("wélcome", algorithm: algorithm)
        #expect(PasswordHash.isSupported(hash))
        #expect(PasswordHash.verify("wélcome", hash))
        #expect(!PasswordHash.verify("welcome", hash))
        #expect(try PasswordHash.make("wélcome", algorithm: algorithm) != hash, "a fresh salt each time")
    }

    @Test(
        "hashes of other programs verify",
        arguments: [
            // Made with `openssl passwd -5` and `-6`; jBCrypt's vector.
            ("Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
            (
                "Hello world!",
                "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
            ),
            ("abc", "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i"),
        ]
    )
    func knownHashes(password: String, hash: String) {
        #expect(PasswordHash.verify(password, hash))
        #expect(!PasswordHash.verify(password + "x", hash))
    }

    @Test("weak or broken hashes are none", arguments: ["", "x", "abJnggxhB/yWI", "$1$salt$hash", "$2b$10$a b", "*0"])
    func unsupported(hash: String) {
        #expect(!PasswordHash.isSupported(hash))
        #expect(!PasswordHash.verify("x", hash))
    }

    @Test("a password that bcrypt would cut is refused")
    func longPassword() {
        #expect(throws: WebSocketError.self) { try PasswordHash.make(String(repeating: "a", count: 73)) }
        #expect(throws: WebSocketError.self) { try PasswordHash.make("a\0b") }
    }

    private static let sha256 = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"
    private static let key = DigestAlgorithm.md5.key(user: "joe", realm: "desk", password: "secret")
    private static let longKey = DigestAlgorithm.sha256.key(user: "joe", realm: "desk", password: "secret")

    @Test("any text is taken, or refused with the number of a line (threat H1)", arguments: [false, true])
    func anyText(allowsTokens: Bool) {
        let right = """
            # the desk
            joe:\(Self.sha256)
            joe:desk:\(Self.key)
            joe:desk:SHA-256:\(Self.longKey)
            robot:mF_9.B5f-4.1JqM
            """
        var generator = SplitMix(state: 22)
        var taken = 0
        for round in 0..<5000 {
            var bytes = Array(right.utf8)
            for _ in 0..<Int.random(in: 0...3, using: &generator) {
                let index = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
                case 1: bytes.remove(at: index)
                case 2: bytes.insert(contentsOf: bytes[index...].prefix(30), at: index)
                default: bytes.insert([0x3A, 0x0A, 0x24, 0x0D].randomElement(using: &generator) ?? 0x3A, at: index)
                }
            }
            let text = String(decoding: bytes, as: UTF8.self)
            do throws(WebSocketError) {
                _ = try UsersFile(text, name: "users", allowsTokens: allowsTokens)
                taken += 1
            } catch {
                #expect(error.code == .invalidArgument, "round \(round)")
                #expect(error.message.hasPrefix("Line "), "round \(round): \(error.message)")
            }
        }
        #expect(taken > (allowsTokens ? 500 : -1))
    }

    @Test(
        "a text that is no hash costs nothing",
        arguments: ["", "$", "$6", "$6$", "$2b", "$y$", "$y$j", "$7$CU", "x$y", "$2b$x"]
    )
    func noCost(hash: String) {
        #expect(PasswordHash.cost(of: hash) == 0)
    }

    @Test("bcrypt takes the 72 bytes that it reads, and no password that is longer")
    func longest() throws {
        let most = String(repeating: "a", count: 72)
        #expect(PasswordHash.verify(most, try PasswordHash.make(most)))
        #expect(throws: WebSocketError.self) { try PasswordHash.make(most + "a") }
        #expect(throws: WebSocketError.self) { try PasswordHash.make("a\0b") }
        let longer = String(repeating: "a", count: 511)
        #expect(PasswordHash.verify(longer, try PasswordHash.make(longer, algorithm: .sha512)))
        #expect(throws: WebSocketError.self) { try PasswordHash.make(longer + "a", algorithm: .sha512) }
    }

    private struct SplitMix: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            self.state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = self.state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
    }

    @Test(
        "an unknown user costs what the dearest of the file costs, wherever it stands",
        arguments: [
            ["$5$rounds=1000$a$b", "$5$a$b", "$6$rounds=90000$a$b", "$2b$12$a"],
            ["$2b$04$a", "$2a$08$a", "$2y$10$a"],
            ["$5$a$b", "$y$j9T$a$b", "$2b$12$a"],
            ["$2b$06$a", "$7$CU..../....a$b", "$2b$13$a"],
            ["$y$j8T$a$b", "$y$j9T$a$b", "$y$jAT$a$b"],
        ]
    )
    func decoy(ascending: [String]) throws {
        for (cheaper, dearer) in zip(ascending, ascending.dropFirst()) {
            #expect(PasswordHash.cost(of: cheaper) < PasswordHash.cost(of: dearer))
        }
        for hashes in [ascending, ascending.reversed(), Array(ascending[1...] + ascending[..<1])] {
            let text = hashes.enumerated().map { "user-\($0):\($1)\n" }.joined()
            #expect(try UsersFile(text, name: "users").decoy == ascending.last)
        }
    }

    @Test("comments, blanks, two users (D22)")
    func passwords() async throws {
        let text = """
            # the desk
            joe:\(Self.sha256)

              ann:$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i
            """
        let users = try UsersFile(text, name: "users")
        #expect(users.hasPasswords && !users.hasTokens && users.digestAlgorithms(realm: "desk").isEmpty)
        #expect(await users.verify(user: "joe", password: "Hello world!"))
        #expect(await users.verify(user: "ann", password: "abc"))
        #expect(await !users.verify(user: "ann", password: "Hello world!"))
        #expect(await !users.verify(user: "nobody", password: "abc"))
    }

    @Test("keys for Digest: MD5 without a name, others with theirs, realms with colons (D22)")
    func keys() throws {
        let text = """
            joe:desk:\(Self.key)
            joe:desk:sha-256:\(Self.longKey.uppercased())
            joe:the: desk:\(Self.key)
            ann:desk:\(Self.key)
            joe:\(Self.sha256)
            """
        let users = try UsersFile(text, name: "users")
        #expect(users.digestKey(user: "joe", realm: "desk", algorithm: .md5) == Self.key)
        #expect(users.digestKey(user: "joe", realm: "desk", algorithm: .sha256Session) == Self.longKey)
        #expect(users.digestKey(user: "joe", realm: "the: desk", algorithm: .md5) == Self.key)
        #expect(users.digestKey(user: "joe", realm: "other", algorithm: .md5) == nil)
        #expect(users.hasPasswords)
        // SHA-256 would lock ann out.
        #expect(users.digestAlgorithms(realm: "desk") == [.md5])
        #expect(users.digestAlgorithms(realm: "other").isEmpty)
        let hidden = "8b5a7b33bd1ddd4ba4ef6ac5e2a0e7e8"
        #expect(users.user(hash: hidden, realm: "desk", algorithm: .md5) == nil)
        let hash = DigestKey.userHash(user: "joe", realm: "desk", algorithm: .md5)
        #expect(users.user(hash: hash, realm: "desk", algorithm: .md5) == "joe")
    }

    @Test(
        "a line ends as in any system, and its number counts each end once",
        arguments: ["\n", "\r\n", "\r", "\u{B}", "\u{C}", "\u{85}", "\u{2028}", "\u{2029}"]
    )
    func lineEnds(_ end: String) throws {
        let lines = ["\tjoe:token1 ", "", "# \u{E2}\u{C2}", " ann:token2\t", ""]
        let file = try UsersFile(lines.joined(separator: end), name: "users", allowsTokens: true)
        #expect(file.user(token: "token1") == "joe")
        #expect(file.user(token: "token2") == "ann")
        let error = #expect(throws: WebSocketError.self) {
            try UsersFile((lines + ["bad"]).joined(separator: end), name: "users")
        }
        #expect(error?.message.hasPrefix("Line 1 ") == true)
        let late = #expect(throws: WebSocketError.self) {
            try UsersFile(["", " ", "\t#", "bad", "worse"].joined(separator: end), name: "users")
        }
        #expect(late?.message.hasPrefix("Line 4 of users ") == true)
    }

    @Test("tokens, where they are allowed")
    func tokens() throws {
        let users = try UsersFile("joe:abc\njoe:def==\nann:ghi\n", name: "users", allowsTokens: true)
        #expect(users.user(token: "abc") == "joe")
        #expect(users.user(token: "def==") == "joe")
        #expect(users.user(token: "ghi") == "ann")
        #expect(users.user(token: "ab") == nil)
        #expect(users.user(token: "") == nil)
    }

    @Test(
        "a line that is none is named, its secret is not",
        arguments: [
            ("joe", 1, false), ("\n:hash", 2, false), ("joe:secret", 1, false), ("joe:$1$a$secret", 1, true),
            ("joe:{SHA}secret", 1, true), ("joe:sec ret", 1, true), ("joe:", 1, true), ("joe:desk:secret", 1, true),
            ("joe:desk:SHA-256:\(Self.key)", 1, false), ("joe:desk:\(Self.longKey)", 1, false),
            ("joe:desk:MD5-sess:\(Self.key)", 1, false), ("joe:desk:\(Self.key)\njoe:desk:\(Self.key)", 2, false),
            ("a:\(Self.sha256)\na:\(Self.sha256)", 2, false), ("a:secret\nb:secret", 2, true),
            ("a\u{7}:\(Self.sha256)", 1, false),
        ]
    )
    func broken(text: String, line: Int, allowsTokens: Bool) throws {
        let error = #expect(throws: WebSocketError.self) {
            try UsersFile(text, name: "users", allowsTokens: allowsTokens)
        }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.hasPrefix("Line \(line) of users ") == true)
        for secret in ["secret", "sec ret", Self.key, Self.longKey, Self.sha256] {
            #expect(error?.message.contains(secret) == false)
        }
    }

    @Test("a token where none is asked for: the error says so")
    func unwantedToken() {
        let error = #expect(throws: WebSocketError.self) { try UsersFile("robot:secret", name: "users") }
        #expect(error?.message.hasSuffix("tokens are taken only where bearer or token is asked for.") == true)
        let broken = #expect(throws: WebSocketError.self) {
            try UsersFile("robot:$secret", name: "users", allowsTokens: true)
        }
        #expect(broken?.message.contains("tokens are taken") == false)
    }

    @Test("nothing shows what a file holds")
    func silence() throws {
        let users = try UsersFile("joe:token\nann:desk:\(Self.key)", name: "users", allowsTokens: true)
        var dumped = ""
        dump(users, to: &dumped)
        for text in ["\(users)", String(reflecting: users), dumped] {
            #expect(!text.contains("token\"") && !text.contains(Self.key) && !text.contains("joe"))
        }
    }
}
