import KHPProtocol
import KHPServer
import Testing

/// The lines that `UsersFile.Line` makes are those that `UsersFile` reads.
struct UsersFileLineTests {
    @Test("a password's line verifies it", arguments: UsersFile.PasswordAlgorithm.allCases)
    func password(algorithm: UsersFile.PasswordAlgorithm) async throws {
        let line = try UsersFile.Line.password("welcome", user: "joe", algorithm: algorithm)
        let file = try UsersFile(line.text, name: "users")
        #expect(await file.verify(user: "joe", password: "welcome"))
        #expect(await !file.verify(user: "joe", password: "other"))
    }

    @Test("a key's line gives the key back, whatever colons the realm has", arguments: ["desk", "the: desk", ""])
    func digest(realm: String) throws {
        for algorithm in [DigestAlgorithm.md5, .sha256, .sha512_256] {
            let line = try UsersFile.Line.digest(password: "welcome", user: "joe", realm: realm, algorithm: algorithm)
            let file = try UsersFile(line.text, name: "users")
            let key = algorithm.key(user: "joe", realm: realm, password: "welcome")
            #expect(file.digestKey(user: "joe", realm: realm, algorithm: algorithm) == key)
        }
        #expect(throws: WebSocketError.self) {
            try UsersFile.Line.digest(password: "x", user: "joe", realm: realm, algorithm: .md5Session)
        }
    }

    @Test("a token's line holds a fresh token of 256 bits")
    func token() throws {
        let line = try UsersFile.Line.token(user: "robot")
        let token = line.text.dropFirst("robot:".count)
        #expect(token.utf8.count == 43)
        #expect(try UsersFile(line.text, name: "users", allowsTokens: true).user(token: String(token)) == "robot")
        #expect(try UsersFile.Line.token(user: "robot") != line)
    }

    @Test("no line for a name that cannot be read again", arguments: ["", "j:oe", "j\noe", "j\u{7F}"])
    func names(_ user: String) {
        #expect(throws: WebSocketError.self) { try UsersFile.Line.password("x", user: user) }
        #expect(throws: WebSocketError.self) { try UsersFile.Line.digest(password: "x", user: user, realm: "r") }
        #expect(throws: WebSocketError.self) { try UsersFile.Line.token(user: user) }
    }

    @Test("a line does not show itself")
    func hidden() throws {
        let line = try UsersFile.Line.token(user: "robot")
        #expect("\(line)" == "•••" && String(reflecting: line) == "•••")
    }
}
