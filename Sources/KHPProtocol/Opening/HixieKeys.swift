// The two keys, the eight bytes and the sixteen that answer them: hixie-76 and WHATWG 2010 (W10-2, W10-4, W10-6).
//
//   key1 ── digits ÷ spaces ──▶ 32 bits ─┐
//   key2 ── digits ÷ spaces ──▶ 32 bits ─┼── MD5 ──▶ 16 bytes
//   key3 ──────────────────────▶ 64 bits ─┘

import COpenSSL

/// The keys with which a client proves itself.
package struct HixieKeys: Sendable, Equatable {
    /// Sec-WebSocket-Key1.
    package let key1: String
    /// Sec-WebSocket-Key2.
    package let key2: String
    /// The eight bytes behind the head.
    package let key3: [UInt8]
    /// The seed of the fields' order; `nil` leaves them as they are listed.
    package let order: UInt64?
    /// The sixteen bytes that answer the keys. Empty for invalid keys, or when libcrypto refuses MD5 by policy: no
    /// answer equals it then.
    package let expectedAnswer: [UInt8]

    package init(key1: String, key2: String, key3: [UInt8], order: UInt64? = nil) {
        self.key1 = key1
        self.key2 = key2
        self.key3 = key3
        self.order = order
        let numbers = (try? Self.number(of: key1), try? Self.number(of: key2))
        if let number1 = numbers.0, let number2 = numbers.1 {
            self.expectedAnswer = Self.answer(number1, number2, key3) ?? []
        } else {
            self.expectedAnswer = []
        }
    }

    // MARK: Making them

    /// Fresh keys (W10-2).
    package init(using generator: inout some RandomNumberGenerator) {
        let key1 = Self.makeKey(using: &generator)
        let key2 = Self.makeKey(using: &generator)
        var key3: [UInt8] = []
        withUnsafeBytes(of: generator.next()) { key3.append(contentsOf: $0) }
        self.init(key1: key1, key2: key2, key3: key3, order: generator.next())
    }

    /// Most spaces, and most characters of noise, in a key.
    private static let most = 12
    /// U+0021 to U+002F and U+003A to U+007E: neither digits nor the space.
    private static let noise: [UInt8] = Array(0x21...0x2F) + Array(0x3A...0x7E)

    /// A key: a number that its spaces divide, in noise.
    private static func makeKey(using generator: inout some RandomNumberGenerator) -> String {
        let spaces = Int.random(in: 1...most, using: &generator)
        let number = UInt64.random(in: 0...UInt64(UInt32.max) / UInt64(spaces), using: &generator)
        var key = Array(String(number * UInt64(spaces)).utf8)
        for _ in 0..<Int.random(in: 1...most, using: &generator) {
            let character = noise.randomElement(using: &generator) ?? 0x21
            key.insert(character, at: Int.random(in: 0...key.count, using: &generator))
        }
        // A digit and a character at least are there, so there is a place between them.
        for _ in 0..<spaces {
            key.insert(Bytes.space, at: Int.random(in: 1..<key.count, using: &generator))
        }
        return String(decoding: key, as: UTF8.self)
    }

    // MARK: Reading them

    /// The faults of a key. None of them comes from a client of the dialect (threat D2).
    package enum Invalid: Error, Equatable {
        /// Longer than any client makes it, or with a character that is not printable.
        case malformed
        case withoutDigits
        /// Its digits make more than 4,294,967,295.
        case numberTooLarge
        case withoutSpaces
        case notDivisible
    }

    /// Bytes of a key. Clients make 34 at most.
    private static let longest = 1024

    /// The number that a key stands for (W10-6).
    package static func number(of key: String) throws(Invalid) -> UInt32 {
        var number: UInt64 = 0
        var spaces: UInt64 = 0
        var digits = 0
        guard key.utf8.count <= longest else { throw .malformed }
        for byte in key.utf8 {
            switch byte {
            case Bytes.space:
                spaces += 1
            case 0x30...0x39:
                digits += 1
                number = number * 10 + UInt64(byte - 0x30)
                guard number <= UInt64(UInt32.max) else { throw .numberTooLarge }
            case 0x21...0x7E:
                break
            default:
                throw .malformed
            }
        }
        guard digits > 0 else { throw .withoutDigits }
        guard spaces > 0 else { throw .withoutSpaces }
        guard number.isMultiple(of: spaces) else { throw .notDivisible }
        return UInt32(truncatingIfNeeded: number / spaces)
    }

    /// The sixteen bytes; `nil` where libcrypto refuses MD5 by policy.
    package static func answer(_ number1: UInt32, _ number2: UInt32, _ key3: [UInt8]) -> [UInt8]? {
        var challenge: [UInt8] = []
        withUnsafeBytes(of: number1.bigEndian) { challenge.append(contentsOf: $0) }
        withUnsafeBytes(of: number2.bigEndian) { challenge.append(contentsOf: $0) }
        challenge += key3
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var length: UInt32 = 0
        guard EVP_Digest(challenge, challenge.count, &digest, &length, EVP_md5(), nil) == 1, length == 16 else {
            return nil
        }
        return Array(digest.prefix(16))
    }

    /// The fields in a random order, so that no server comes to depend on one (W10-1).
    package func ordered<Element>(_ fields: [Element]) -> [Element] {
        guard let order else { return fields }
        var generator = Sequence(state: order)
        return fields.shuffled(using: &generator)
    }

    /// SplitMix64: spreads one random number over a few choices.
    private struct Sequence: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            self.state &+= 0x9E37_79B9_7F4A_7C15
            var mixed = self.state
            mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
            mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
            return mixed ^ (mixed >> 31)
        }
    }
}

extension HixieKeys: CustomReflectable {
    /// The answer is a secret until the server has given it.
    package var customMirror: Mirror { Mirror(self, children: [:]) }
}
