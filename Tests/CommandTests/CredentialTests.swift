import Testing

@testable import khp

/// Users files, hashes and `.netrc`: what `khp serve --users` and `khp connect --netrc` read.
struct CredentialTests {
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
        #expect(throws: CommandFailure.self) { try PasswordHash.make(String(repeating: "a", count: 73)) }
        #expect(throws: CommandFailure.self) { try PasswordHash.make("a\0b") }
    }

    @Test("a users file: comments, blanks, two users (D22)")
    func users() throws {
        let text = """
            # the desk
            joe:$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5

              ann:$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i
            """
        let users = try UsersFile(text, name: "users")
        #expect(users.count == 2)
        #expect(users.verify(user: "joe", password: "Hello world!"))
        #expect(users.verify(user: "ann", password: "abc"))
        #expect(!users.verify(user: "ann", password: "Hello world!"))
        #expect(!users.verify(user: "nobody", password: "abc"))
    }

    @Test(
        "a users file that is none names the line",
        arguments: [
            ("joe", "line 1"), ("\n:hash", "line 2"), ("joe:secret", "line 1"),
            (
                "a:$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5\n"
                    + "a:$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "line 2"
            ),
        ]
    )
    func brokenUsers(text: String, line: String) throws {
        let failure = #expect(throws: CommandFailure.self) { try UsersFile(text, name: "users") }
        #expect(failure?.status == .usage)
        #expect(failure?.sentence.contains(line) == true)
        #expect(failure?.sentence.contains("secret") == false)
    }

    @Test("a .netrc with machines, quotes, comments, a macro and a default")
    func netrc() throws {
        let text = """
            # comment
            machine example.com login joe password "wel\\"come you"
            macdef init
              cd /machine
              quit

            machine
              other.example
              account x login ann
            default login any password thing
            """
        let netrc = try Netrc(text, name: ".netrc")
        #expect(
            netrc.entry(for: "EXAMPLE.com") == .init(machine: "example.com", login: "joe", password: "wel\"come you")
        )
        #expect(netrc.entry(for: "other.example") == .init(machine: "other.example", login: "ann", password: nil))
        #expect(netrc.entry(for: "third.example") == .init(machine: nil, login: "any", password: "thing"))
        #expect(try Netrc("machine a login b password c", name: "n").entry(for: "b") == nil)
    }

    @Test("a .netrc that is none", arguments: ["machine", "login joe", "machine a login", "machine a secret b"])
    func brokenNetrc(text: String) {
        let failure = #expect(throws: CommandFailure.self) { try Netrc(text, name: ".netrc") }
        #expect(failure?.sentence.contains("secret") == false)
    }

    @Test("the certificate of the demo is PEM, and a new one each time")
    func certificate() throws {
        let first = try EphemeralCertificate()
        let text = String(decoding: first.certificate, as: UTF8.self)
        #expect(text.hasPrefix("-----BEGIN CERTIFICATE-----"))
        #expect(String(decoding: first.privateKey, as: UTF8.self).hasPrefix("-----BEGIN PRIVATE KEY-----"))
        #expect(try EphemeralCertificate().privateKey != first.privateKey)
    }
}
