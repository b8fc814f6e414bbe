import KHPProtocol
import NIOCore
import NIOPosix

/// A file of users, with their passwords' hashes, keys and tokens.
///
/// One user per line, three kinds of lines; empty lines and lines that begin with `#` do not count. `khp hash`
/// makes them.
///
/// ```
/// joe:$2b$10$…             Basic: a bcrypt or SHA-crypt hash
/// joe:desk:5f4d…           Digest: realm, and HA1 with MD5 as in htdigest
/// joe:desk:SHA-256:8c1e…   Digest: realm, algorithm and HA1
/// robot:mF_9.B5f-4.1JqM    Token and Bearer, where tokens are allowed
/// ```
///
/// A user may have lines of each kind, and one for each realm and algorithm.
public struct UsersFile: Sendable {
    private struct Account: Hashable {
        var name: String
        var realm: String
        var algorithm: DigestAlgorithm
    }

    private var hashes: [String: String] = [:]
    /// Verified in the place of an unknown user's hash, so that the time does not tell which names exist: the dearest
    /// of the file, since the first may be one that an administrator made cheaply long ago.
    package private(set) var decoy: String?
    private var keys: [Account: String] = [:]
    /// The users by the hashes of their names (RFC 7616 section 3.4.4).
    private var hashedNames: [Account: String] = [:]
    /// The users by a code of their tokens: looking one up takes a time that tells nothing about the others.
    private var tokens: [[UInt8]: String] = [:]
    private let tokenKey: [UInt8]

    /// Reads the text of a file.
    ///
    /// - Parameters:
    ///   - text: the contents of the file.
    ///   - name: the file's name, for errors.
    ///   - allowsTokens: `true` to take `name:token` lines; otherwise such a line is an error, as it may well be a
    ///     password that somebody forgot to hash.
    /// - Throws: ``WebSocketError/Code/invalidArgument`` with the number of the line and what is wrong with it, never
    ///   with what may be secret. On systems whose crypt knows no bcrypt, for each line with a hash.
    public init(_ text: String, name: String, allowsTokens: Bool = false) throws(WebSocketError) {
        var generator = SystemRandomNumberGenerator()
        self.tokenKey = (0..<32).map { _ in generator.next() }
        var number = 0
        var rest: Substring? = Substring(text)
        while let line = Self.nextLine(of: &rest)?.trimmingBlanks() {
            number += 1
            if line.isEmpty || line.utf8.first == UInt8(ascii: "#") { continue }
            do throws(LineError) {
                try self.read(line, allowsTokens: allowsTokens)
            } catch {
                throw WebSocketError(.invalidArgument, "Line \(number) of \(name) \(error.message).")
            }
        }
    }

    private struct LineError: Error {
        var message: String
    }

    /// Takes the next line out, by bytes: a character of Swift's takes its time to find.
    /// - Returns: the line without its end, and `nil` after the last.
    private static func nextLine(of rest: inout Substring?) -> Substring? {
        guard let text = rest else { return nil }
        let bytes = text.utf8
        var index = bytes.startIndex
        while index < bytes.endIndex {
            let width = Self.widthOfLineEnd(bytes[index...])
            if width > 0 {
                rest = text[bytes.index(index, offsetBy: width)...]
                return text[..<index]
            }
            bytes.formIndex(after: &index)
        }
        rest = nil
        return text
    }

    /// The bytes of what ends a line, if one ends here: LF, CR LF, CR, and the others that Unicode has.
    private static func widthOfLineEnd(_ bytes: Substring.UTF8View) -> Int {
        switch bytes.first {
        case 0x0D?: bytes.dropFirst().first == Bytes.lineFeed ? 2 : 1
        case 0x0A?, 0x0B?, 0x0C?: 1
        case 0xC2?: bytes.starts(with: "\u{85}".utf8) ? 2 : 0
        case 0xE2?: bytes.starts(with: "\u{2028}".utf8) || bytes.starts(with: "\u{2029}".utf8) ? 3 : 0
        default: 0
        }
    }

    private mutating func read(_ line: Substring, allowsTokens: Bool) throws(LineError) {
        let bytes = line.utf8
        guard let first = bytes.firstIndex(of: Bytes.colon), first > bytes.startIndex,
            let last = bytes.lastIndex(of: Bytes.colon)
        else { throw LineError(message: "is not `name:hash`; `khp hash` makes such lines") }
        let user = String(line[..<first])
        let secret = line[bytes.index(after: last)...]
        guard !user.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
            throw LineError(message: "has a name with a control character")
        }
        if first < last {
            try self.readKey(user, line[bytes.index(after: first)..<last], secret)
        } else if secret.hasPrefix("$") || !allowsTokens {
            try self.readHash(user, String(secret), allowsTokens: allowsTokens)
        } else {
            try self.readToken(user, String(secret))
        }
    }

    private mutating func readHash(_ user: String, _ hash: String, allowsTokens: Bool) throws(LineError) {
        guard PasswordHash.isSupported(hash) else {
            let tokens = allowsTokens ? "" : ", and tokens are taken only where bearer or token is asked for"
            throw LineError(
                message: "holds no bcrypt or SHA-crypt hash after `\(user):`; `khp hash` makes one\(tokens)"
            )
        }
        guard PasswordHash.isAvailable else {
            throw LineError(
                message: "holds a password hash, and this system's crypt knows neither bcrypt nor SHA-crypt"
            )
        }
        guard self.hashes.updateValue(hash, forKey: user) == nil else {
            throw LineError(message: "names the user `\(user)` a second time")
        }
        if self.decoy.map({ PasswordHash.cost(of: $0) < PasswordHash.cost(of: hash) }) ?? true { self.decoy = hash }
    }

    private mutating func readToken(_ user: String, _ token: String) throws(LineError) {
        var scanner = FieldScanner(token)
        guard scanner.token68() != nil, scanner.isAtEnd else {
            throw LineError(message: "holds no token after `\(user):`: letters, digits and -._~+/ make one")
        }
        guard self.tokens.updateValue(user, forKey: self.code(token)) == nil else {
            throw LineError(message: "holds a token that an earlier line holds")
        }
    }

    /// The realm may hold colons, as the name and the key never do.
    private mutating func readKey(
        _ user: String,
        _ middle: Substring,
        _ key: Substring
    ) throws(LineError) {
        var realm = middle
        var algorithm = DigestAlgorithm.md5
        if let colon = realm.utf8.lastIndex(of: Bytes.colon),
            let named = DigestAlgorithm(name: String(realm[realm.utf8.index(after: colon)...]))
        {
            guard !named.isSession else {
                throw LineError(message: "names a -sess algorithm; keys are made with \(named.base.rawValue)")
            }
            algorithm = named
            realm = realm[..<colon]
        }
        let key = Bytes.lowercasedASCII(key)
        guard key.utf8.allSatisfy({ Bytes.hexValue($0) != nil }), key.utf8.count == algorithm.digits else {
            throw LineError(
                message: "does not end in the \(algorithm.digits) hexadecimal digits of a key with "
                    + "\(algorithm.rawValue), as `name:realm:\(algorithm == .md5 ? "" : "\(algorithm.rawValue):")HA1` does; "
                    + "`khp hash --digest REALM` makes such lines"
            )
        }
        let account = Account(name: user, realm: String(realm), algorithm: algorithm)
        guard self.keys.updateValue(key, forKey: account) == nil else {
            throw LineError(
                message: "names the user `\(user)` with \(algorithm.rawValue) in `\(account.realm)` a second time"
            )
        }
        var hidden = account
        hidden.name = DigestKey.userHash(user: user, realm: account.realm, algorithm: algorithm)
        self.hashedNames.updateValue(user, forKey: hidden)
    }

    private func code(_ token: String) -> [UInt8] {
        MessageAuthenticationCode.make(Array(token.utf8), key: self.tokenKey)
    }

    // MARK: Contents

    /// `true` when a line has the hash of a password.
    public var hasPasswords: Bool { !self.hashes.isEmpty }

    /// Returns `true` when a line has the hash of that user's password. For counts and logs: whoever tells a client lets it
    /// look for names.
    public func hasPassword(user: String) -> Bool { self.hashes[user] != nil }

    /// `true` when a line has a token.
    public var hasTokens: Bool { !self.tokens.isEmpty }

    /// Returns `true` when a line has a key for Digest in that realm.
    public func hasDigestKeys(realm: String) -> Bool { self.keys.keys.contains { $0.realm == realm } }

    /// The algorithms in which every user of a realm has a key, the strongest first. A client takes the strongest that
    /// is offered, so one that only some users have would lock the others out.
    public func digestAlgorithms(realm: String) -> [DigestAlgorithm] {
        let accounts = self.keys.keys.filter { $0.realm == realm }
        let users = Set(accounts.map(\.name))
        return [DigestAlgorithm.sha512_256, .sha256, .md5].filter { algorithm in
            !users.isEmpty
                && users.allSatisfy { self.keys[Account(name: $0, realm: realm, algorithm: algorithm)] != nil }
        }
    }

    // MARK: Verifying

    /// Returns `true` when the password is that user's. Slow on purpose, and so computed on threads for passwords alone, as
    /// many as there are cores and four at most.
    public func verify(user: String, password: String) async -> Bool {
        (try? await Self.threads.runIfActive { self.isRight(user: user, password: password) }) ?? false
    }

    /// Files and names are not waited for, and do not wait: a slow disk or resolver would lock everybody out (threat H11).
    private static let threads: NIOThreadPool = {
        let threads = NIOThreadPool(numberOfThreads: min(max(System.coreCount, 1), 4))
        threads.start()
        return threads
    }()

    /// Verifies on the caller's thread, which waits for the hash.
    package func isRight(user: String, password: String) -> Bool {
        guard let hash = self.hashes[user] else {
            if let decoy = self.decoy { _ = PasswordHash.verify(password, decoy) }
            return false
        }
        return PasswordHash.verify(password, hash)
    }

    /// The user of a token; `nil` for a token of no user.
    public func user(token: String) -> String? { self.tokens[self.code(token)] }

    /// The key of a user for Digest, known as HA1.
    public func digestKey(user: String, realm: String, algorithm: DigestAlgorithm) -> String? {
        self.keys[Account(name: user, realm: realm, algorithm: algorithm.base)]
    }

    /// The user of a hashed name (RFC 7616 section 3.4.4); `nil` for a hash of no user.
    public func user(hash: String, realm: String, algorithm: DigestAlgorithm) -> String? {
        self.hashedNames[Account(name: Bytes.lowercasedASCII(hash), realm: realm, algorithm: algorithm.base)]
    }

    // MARK: Schemes

    /// Basic with the passwords of the file.
    public var basic: AuthenticationScheme {
        .basic { user, password in await self.verify(user: user, password: password) ? Principal(user) : nil }
    }

    /// Token with the tokens of the file.
    public var token: AuthenticationScheme { .token { self.user(token: $0).map { Principal($0) } } }

    /// Bearer with the tokens of the file.
    public var bearer: AuthenticationScheme { .bearer { self.user(token: $0).map { Principal($0) } } }

    /// Digest with the keys of the file for a realm, in the algorithms that ``digestAlgorithms(realm:)`` tells. User
    /// names may be hashed.
    public func digest(realm: String, integrity: Bool = false) -> AuthenticationScheme {
        .digest(
            algorithms: self.digestAlgorithms(realm: realm),
            integrity: integrity,
            hashedUser: { hash, realm, algorithm in self.user(hash: hash, realm: realm, algorithm: algorithm) },
            key: { user, realm, algorithm in self.digestKey(user: user, realm: realm, algorithm: algorithm) }
        )
    }
}

extension UsersFile: CustomStringConvertible, CustomReflectable {
    /// How many lines of each kind there are.
    public var description: String {
        "\(self.hashes.count) passwords, \(self.keys.count) keys, \(self.tokens.count) tokens"
    }

    /// Shows no more than ``description`` does.
    public var customMirror: Mirror { Mirror(self, children: ["users": self.description]) }
}

extension Substring {
    /// Without the spaces and tabs at both ends.
    fileprivate func trimmingBlanks() -> Substring {
        let bytes = self.utf8
        guard let first = bytes.firstIndex(where: { !Bytes.isWhitespace($0) }),
            let last = bytes.lastIndex(where: { !Bytes.isWhitespace($0) })
        else { return self[self.endIndex...] }
        return self[first..<bytes.index(after: last)]
    }
}
