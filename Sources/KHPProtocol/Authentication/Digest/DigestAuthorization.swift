// The value of Authorization that answers a Digest challenge (RFC 7616 section 3.4), read strictly: a parameter that is
// missing, doubled or malformed makes it invalid.

package import NIOCore

package struct DigestAuthorization: Sendable, Hashable {
    /// The user's name; its hash when ``isUserHashed``.
    package let user: String
    package let isUserHashed: Bool
    package let realm: String
    package let nonce: String
    package let uri: String
    /// Lower-case hexadecimal, as long as the algorithm's hash.
    package let response: String
    package let algorithm: DigestAlgorithm
    package let protection: DigestProtection
    package let clientNonce: String
    /// From 1.
    package let nonceCount: UInt32
    package let opaque: String?

    /// Throws the fault; its message repeats no part of the value.
    package init(_ value: String) throws(GrammarError) {
        let parsed = try parseChallenges(fieldValues: [value])
        guard let given = parsed.first, parsed.count == 1, given.isScheme("Digest"), given.token68 == nil else {
            throw GrammarError("this is no Digest", at: 0)
        }
        func require(_ name: String) throws(GrammarError) -> String {
            guard let value = given[name] else { throw GrammarError("the parameter \(name) is missing", at: 0) }
            return value
        }
        // Without an algorithm it is MD5 (section 3.4).
        guard let algorithm = DigestAlgorithm(name: given["algorithm"] ?? "MD5") else {
            throw GrammarError("the algorithm is not known", at: 0)
        }
        self.algorithm = algorithm
        // Without qop it would be the form of RFC 2069, which neither counts nor knows a client's nonce.
        guard let protection = DigestProtection(rawValue: Bytes.lowercasedASCII(try require("qop"))) else {
            throw GrammarError("the qop is not known", at: 0)
        }
        self.protection = protection
        self.realm = try require("realm")
        self.nonce = try require("nonce")
        self.uri = try require("uri")
        self.clientNonce = try require("cnonce")
        self.opaque = given["opaque"]
        guard !self.clientNonce.isEmpty else { throw GrammarError("the cnonce is empty", at: 0) }
        let count = try require("nc")
        guard count.utf8.count == 8, let number = UInt32(hexadecimal: count), number > 0 else {
            throw GrammarError("nc is not eight hexadecimal digits above zero", at: 0)
        }
        self.nonceCount = number
        self.response = Bytes.lowercasedASCII(try require("response"))
        guard self.response.utf8.count == algorithm.digits, self.response.utf8.allSatisfy({ Bytes.hexValue($0) != nil })
        else {
            throw GrammarError("the response is not a hash of the algorithm", at: 0)
        }
        switch given["userhash"].map({ Bytes.lowercasedASCII($0) }) {
        case nil, "false": self.isUserHashed = false
        case "true": self.isUserHashed = true
        default: throw GrammarError("userhash is neither true nor false", at: 0)
        }
        switch (given["username"], given["username*"]) {
        case (let name?, nil):
            self.user = name
        case (nil, let encoded?) where !isUserHashed:
            self.user = try ExtendedValue.decode(encoded)
        default:
            throw GrammarError("there is no user name, or there are two", at: 0)
        }
        guard !self.user.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
            throw GrammarError("the user name holds a control character", at: 0)  // threat G10
        }
    }

    /// The exchange that this says it answers, as `method` and `entity` make it.
    package func exchange(method: String, entity: ByteBuffer) -> DigestExchange {
        DigestExchange(
            algorithm: self.algorithm,
            nonce: self.nonce,
            protection: self.protection,
            clientNonce: self.clientNonce,
            nonceCount: self.nonceCount,
            method: method,
            uri: self.uri,
            entity: entity
        )
    }
}

extension DigestAuthorization: CustomStringConvertible, CustomReflectable {
    package var description: String { "Digest •••" }

    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// A parameter with a character set, as in `username*` (RFC 8187 section 3.2), in UTF-8.
package enum ExtendedValue {
    package static func decode(_ text: String) throws(GrammarError) -> String {
        let parts = text.split(separator: "'", omittingEmptySubsequences: false)
        guard parts.count == 3, Bytes.lowercasedASCII(parts[0]) == "utf-8" else {
            throw GrammarError("an extended value does not begin with UTF-8''", at: 0)
        }
        var bytes: [UInt8] = []
        var rest = Array(parts[2].utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == Bytes.percent else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(Bytes.hexValue), let low = rest.popFirst().flatMap(Bytes.hexValue)
            else {
                throw GrammarError("a % is not followed by two hexadecimal digits", at: 0)
            }
            bytes.append(high << 4 | low)
        }
        guard let value = String(validating: bytes, as: UTF8.self) else {
            throw GrammarError("an extended value is not UTF-8", at: 0)
        }
        return value
    }
}

extension UInt32 {
    /// Hexadecimal digits alone: neither a sign nor a prefix.
    fileprivate init?(hexadecimal text: String) {
        var value: UInt64 = 0
        for byte in text.utf8.prefix(9) {
            guard let digit = Bytes.hexValue(byte) else { return nil }
            value = value << 4 | UInt64(digit)
        }
        guard let value = UInt32(exactly: value), !text.isEmpty else { return nil }
        self = value
    }
}

extension DigestAlgorithm {
    /// How many hexadecimal digits a hash has.
    package var digits: Int { self.base == .md5 ? 32 : 64 }
}
