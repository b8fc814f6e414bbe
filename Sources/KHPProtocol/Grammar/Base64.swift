/// Base 64 of RFC 4648 section 4, with padding. Ours because this module uses no Foundation, and because decoding has
/// to be strict: an accept key or a credential has one spelling only.
package enum Base64 {
    static let padding: UInt8 = 0x3D

    private static let digits: StaticString = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

    static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 0x41...0x5A: digit - 0x41
        case 0x61...0x7A: digit - 0x61 + 26
        case 0x30...0x39: digit - 0x30 + 52
        case 0x2B: 62
        case 0x2F: 63
        default: nil
        }
    }

    package static func encode(_ bytes: some Collection<UInt8>) -> String {
        bytes.withContiguousStorageIfAvailable { Self.text(of: UnsafeRawBufferPointer($0)) }
            ?? Array(bytes).withUnsafeBytes { Self.text(of: $0) }
    }

    private static func text(of bytes: UnsafeRawBufferPointer) -> String {
        String(unsafeUninitializedCapacity: (bytes.count + 2) / 3 * 4) { output in
            Self.encode(bytes, to: UnsafeMutableRawBufferPointer(output))
        }
    }

    /// Writes the digits of `bytes`, with the padding, as far as there is room for them.
    /// - Returns: how many it has written.
    @discardableResult
    static func encode(_ bytes: UnsafeRawBufferPointer, to output: UnsafeMutableRawBufferPointer) -> Int {
        let digits = Self.digits.utf8Start
        var index = 0
        var written = 0
        while written + 4 <= output.count, index < bytes.count {
            let left = bytes.count - index
            let second = left > 1 ? bytes[index + 1] : 0
            let third = left > 2 ? bytes[index + 2] : 0
            let group = Int(bytes[index]) << 16 | Int(second) << 8 | Int(third)
            output[written] = digits[group >> 18]
            output[written + 1] = digits[group >> 12 & 0x3F]
            output[written + 2] = left > 1 ? digits[group >> 6 & 0x3F] : Self.padding
            output[written + 3] = left > 2 ? digits[group & 0x3F] : Self.padding
            index += 3
            written += 4
        }
        return written
    }

    /// The bytes of `string`; nil when it is not exactly what `encode` writes: another alphabet, missing or misplaced
    /// padding, unused bits that are not zero, white space.
    package static func decode(_ string: some StringProtocol) -> [UInt8]? {
        let digits = Array(string.utf8)
        guard digits.count % 4 == 0 else { return nil }
        var output: [UInt8] = []
        output.reserveCapacity(digits.count / 4 * 3)
        for start in stride(from: 0, to: digits.count, by: 4) {
            guard let first = value(digits[start]), let second = value(digits[start + 1]) else { return nil }
            output.append(first << 2 | second >> 4)
            let isLast = start + 4 == digits.count
            if isLast, digits[start + 2] == padding {
                guard digits[start + 3] == padding, second & 0x0F == 0 else { return nil }
                return output
            }
            guard let third = value(digits[start + 2]) else { return nil }
            output.append(second << 4 | third >> 2)
            if isLast, digits[start + 3] == padding {
                guard third & 0x03 == 0 else { return nil }
                return output
            }
            guard let fourth = value(digits[start + 3]) else { return nil }
            output.append(third << 6 | fourth)
        }
        return output
    }
}
