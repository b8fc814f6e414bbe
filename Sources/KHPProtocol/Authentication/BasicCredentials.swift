import COpenSSL

/// User and password of the Basic scheme (RFC 7617), both ways.
package struct BasicCredentials: Sendable, Hashable {
    package let user: String
    package let password: String

    /// Throws ``WebSocketError/Code/invalidArgument`` when the user holds a colon or either a control character
    /// (RFC 7617 section 2, threat G10).
    package init(user: String, password: String) throws(WebSocketError) {
        guard !user.utf8.contains(Bytes.colon) else {
            throw WebSocketError(.invalidArgument, "A user name for the Basic scheme must not hold a colon.")
        }
        guard !Self.hasControl(user), !Self.hasControl(password) else {
            throw WebSocketError(
                .invalidArgument,
                "User name and password for the Basic scheme must not hold control characters."
            )
        }
        self.user = user
        self.password = password
    }

    /// Reads the value of an Authorization field; `nil` unless it is a valid one of the scheme Basic.
    package init?(authorization: String) {
        var scanner = FieldScanner(authorization)
        guard let scheme = scanner.token(), Bytes.lowercasedASCII(scheme) == "basic" else { return nil }
        guard scanner.peek == Bytes.space else { return nil }
        scanner.skipWhitespace()
        guard let encoded = scanner.token68(), scanner.isAtEnd, let bytes = Base64.decode(encoded),
            let text = String(validating: bytes, as: UTF8.self), let colon = text.utf8.firstIndex(of: Bytes.colon),
            !Self.hasControl(text)
        else { return nil }
        self.user = String(text[..<colon])
        self.password = String(text[text.utf8.index(after: colon)...])
    }

    /// The value of Authorization.
    package var authorization: String {
        "Basic " + Base64.encode(Array("\(self.user):\(self.password)".utf8))
    }

    /// Returns `true` when user and password are these, in a time that tells nothing about them (threat G2).
    package func matches(user: String, password: String) -> Bool {
        let isUser = constantTimeEquals(self.user, user)
        let isPassword = constantTimeEquals(self.password, password)
        return isUser && isPassword
    }

    private static func hasControl(_ text: String) -> Bool {
        text.utf8.contains { $0 < 0x20 || $0 == 0x7F }
    }
}

extension BasicCredentials: CustomStringConvertible, CustomReflectable {
    package var description: String { "•••" }

    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// Returns `true` when two secrets are equal. The time it takes depends on the length of `given` alone, never on
/// `expected`.
package func constantTimeEquals(_ given: String, _ expected: String) -> Bool {
    let given = Array(given.utf8)
    // `expected` cut or filled up to the same length, so that no length ends the comparison early.
    var padded = Array(expected.utf8.prefix(given.count))
    let isSameLength = expected.utf8.count == given.count
    padded.append(contentsOf: repeatElement(0, count: given.count - padded.count))
    let isSame = given.withUnsafeBytes { one in
        padded.withUnsafeBytes { CRYPTO_memcmp(one.baseAddress, $0.baseAddress, one.count) == 0 }
    }
    return isSame && isSameLength
}
