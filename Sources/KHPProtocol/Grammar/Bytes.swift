/// The few byte-level facts that every parser here needs, in one place so that all of them agree.
package enum Bytes {
    package static let tab: UInt8 = 0x09
    package static let lineFeed: UInt8 = 0x0A
    package static let carriageReturn: UInt8 = 0x0D
    package static let space: UInt8 = 0x20
    package static let quote: UInt8 = 0x22
    package static let percent: UInt8 = 0x25
    package static let comma: UInt8 = 0x2C
    package static let slash: UInt8 = 0x2F
    package static let colon: UInt8 = 0x3A
    package static let semicolon: UInt8 = 0x3B
    package static let equals: UInt8 = 0x3D
    package static let backslash: UInt8 = 0x5C

    /// ASCII letters in lower case; every other byte as it is.
    @inline(__always)
    package static func lowercased(_ byte: UInt8) -> UInt8 {
        byte &- 0x41 < 26 ? byte | 0x20 : byte
    }

    @inline(__always)
    package static func isDigit(_ byte: UInt8) -> Bool {
        byte &- 0x30 < 10
    }

    @inline(__always)
    package static func isLetter(_ byte: UInt8) -> Bool {
        (byte | 0x20) &- 0x61 < 26
    }

    @inline(__always)
    package static func isWhitespace(_ byte: UInt8) -> Bool {
        byte == space || byte == tab
    }

    /// 0…15; `nil` unless `byte` is a hexadecimal digit.
    package static func hexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }

    /// The upper-case hexadecimal digit of 0…15.
    package static func hexDigit(_ value: UInt8) -> UInt8 {
        let low = value & 0x0F
        return low < 10 ? 0x30 + low : 0x41 + low - 10
    }

    /// Equality of two runs of bytes, eight at a time.
    @inline(__always)
    package static func equal(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        let count = left.count
        guard count == right.count else { return false }
        guard count > 0, let left = left.baseAddress, let right = right.baseAddress else { return true }
        var index = 0
        while count - index >= 8 {
            let one = left.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            let other = right.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            guard one == other else { return false }
            index += 8
        }
        while index < count {
            let one = left.load(fromByteOffset: index, as: UInt8.self)
            guard one == right.load(fromByteOffset: index, as: UInt8.self) else { return false }
            index += 1
        }
        return true
    }

    /// ASCII case-insensitive equality of two runs of bytes; eight at a time, as every field look-up goes through it.
    @inline(__always)
    package static func equalIgnoringCase(
        _ left: UnsafeRawBufferPointer,
        _ right: UnsafeRawBufferPointer
    ) -> Bool {
        let count = left.count
        guard count == right.count else { return false }
        guard count > 0, let left = left.baseAddress, let right = right.baseAddress else { return true }
        guard count >= 8 else { return equalIgnoringCase(left, right, from: 0, to: count) }
        var index = 0
        while true {
            let one = left.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            let other = right.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            if one != other {
                // Bytes that differ in more than the bit that tells the cases apart are never equal.
                guard (one ^ other) & 0xDFDF_DFDF_DFDF_DFDF == 0 else { return false }
                guard equalIgnoringCase(left, right, from: index, to: index + 8) else { return false }
            }
            if index == count - 8 { return true }
            // The last word may overlap the one before it.
            index = min(index + 8, count - 8)
        }
    }

    @inline(__always)
    private static func equalIgnoringCase(
        _ left: UnsafeRawPointer,
        _ right: UnsafeRawPointer,
        from start: Int,
        to end: Int
    ) -> Bool {
        var index = start
        while index < end {
            let one = left.load(fromByteOffset: index, as: UInt8.self)
            let other = right.load(fromByteOffset: index, as: UInt8.self)
            if one != other {
                guard one ^ other == 0x20, isLetter(one) else { return false }
            }
            index += 1
        }
        return true
    }

    /// Returns `true` when every byte is ASCII. Checks eight at a time.
    @inline(__always)
    package static func isASCII(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let base = bytes.baseAddress else { return true }
        var index = 0
        var seen: UInt64 = 0
        while bytes.count - index >= 8 {
            seen |= base.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            index += 8
        }
        while index < bytes.count {
            seen |= UInt64(base.load(fromByteOffset: index, as: UInt8.self))
            index += 1
        }
        return seen & 0x8080_8080_8080_8080 == 0
    }

    /// Spaces and tabs removed at both ends.
    @inline(__always)
    package static func trimmed(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        var start = 0
        var end = bytes.count
        while start < end, isWhitespace(bytes[start]) { start += 1 }
        while end > start, isWhitespace(bytes[end - 1]) { end -= 1 }
        return UnsafeRawBufferPointer(rebasing: bytes[start..<end])
    }

    /// Calls `body` with the UTF-8 of `string`, without a copy where the string is already contiguous.
    @inline(__always)
    package static func withUTF8<Result>(
        of string: String,
        _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result {
        if let result = string.utf8.withContiguousStorageIfAvailable({ body(UnsafeRawBufferPointer($0)) }) {
            return result
        }
        return Array(string.utf8).withUnsafeBytes(body)
    }

    /// Lower-cases ASCII only, so that no locale and no Unicode rule plays a part in a protocol comparison.
    package static func lowercasedASCII(_ string: some StringProtocol) -> String {
        String(decoding: string.utf8.map(lowercased), as: UTF8.self)
    }

    /// A byte as an error message shows it: the character where it is printable, its hexadecimal value otherwise.
    package static func shown(_ byte: UInt8) -> String {
        if byte > 0x20, byte < 0x7F {
            return "'\(Character(UnicodeScalar(byte)))'"
        }
        if byte == space { return "a space" }
        return "0x" + hex(byte)
    }

    /// Two upper-case hexadecimal digits.
    package static func hex(_ byte: UInt8) -> String {
        String(decoding: [hexDigit(byte >> 4), hexDigit(byte)], as: UTF8.self)
    }
}
