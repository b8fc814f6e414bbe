/// Host and port, as in a URL's authority and in a Host field (RFC 3986 section 3.2, RFC 9110 section 7.2).
package struct Authority: Sendable, Hashable {
    /// Lower case; an IPv6 address without brackets.
    package var host: String
    /// 1…65535; nil where none is written.
    package var port: Int?

    /// The value of a Host field. Throws when it is malformed or holds user information (threat A12).
    package init(_ text: some StringProtocol) throws(GrammarError) {
        try self.init(bytes: Array(text.utf8)[...])
    }

    init(bytes: ArraySlice<UInt8>) throws(GrammarError) {
        let hostEnd: Int
        if bytes.first == 0x5B {
            guard let bracket = bytes.firstIndex(of: 0x5D) else {
                throw GrammarError("the bracket [ has no ]", at: bytes.startIndex)
            }
            hostEnd = bracket + 1
        } else {
            hostEnd = bytes.firstIndex(of: Bytes.colon) ?? bytes.endIndex
        }
        host = try Host.normalised(bytes[bytes.startIndex..<hostEnd])
        let rest = bytes[hostEnd...]
        guard let separator = rest.first else { return }
        guard separator == Bytes.colon else {
            throw GrammarError("\(Bytes.shown(separator)) is not allowed after the host", at: hostEnd)
        }
        let digits = rest.dropFirst()
        if digits.isEmpty { return }
        var value = 0
        for (index, digit) in zip(digits.indices, digits) {
            guard Bytes.isDigit(digit) else { throw GrammarError("the port is not a number", at: index) }
            value = value * 10 + Int(digit - 0x30)
            guard value <= 65535 else { throw GrammarError("the port is above 65535", at: index) }
        }
        guard value > 0 else { throw GrammarError("the port is 0", at: digits.startIndex) }
        port = value
    }
}
