// The computations of both ends of a Digest exchange (RFC 7616 sections 3.4 and 3.5). The caller keeps nonces and
// counts.

package import NIOCore

/// The part of a request that a Digest protects (RFC 7616 section 3.4).
package enum DigestProtection: String, Sendable, Hashable {
    /// Method and URI.
    case authentication = "auth"
    /// The entity as well.
    case integrity = "auth-int"
}

/// One request as the Digest scheme sees it.
package struct DigestExchange: Sendable {
    package var algorithm: DigestAlgorithm
    package var nonce: String
    /// `nil` is the form of RFC 2069: neither cnonce nor count enter.
    package var protection: DigestProtection?
    package var clientNonce: String
    package var nonceCount: UInt32
    package var method: String
    /// The request target exactly as sent; host and port for CONNECT.
    package var uri: String
    /// The request's content for ``DigestProtection/integrity``.
    package var entity: ByteBuffer
    /// For `-sess`: the nonce that the session's key was made with, where `nonce` is a later one (section 3.4.2).
    package var sessionNonce: String?

    package init(
        algorithm: DigestAlgorithm,
        nonce: String,
        protection: DigestProtection? = .authentication,
        clientNonce: String = "",
        nonceCount: UInt32 = 1,
        method: String,
        uri: String,
        entity: ByteBuffer = ByteBuffer(),
        sessionNonce: String? = nil
    ) {
        self.algorithm = algorithm
        self.nonce = nonce
        self.protection = protection
        self.clientNonce = clientNonce
        self.nonceCount = nonceCount
        self.method = method
        self.uri = uri
        self.entity = entity
        self.sessionNonce = sessionNonce
    }

    /// Eight hexadecimal digits.
    package var nonceCountText: String {
        let digits = String(self.nonceCount, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }

    /// The `response` of the request. `key` comes from ``DigestKey/make(user:realm:password:algorithm:)``.
    package func response(key: String) -> String { self.digest(key: key, method: self.method, entity: self.entity) }

    /// The `rspauth` of the answer to it (section 3.5): the same without a method, over the answer's content.
    package func responseAuthentication(key: String, entity: ByteBuffer = ByteBuffer()) -> String {
        self.digest(key: key, method: "", entity: entity)
    }

    private func digest(key: String, method: String, entity: ByteBuffer) -> String {
        let algorithm = self.algorithm
        let session = self.sessionNonce ?? self.nonce
        let secret = algorithm.isSession ? algorithm.hash("\(key):\(session):\(self.clientNonce)") : key
        var request = "\(method):\(self.uri)"
        if self.protection == .integrity { request += ":" + algorithm.hash(entity.readableBytesView) }
        let requestHash = algorithm.hash(request)
        guard let protection = self.protection else {
            return algorithm.hash("\(secret):\(self.nonce):\(requestHash)")
        }
        return algorithm.hash(
            "\(secret):\(self.nonce):\(self.nonceCountText):\(self.clientNonce):\(protection.rawValue):\(requestHash)"
        )
    }
}

/// The form in which a server stores a password for Digest: H(user:realm:password), known as HA1.
package enum DigestKey {
    package static func make(user: String, realm: String, password: String, algorithm: DigestAlgorithm) -> String {
        algorithm.hash("\(user):\(realm):\(password)")
    }

    /// The hash that replaces a user name which is to stay hidden (section 3.4.4).
    package static func userHash(user: String, realm: String, algorithm: DigestAlgorithm) -> String {
        algorithm.hash("\(user):\(realm)")
    }
}
