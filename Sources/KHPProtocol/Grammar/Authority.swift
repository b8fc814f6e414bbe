/// Host and port, as in a URL's authority and in a Host field (RFC 3986 section 3.2, RFC 9110 section 7.2).
package struct Authority: Sendable, Hashable {
    /// Lower case; an IPv6 address without brackets.
    package var host: String
    /// 1…65535; nil where none is written.
    package var port: Int?

    /// The value of a Host field. Throws when it is malformed or holds user information (threat A12).
    package init(_ text: some StringProtocol) throws(GrammarError) {
        let common = text.utf8.withContiguousStorageIfAvailable { Self(common: UnsafeRawBufferPointer($0)) }
        if let common, let common {
            self = common
        } else {
            try self.init(bytes: Array(text.utf8)[...])
        }
    }

    /// The fast path: a name in lower case or a dotted address, with or without a port, in one pass. Nearly every
    /// request holds one. `nil` for everything else, right or wrong.
    init?(common text: UnsafeRawBufferPointer) {
        var end = 0
        var label = 0
        hostname: while end < text.count {
            switch text[end] {
            case 0x61...0x7A, 0x30...0x39, 0x2D, 0x5F:
                break
            case 0x2E:
                guard end > label, end - label <= 63 else { return nil }
                label = end + 1
            case Bytes.colon:
                break hostname
            default:
                return nil
            }
            end += 1
        }
        guard end > label, end - label <= 63, end <= 253 else { return nil }
        let name = UnsafeRawBufferPointer(rebasing: text[..<end])
        // A last label that begins with a digit may make it an address.
        if Bytes.isDigit(text[label]), !Self.isDottedAddress(name) { return nil }
        if end < text.count {
            var value = 0
            guard (1...5).contains(text.count - end - 1) else { return nil }
            for digit in text[(end + 1)...] {
                guard Bytes.isDigit(digit) else { return nil }
                value = value * 10 + Int(digit - 0x30)
            }
            guard (1...65535).contains(value) else { return nil }
            self.port = value
        }
        self.host = String(decoding: name, as: UTF8.self)
    }

    /// Four numbers of 0 to 255 without leading zeros.
    private static func isDottedAddress(_ text: UnsafeRawBufferPointer) -> Bool {
        var dots = 0
        var digits = 0
        var value = 0
        for byte in text {
            if byte == 0x2E {
                guard digits > 0 else { return false }
                dots += 1
                digits = 0
                value = 0
                continue
            }
            guard Bytes.isDigit(byte), digits == 0 || value > 0 else { return false }
            value = value * 10 + Int(byte - 0x30)
            digits += 1
            guard value <= 255 else { return false }
        }
        return dots == 3 && digits > 0
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
        self.host = try Host.normalised(bytes[bytes.startIndex..<hostEnd])
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
        self.port = value
    }
}

extension Authority {
    /// Returns `true` when both name the same host and port; a missing port equals a scheme's default (D14, D23).
    package func isSame(as other: Authority) -> Bool {
        guard self.host == other.host else { return false }
        guard self.port != other.port else { return true }
        guard let written = self.port ?? other.port, self.port == nil || other.port == nil else { return false }
        return written == 80 || written == 443
    }
}
