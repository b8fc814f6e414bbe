// Making the lines that UsersFile reads: the format stands in one type, both ways.

public import KHPProtocol

extension UsersFile {
    /// How passwords are hashed for Basic.
    public enum PasswordAlgorithm: String, CaseIterable, Sendable {
        /// bcrypt, for passwords of up to 72 bytes.
        case bcrypt
        /// SHA-crypt with SHA-512.
        case sha512
        /// SHA-crypt with SHA-256.
        case sha256
    }

    /// One line of a users file.
    public struct Line: Sendable, Hashable {
        /// The line without its line end. It holds a token in clear, or what a password can be guessed against.
        public let text: String

        /// A line for Basic: `name:hash`, with a fresh salt. Takes tens of milliseconds on purpose: call it off the event
        /// loops.
        ///
        /// - Throws: ``WebSocketError/Code/invalidArgument`` for a name with a colon or a control character, for a password
        ///   that is too long for the algorithm, and where the system's crypt does not know the algorithm.
        public static func password(
            _ password: String,
            user: String,
            algorithm: PasswordAlgorithm = .bcrypt
        ) throws(WebSocketError) -> Line {
            Line(text: "\(try Self.checked(user)):\(try PasswordHash.make(password, algorithm: algorithm))")
        }

        /// A line for Digest: `name:realm:algorithm:HA1`; with MD5 `name:realm:HA1`, as Apache's htdigest writes it.
        ///
        /// - Throws: ``WebSocketError/Code/invalidArgument`` for a name with a colon, a name or a realm with a control
        ///   character, and a `-sess` algorithm, whose keys belong to one session.
        public static func digest(
            password: String,
            user: String,
            realm: String,
            algorithm: DigestAlgorithm = .sha256
        ) throws(WebSocketError) -> Line {
            // D22
            let user = try Self.checked(user)
            guard !Self.hasControl(realm) else {
                throw WebSocketError(.invalidArgument, "The realm holds a control character.")
            }
            guard !algorithm.isSession else {
                throw WebSocketError(.invalidArgument, "Keys are made with \(algorithm.base.rawValue).")
            }
            let key = algorithm.key(user: user, realm: realm, password: password)
            let middle = algorithm == .md5 ? realm : "\(realm):\(algorithm.rawValue)"
            return Line(text: "\(user):\(middle):\(key)")
        }

        /// A line for Bearer and Token: `name:token`, with 256 random bits in the alphabet that is safe in URLs and shells.
        ///
        /// - Throws: ``WebSocketError/Code/invalidArgument`` for a name with a colon or a control character.
        public static func token(user: String) throws(WebSocketError) -> Line {
            let user = try Self.checked(user)
            var generator = SystemRandomNumberGenerator()
            let token = Base64.encode((0..<32).map { _ in generator.next() as UInt8 })
            return Line(
                text: "\(user):"
                    + token.compactMap { character -> String? in
                        switch character {
                        case "+": "-"
                        case "/": "_"
                        case "=": nil
                        default: String(character)
                        }
                    }.joined()
            )
        }

        private static func checked(_ user: String) throws(WebSocketError) -> String {
            guard !user.isEmpty, !user.utf8.contains(UInt8(ascii: ":")), !Self.hasControl(user) else {
                throw WebSocketError(
                    .invalidArgument,
                    "A user's name is not empty and holds neither colons nor control characters."
                )
            }
            return user
        }

        private static func hasControl(_ text: String) -> Bool { text.utf8.contains { $0 < 0x20 || $0 == 0x7F } }
    }
}

extension UsersFile.Line: CustomStringConvertible, CustomReflectable {
    /// Bullets: the line is a secret.
    public var description: String { Redaction.mark }

    /// Bullets.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
