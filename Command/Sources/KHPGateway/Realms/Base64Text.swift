/// Base64 in one spelling only: two texts never mean the same bytes.
enum Base64Text {
    private static let standard = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let safe = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    /// base64url without padding, as tokens have it (RFC 7515 section 2).
    static func url(_ text: some Sequence<UInt8>) -> [UInt8]? { self.bytes(text, self.safe) }

    /// With or without padding (RFC 4648 section 4), or base64url.
    static func any(_ text: String) -> [UInt8]? {
        let digits = text.utf8.reversed().drop { $0 == UInt8(ascii: "=") }.reversed()
        let padding = text.utf8.count - digits.count
        guard padding == 0 || padding <= 2 && text.utf8.count % 4 == 0 else { return nil }
        return self.bytes(digits, self.standard) ?? self.bytes(digits, self.safe)
    }

    static func url(of bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        var held: UInt32 = 0
        var bits = 0
        for byte in bytes {
            held = held << 8 | UInt32(byte)
            bits += 8
            while bits >= 6 {
                bits -= 6
                text.append(self.safe[Int(held >> UInt32(bits) & 63)])
            }
        }
        if bits > 0 { text.append(self.safe[Int(held << UInt32(6 - bits) & 63)]) }
        return String(decoding: text, as: UTF8.self)
    }

    private static func bytes(_ text: some Sequence<UInt8>, _ alphabet: [UInt8]) -> [UInt8]? {
        var bytes: [UInt8] = []
        var held: UInt32 = 0
        var bits = 0
        var count = 0
        for character in text {
            guard let value = alphabet.firstIndex(of: character) else { return nil }
            held = held << 6 | UInt32(value)
            bits += 6
            count += 1
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: held >> UInt32(bits)))
            }
        }
        // The bits that are left over are zero, and fewer than a digit has.
        guard count % 4 != 1, held & (1 << UInt32(bits) - 1) == 0 else { return nil }
        return bytes
    }
}
