// A challenge of the Digest scheme as a client reads it (RFC 7616 section 3.3): a usable one is a value, any other an
// error with the reason.

/// A server's challenge in the scheme Digest.
package struct DigestChallenge: Sendable, Hashable {
    /// Why a challenge of that scheme cannot be answered.
    package struct Unusable: Error, Equatable, Sendable {
        /// A part of a sentence.
        package var message: String
    }

    package var realm: String
    package var nonce: String
    /// Sent back as it came.
    package var opaque: String?
    package var algorithm: DigestAlgorithm
    /// The algorithm as the server spells it; `nil` where it names none.
    package var algorithmName: String?
    /// The protections that the server offers; empty in the form of RFC 2069.
    package var protections: [DigestProtection]
    /// `true` when the credentials were right and only the nonce was too old.
    package var isStale: Bool
    /// `true` when the user name is to be hidden (section 3.4.4).
    package var hashesUser: Bool

    /// Reads the parameters, whose names are in lower case. A `domain` is skipped: an origin cannot widen the reach of
    /// its credentials (D12).
    package init(parameters: [String: String]) throws(Unusable) {
        guard let realm = parameters["realm"] else { throw Unusable(message: "it has no realm") }
        guard let nonce = parameters["nonce"], !nonce.isEmpty else { throw Unusable(message: "it has no nonce") }
        self.algorithmName = parameters["algorithm"]
        guard let algorithm = DigestAlgorithm(name: self.algorithmName ?? "MD5") else {
            throw Unusable(message: "its algorithm is unknown")
        }
        guard !algorithm.hash("").isEmpty else { throw Unusable(message: "libcrypto does not allow its algorithm") }
        // An empty list equals no list; unknown names are skipped when another is left.
        let offered = (parameters["qop"] ?? "").utf8.split(separator: Bytes.comma).map { element in
            Array(element).withUnsafeBytes { String(decoding: Bytes.trimmed($0), as: UTF8.self) }
        }.filter { !$0.isEmpty }
        self.protections = offered.compactMap { DigestProtection(rawValue: Bytes.lowercasedASCII($0)) }
        if !offered.isEmpty {
            guard !self.protections.isEmpty else { throw Unusable(message: "its qop is unknown") }
        } else if algorithm != .md5 {
            // RFC 2069 knows MD5 alone, and a session key needs the client's nonce.
            throw Unusable(message: "it has no qop, which \(algorithm.rawValue) needs")
        }
        self.realm = realm
        self.nonce = nonce
        self.opaque = parameters["opaque"]
        self.algorithm = algorithm
        self.isStale = Self.isTrue(parameters["stale"])
        self.hashesUser = Self.isTrue(parameters["userhash"])
    }

    package init(_ challenge: Challenge) throws(Unusable) {
        try self.init(parameters: challenge.values)
    }

    /// auth-int where there is something to protect, or where nothing else is offered (section 3.4).
    package func protection(hasEntity: Bool) -> DigestProtection? {
        if hasEntity, self.protections.contains(.integrity) { return .integrity }
        return self.protections.contains(.authentication) ? .authentication : self.protections.first
    }

    private static func isTrue(_ value: String?) -> Bool {
        value.map { Bytes.lowercasedASCII($0) == "true" } ?? false
    }
}
