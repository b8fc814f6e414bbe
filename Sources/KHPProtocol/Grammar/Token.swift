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

    /// Whether `string` is a token: one token byte at least, and nothing else.
    package static func isToken(_ string: some StringProtocol) -> Bool {
        let bytes = string.utf8
        return !bytes.isEmpty && bytes.allSatisfy(isTokenByte)
    }

    /// Where the token that starts at `start` ends.
    @inline(__always)
    static func end(in bytes: UnsafeRawBufferPointer, from start: Int, to limit: Int) -> Int {
        var index = start
        while index < limit, isTokenByte(bytes[index]) { index += 1 }
        return index
    }
}
