// The check of text as it arrives (RFC 6455 section 8.1), at any cut of any frame. A connection fails at the first byte
// that no continuation can make valid.

/// Validates UTF-8 (Unicode 3.9, table 3-7) over any number of pieces. Overlong forms, surrogates and code points
/// above U+10FFFF are refused at the first byte that makes them so.
package struct UTF8Validator: Sendable {
    /// Continuation bytes that the current character still lacks.
    private var missing: UInt8 = 0
    /// Which values the next continuation byte may have.
    private var lowest: UInt8 = 0x80
    private var highest: UInt8 = 0xBF

    package init() {}

    /// `true` when the text could end here.
    @inline(__always)
    package var isComplete: Bool { self.missing == 0 }

    /// Begins a new text.
    @inline(__always)
    package mutating func reset() {
        self.missing = 0
        self.lowest = 0x80
        self.highest = 0xBF
    }

    /// Takes the next piece. False as soon as the text cannot be valid any more; the validator is then of no use
    /// until `reset()`.
    @inline(__always)
    package mutating func validate(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let start = bytes.baseAddress else { return true }
        if self.missing == 0 && Self.isShortASCII(start, bytes.count) { return true }
        return self.validateAny(start, bytes.count)
    }

    /// Returns `true` when `bytes` are valid UTF-8 by themselves.
    @inline(__always)
    package static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let start = bytes.baseAddress else { return true }
        if isShortASCII(start, bytes.count) { return true }
        return isValidAny(start, bytes.count)
    }

    @inline(never)
    private static func isValidAny(_ start: UnsafeRawPointer, _ count: Int) -> Bool {
        var validator = UTF8Validator()
        return validator.validateAny(start, count) && validator.isComplete
    }

    /// The commonest text of all, without a loop over bytes: up to 256 bytes of ASCII. The last step may overlap.
    @inline(__always)
    private static func isShortASCII(_ start: UnsafeRawPointer, _ count: Int) -> Bool {
        guard count >= 8 && count <= 256 else { return false }
        if count < 16 {
            let first = start.loadUnaligned(as: UInt64.self)
            let last = start.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
            return (first | last) & highBits == 0
        }
        let last = count &- 16
        var bits = start.loadUnaligned(fromByteOffset: last, as: SIMD2<UInt64>.self)
        var offset = 0
        while offset < last {
            bits |= start.loadUnaligned(fromByteOffset: offset, as: SIMD2<UInt64>.self)
            offset &+= 16
        }
        return (bits[0] | bits[1]) & highBits == 0
    }

    private static let highBits: UInt64 = 0x8080_8080_8080_8080

    @inline(never)
    private mutating func validateAny(_ start: UnsafeRawPointer, _ count: Int) -> Bool {
        var offset = 0
        while offset < count && self.missing > 0 {
            guard self.takeContinuation(start.load(fromByteOffset: offset, as: UInt8.self)) else { return false }
            offset &+= 1
        }
        while offset < count {
            offset = Self.skipASCII(start, from: offset, to: count)
            // Whole characters, for as long as they are not ASCII and four bytes can be read at once.
            while count &- offset >= 4 {
                let word = start.loadUnaligned(fromByteOffset: offset, as: UInt32.self).littleEndian
                if word & 0x80 == 0 {
                    if count &- offset >= 8 { break }
                    offset &+= 1
                    continue
                }
                let size = Self.characterSize(word)
                guard size > 0 else { return false }
                offset &+= size
            }
            guard count &- offset < 4 else { continue }
            while offset < count {
                guard self.take(start.load(fromByteOffset: offset, as: UInt8.self)) else { return false }
                offset &+= 1
            }
        }
        return true
    }

    /// Where the first byte that is not ASCII lies, or a place at most seven bytes before the end.
    @inline(__always)
    private static func skipASCII(_ start: UnsafeRawPointer, from: Int, to count: Int) -> Int {
        var offset = from
        if count &- offset >= 8 {
            let word = start.loadUnaligned(fromByteOffset: offset, as: UInt64.self).littleEndian & highBits
            if word != 0 { return offset &+ word.trailingZeroBitCount >> 3 }
            offset &+= 8
        }
        while count &- offset >= 128 {
            let first = start.loadUnaligned(fromByteOffset: offset, as: SIMD8<UInt64>.self)
            let second = start.loadUnaligned(fromByteOffset: offset &+ 64, as: SIMD8<UInt64>.self)
            // Folded in halves: a comparison of whole vectors compiles to something much slower.
            let both = first | second
            let four = both.lowHalf | both.highHalf
            let two = four.lowHalf | four.highHalf
            if (two[0] | two[1]) & highBits != 0 { break }
            offset &+= 128
        }
        while count &- offset >= 8 {
            let word = start.loadUnaligned(fromByteOffset: offset, as: UInt64.self).littleEndian & highBits
            if word != 0 { return offset &+ word.trailingZeroBitCount >> 3 }
            offset &+= 8
        }
        return offset
    }

    /// The size of the character whose bytes lie in `word`, first one lowest; 0 if they are none. Not for ASCII.
    @inline(__always)
    private static func characterSize(_ word: UInt32) -> Int {
        if word & 0xC0_C0_F0 == 0x80_80_E0 {
            // 1110xxxx 10xxxxxx 10xxxxxx: not below U+0800, no surrogate (ED A0…BF).
            let high = word & 0x20_0F
            return high != 0 && high != 0x20_0D ? 3 : 0
        }
        if word & 0xC0_E0 == 0x80_C0 {
            // 110xxxxx 10xxxxxx: not below U+0080.
            return word & 0x1E != 0 ? 2 : 0
        }
        if word & 0xC0_C0_C0_F8 == 0x80_80_80_F0 {
            // 11110xxx 10xxxxxx 10xxxxxx 10xxxxxx: U+10000 to U+10FFFF.
            let value = (word & 0x07) << 2 | (word & 0x30_00) >> 12
            return value >= 0x01 && value <= 0x10 ? 4 : 0
        }
        return 0
    }

    /// One byte at a time, for the rest at the end of a piece.
    @inline(__always)
    private mutating func take(_ byte: UInt8) -> Bool {
        if self.missing > 0 { return self.takeContinuation(byte) }
        if byte < 0x80 { return true }
        self.lowest = 0x80
        self.highest = 0xBF
        switch byte {
        case 0xC2...0xDF: self.missing = 1
        case 0xE0: (self.missing, self.lowest) = (2, 0xA0)
        case 0xED: (self.missing, self.highest) = (2, 0x9F)
        case 0xE1...0xEF: self.missing = 2
        case 0xF0: (self.missing, self.lowest) = (3, 0x90)
        case 0xF1...0xF3: self.missing = 3
        case 0xF4: (self.missing, self.highest) = (3, 0x8F)
        default: return false
        }
        return true
    }

    @inline(__always)
    private mutating func takeContinuation(_ byte: UInt8) -> Bool {
        guard byte >= self.lowest && byte <= self.highest else { return false }
        self.missing &-= 1
        self.lowest = 0x80
        self.highest = 0xBF
        return true
    }
}
