/// Base 64 of RFC 4648 section 4, with padding. Ours because this module uses no Foundation, and because decoding has
/// to be strict: an accept key or a credential has one spelling only.
package enum Base64 {
    static let padding: UInt8 = 0x3D

    @inline(__always)
    private static func digit(_ value: UInt8) -> UInt8 {
        switch value & 0x3F {
        case 0..<26: 0x41 + (value & 0x3F)
        case 26..<52: 0x61 + (value & 0x3F) - 26
        case 52..<62: 0x30 + (value & 0x3F) - 52
        case 62: 0x2B
        default: 0x2F
        }
    }

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
        let groups = (bytes.count + 2) / 3
        return String(unsafeUninitializedCapacity: groups * 4) { output in
            var written = 0
            var iterator = bytes.makeIterator()
            while written + 4 <= output.count, let first = iterator.next() {
                let second = iterator.next()
                let third = iterator.next()
                output[written] = digit(first >> 2)
                output[written + 1] = digit(first << 4 | (second ?? 0) >> 4)
                output[written + 2] = second.map { digit($0 << 2 | (third ?? 0) >> 6) } ?? padding
                output[written + 3] = third.map(digit) ?? padding
                written += 4
            }
            return written
        }
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
