// A client's Digest login: the key, the server's nonce and how often it was used (RFC 7616 section 3.4).

package import NIOCore

/// One user's answers to one Digest challenge. Its descriptions show nothing of it.
package struct DigestSession: Sendable {
    package private(set) var challenge: DigestChallenge
    private let user: String
    /// H(user:realm:password).
    private let key: String
    /// How often the challenge's nonce was used.
    private var count: UInt32 = 0
    /// The first nonces of both sides, to which the key of a `-sess` algorithm is bound.
    private var first: (nonce: String, clientNonce: String)?

    /// The credentials of one request, and the proof that its answer owes.
    package struct Answer: Sendable {
        /// The value of Authorization.
        package var value: String
        package var proof: DigestProof
    }

    /// Throws ``WebSocketError/Code/invalidArgument`` for what the scheme cannot carry: control characters, and a colon
    /// in the user's name, which would make several users out of one key (threat G10).
    ///
    /// The text is sent as UTF-8 as it was given (RFC 7616 section 4 asks for normalisation form C, which is what
    /// people type).
    package init(_ challenge: DigestChallenge, user: String, password: String) throws(WebSocketError) {
        guard !user.utf8.contains(Bytes.colon) else {
            throw WebSocketError(.invalidArgument, "A user name for the Digest scheme must not hold a colon.")
        }
        guard !Self.hasControl(user), !Self.hasControl(password) else {
            throw WebSocketError(
                .invalidArgument,
                "User name and password for the Digest scheme must not hold control characters."
            )
        }
        self.challenge = challenge
        self.user = user
        self.key = DigestKey.make(
            user: user,
            realm: challenge.realm,
            password: password,
            algorithm: challenge.algorithm
        )
    }

    /// The next request's answer; `nil` once the nonce was used more often than can be counted.
    /// - Parameters:
    ///   - uri: the request target exactly as it is sent.
    ///   - clientNonce: fresh randomness.
    package mutating func answer(
        method: String,
        uri: String,
        entity: ByteBuffer = ByteBuffer(),
        clientNonce: String
    ) -> Answer? {
        guard self.count < .max else { return nil }
        self.count += 1
        let protection = self.challenge.protection(hasEntity: entity.readableBytes > 0)
        // A session's key holds for all its requests, and so does the nonce that it was made with (section 3.4.2).
        let first = self.first ?? (self.challenge.nonce, clientNonce)
        self.first = first
        let isSession = self.challenge.algorithm.isSession
        let exchange = DigestExchange(
            algorithm: self.challenge.algorithm,
            nonce: self.challenge.nonce,
            protection: protection,
            clientNonce: isSession ? first.clientNonce : clientNonce,
            nonceCount: self.count,
            method: method,
            uri: uri,
            entity: entity,
            sessionNonce: isSession ? first.nonce : nil
        )
        return Answer(
            value: self.value(exchange),
            proof: DigestProof(exchange: exchange, key: self.key)
        )
    }

    /// Takes the server's nonce for the next request: `nextnonce` (section 3.5).
    package mutating func take(nextNonce: String) {
        guard !nextNonce.isEmpty, nextNonce != self.challenge.nonce else { return }
        self.challenge.nonce = nextNonce
        self.count = 0
    }

    /// A nonce that an earlier session of the realm has used is counted on, so that no count comes twice.
    package mutating func count(on earlier: DigestSession) {
        guard earlier.challenge.nonce == self.challenge.nonce else { return }
        self.count = earlier.count
        if earlier.challenge.algorithm == self.challenge.algorithm { self.first = earlier.first }
    }

    /// In the order of RFC 7616 section 3.9.
    private func value(_ exchange: DigestExchange) -> String {
        let challenge = self.challenge
        var parts = [self.userParameter, "realm=\(quoted(challenge.realm))", "uri=\(quoted(exchange.uri))"]
        if let name = challenge.algorithmName { parts.append("algorithm=\(name)") }
        parts.append("nonce=\(quoted(challenge.nonce))")
        if let protection = exchange.protection {
            parts.append("nc=\(exchange.nonceCountText)")
            parts.append("cnonce=\(quoted(exchange.clientNonce))")
            parts.append("qop=\(protection.rawValue)")
        }
        parts.append("response=\(quoted(exchange.response(key: self.key)))")
        if let opaque = challenge.opaque { parts.append("opaque=\(quoted(opaque))") }
        if challenge.hashesUser { parts.append("userhash=true") }
        return "Digest " + parts.joined(separator: ", ")
    }

    /// RFC 7616 section 3.4: hidden where that is asked for; `username*` (RFC 8187) where a quoted string cannot hold
    /// it.
    private var userParameter: String {
        let challenge = self.challenge
        if challenge.hashesUser {
            let hash = DigestKey.userHash(user: self.user, realm: challenge.realm, algorithm: challenge.algorithm)
            return "username=\(quoted(hash))"
        }
        if self.user.utf8.allSatisfy({ $0 < 0x80 }) { return "username=\(quoted(self.user))" }
        var text: [UInt8] = []
        for byte in self.user.utf8 {
            if Self.isAttributeByte(byte) {
                text.append(byte)
            } else {
                text += [Bytes.percent, Bytes.hexDigit(byte >> 4), Bytes.hexDigit(byte)]
            }
        }
        return "username*=UTF-8''" + String(decoding: text, as: UTF8.self)
    }

    /// attr-char of RFC 8187 section 3.2.1.
    private static func isAttributeByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x21, 0x23, 0x24, 0x26, 0x2B, 0x2D, 0x2E, 0x5E, 0x5F, 0x60, 0x7C, 0x7E: true
        default: Bytes.isLetter(byte) || Bytes.isDigit(byte)
        }
    }

    private static func hasControl(_ text: String) -> Bool {
        text.utf8.contains { $0 < 0x20 || $0 == 0x7F }
    }
}

extension DigestSession: CustomStringConvertible, CustomReflectable {
    package var description: String { "•••" }

    package var customMirror: Mirror { Mirror(self, children: []) }
}
