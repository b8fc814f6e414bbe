// Answers to Digest challenges, right or wrong in one place: for peers that no client of ours would be.

package import KHPProtocol

/// A value of Authorization for one Digest challenge; each part may be overwritten before it is written.
package struct DigestAnswer {
    package var user: String
    package var password: String
    package var method = "GET"
    package var uri: String
    package var count: UInt32 = 1
    package var clientNonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    package var protection = DigestProtection.authentication
    /// The parameters with wrong values; an empty text leaves the parameter out.
    package var overwritten: [String: String] = [:]
    package let challenge: Challenge

    /// Answers the first Digest challenge of that algorithm among `values`; `nil` without one.
    package init?(
        _ values: [String],
        algorithm: DigestAlgorithm = .sha256,
        user: String,
        password: String,
        uri: String
    ) {
        let challenges = (try? parseChallenges(fieldValues: values)) ?? []
        guard
            let challenge = challenges.first(where: { $0.isScheme("Digest") && $0["algorithm"] == algorithm.rawValue })
        else { return nil }
        self.challenge = challenge
        self.user = user
        self.password = password
        self.uri = uri
    }

    package var algorithm: DigestAlgorithm { DigestAlgorithm(name: self.challenge["algorithm"] ?? "") ?? .md5 }

    package var exchange: DigestExchange {
        DigestExchange(
            algorithm: self.algorithm,
            nonce: self.overwritten["nonce"].map { self.unquoted($0) } ?? self.challenge["nonce"] ?? "",
            protection: self.protection,
            clientNonce: self.clientNonce,
            nonceCount: self.count,
            method: self.method,
            uri: self.uri
        )
    }

    package var key: String {
        DigestKey.make(
            user: self.user,
            realm: self.challenge.realm ?? "",
            password: self.password,
            algorithm: self.algorithm
        )
    }

    package var value: String {
        let parts: [(name: String, value: String)] = [
            ("username", quoted(self.user)), ("realm", quoted(self.challenge.realm ?? "")),
            ("nonce", quoted(self.challenge["nonce"] ?? "")), ("uri", quoted(self.uri)),
            ("response", "\"\(self.exchange.response(key: self.key))\""),
            ("algorithm", self.algorithm.rawValue), ("cnonce", quoted(self.clientNonce)),
            ("opaque", quoted(self.challenge["opaque"] ?? "")), ("qop", self.protection.rawValue),
            ("nc", self.exchange.nonceCountText),
        ]
        var lines = parts.map { ($0.name, self.overwritten[$0.name] ?? $0.value) }
        for (name, value) in self.overwritten where !parts.contains(where: { $0.name == name }) {
            lines.append((name, value))
        }
        return "Digest " + lines.filter { !$0.1.isEmpty }.map { "\($0.0)=\($0.1)" }.joined(separator: ", ")
    }

    private func unquoted(_ text: String) -> String { parseQuotedString(text) ?? text }
}
