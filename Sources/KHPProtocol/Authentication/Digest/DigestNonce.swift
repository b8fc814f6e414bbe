// Nonces that any node with the key can check (threat G5): nothing of them is stored when they are made.
//
//      8 bytes        12 bytes      16 bytes
//   +-----------+--------------+----------------+
//   | issued at |    random    |      seal      |   as base64: 48 characters, no padding
//   +-----------+--------------+----------------+
//     microseconds since 1970    HMAC-SHA-256 over the two before it, realm and opaque, cut to 128 bits

package struct DigestNonce: Sendable, Hashable {
    /// Microseconds since 1970, by the issuer's clock.
    package let issued: UInt64
    let random: UInt64
    let moreRandom: UInt32
}

/// Makes and reads the nonces of one realm.
package struct DigestNonceSeal: Sendable {
    private let key: [UInt8]
    private let scope: [UInt8]
    /// The value of `opaque` in challenges: the same for all nodes with the key.
    package let opaque: String

    package init(realm: String, key: [UInt8]) {
        self.key = key
        let realm = Array(realm.utf8)
        let opaque = Base64.encode(MessageAuthenticationCode.make(Array("opaque:".utf8) + realm, key: key).prefix(12))
        self.opaque = opaque
        // The length keeps realm and opaque apart.
        self.scope = Self.bytes(of: UInt64(realm.count)) + realm + Array(opaque.utf8)
    }

    /// A nonce issued at `now` (microseconds since 1970).
    package func make(now: UInt64, using generator: inout some RandomNumberGenerator) -> String {
        let nonce = DigestNonce(issued: now, random: generator.next(), moreRandom: generator.next())
        let head = Self.head(of: nonce)
        return Base64.encode(head + self.seal(head))
    }

    /// Reads a nonce; `nil` unless it was made with this key for this realm.
    package func read(_ text: String) -> DigestNonce? {
        guard text.utf8.count == 48, let bytes = Base64.decode(text), bytes.count == 36 else { return nil }
        guard MessageAuthenticationCode.isEqual(bytes[20...], self.seal(Array(bytes[..<20]))) else { return nil }
        func number(_ range: Range<Int>) -> UInt64 { bytes[range].reduce(0) { $0 << 8 | UInt64($1) } }
        return DigestNonce(
            issued: number(0..<8),
            random: number(8..<16),
            moreRandom: UInt32(truncatingIfNeeded: number(16..<20))
        )
    }

    private func seal(_ head: [UInt8]) -> ArraySlice<UInt8> {
        MessageAuthenticationCode.make(Array("nonce:".utf8) + head + self.scope, key: self.key).prefix(16)
    }

    private static func head(of nonce: DigestNonce) -> [UInt8] {
        bytes(of: nonce.issued) + bytes(of: nonce.random) + bytes(of: nonce.moreRandom)
    }

    private static func bytes(of number: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: number.bigEndian) { Array($0) }
    }
}

extension DigestNonceSeal: CustomStringConvertible, CustomReflectable {
    package var description: String { "•••" }

    package var customMirror: Mirror { Mirror(self, children: []) }
}
