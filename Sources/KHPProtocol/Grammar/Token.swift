/// `token` of RFC 9110 section 5.6.2: field names, methods, subprotocols, extension and parameter names, auth schemes.
package enum Token {
    // One bit per ASCII character. tchar = "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "." / "^" / "_" /
    // "`" / "|" / "~" / DIGIT / ALPHA
    private static let low: UInt64 = 0x03FF_6CFA_0000_0000
    private static let high: UInt64 = 0x57FF_FFFF_C7FF_FFFE

    @inline(__always)
    package static func isTokenByte(_ byte: UInt8) -> Bool {
        guard byte < 0x80 else { return false }
        let half = byte < 0x40 ? low : high
        return (half >> UInt64(byte & 0x3F)) & 1 == 1
    }

    /// Returns `true` for a token: at least one token byte, and nothing else.
    package static func isToken(_ string: some StringProtocol) -> Bool {
        let bytes = string.utf8
        return !bytes.isEmpty && bytes.allSatisfy(isTokenByte)
    }

    /// Where the token that starts at `start` ends.
    @inline(__always)
    static func end(in bytes: UnsafeRawBufferPointer, from start: Int, to limit: Int) -> Int {
        guard let base = bytes.baseAddress else { return start }
        var index = start
        while limit - index >= 8 {
            let word = UInt64(littleEndian: base.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            let others = tops ^ lettersAndHyphens(in: word)
            if others != 0 {
                index += others.trailingZeroBitCount >> 3
                guard isTokenByte(bytes[index]) else { return index }
                index += 1
            } else {
                index += 8
            }
        }
        while index < limit, isTokenByte(bytes[index]) { index += 1 }
        return index
    }

    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let tops: UInt64 = 0x8080_8080_8080_8080

    /// The top bit of each byte that is a letter or a hyphen, as nearly all of field names is.
    @inline(__always)
    private static func lettersAndHyphens(in word: UInt64) -> UInt64 {
        // Seven bits and the addend stay within eight, so no byte touches the next.
        let folded = (word | ones &* 0x20) & ~tops
        let isFromA = folded &+ ones &* (0x80 - 0x61)
        let isBehindZ = folded &+ ones &* (0x7F - 0x7A)
        let other = word ^ ones &* 0x2D
        let isNoHyphen = ((other & ~tops) &+ ~tops) | other
        return ((isFromA & ~isBehindZ & ~word) | ~isNoHyphen) & tops
    }
}
