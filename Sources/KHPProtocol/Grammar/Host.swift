/// Host names and address literals as a URL and a Host field hold them (RFC 3986 section 3.2.2), brought to one
/// spelling so that equal hosts compare equal.
package enum Host {
    /// The host in lower case; an IPv6 literal without brackets, as RFC 5952 spells it.
    package static func normalised(_ text: ArraySlice<UInt8>) throws(GrammarError) -> String {
        guard let first = text.first else { throw GrammarError("the host is empty", at: text.startIndex) }
        if first == 0x5B {
            guard text.last == 0x5D else { throw GrammarError("the bracket [ has no ]", at: text.startIndex) }
            return try ipv6(text.dropFirst().dropLast())
        }
        let name = try name(text)
        // A last label of digits only is an address and no name; the short and hexadecimal spellings are refused.
        let labels = name.utf8.split(separator: 0x2E, omittingEmptySubsequences: false)
        guard let last = labels.last(where: { !$0.isEmpty }), isNumber(last) else { return name }
        guard isIPv4(ArraySlice(name.utf8)) else {
            throw GrammarError("the IPv4 address is not four numbers of 0 to 255", at: text.startIndex)
        }
        return name
    }

    /// The host as a URL or a Host field writes it: an IPv6 literal gets its brackets.
    package static func bracketed(_ host: String) -> String {
        host.utf8.contains(Bytes.colon) ? "[\(host)]" : host
    }

    /// Returns `true` when `host`, as ``normalised(_:)`` returns it, is an address and not a name.
    package static func isAddress(_ host: String) -> Bool {
        host.utf8.contains(Bytes.colon) || isIPv4(ArraySlice(host.utf8))
    }

    /// The 4 or 16 bytes of an address literal as ``normalised(_:)`` returns it; nil for a name.
    static func addressBytes(_ host: String) -> [UInt8]? {
        let text = ArraySlice(host.utf8)
        if let octets = octets(text) { return octets.map { UInt8(truncatingIfNeeded: $0) } }
        return groups(text)?.flatMap { [UInt8(truncatingIfNeeded: $0 >> 8), UInt8(truncatingIfNeeded: $0)] }
    }

    /// The text of an address of 4 or 16 bytes; other bytes in hexadecimal.
    static func spelled(address: [UInt8]) -> String {
        switch address.count {
        case 4: return address.map(String.init).joined(separator: ".")
        case 16:
            return spelled(stride(from: 0, to: 16, by: 2).map { UInt16(address[$0]) << 8 | UInt16(address[$0 + 1]) })
        default: return address.prefix(16).map { String($0, radix: 16) }.joined(separator: ":")
        }
    }

    private static func name(_ text: ArraySlice<UInt8>) throws(GrammarError) -> String {
        var labelLength = 0
        for (index, byte) in zip(text.indices, text) {
            switch byte {
            case 0x2E:
                guard labelLength > 0 else { throw GrammarError("a label of the host name is empty", at: index) }
                labelLength = 0
            case _ where Bytes.isLetter(byte) || Bytes.isDigit(byte) || byte == 0x2D || byte == 0x5F:
                labelLength += 1
                guard labelLength <= 63 else {
                    throw GrammarError("a label of the host name is longer than 63", at: index)
                }
            case 0x80...:
                throw GrammarError("the host name is not ASCII: write it in its xn-- form (punycode)", at: index)
            default:
                throw GrammarError("\(Bytes.shown(byte)) is not allowed in a host name", at: index)
            }
        }
        guard text.count <= 254 else { throw GrammarError("the host name is too long", at: text.startIndex) }
        return String(decoding: text.map(Bytes.lowercased), as: UTF8.self)
    }

    private static func isNumber(_ label: some Collection<UInt8>) -> Bool {
        if label.allSatisfy(Bytes.isDigit) { return true }
        let text = Array(label)
        guard text.count >= 2, text[0] == 0x30, Bytes.lowercased(text[1]) == 0x78 else { return false }
        return text.dropFirst(2).allSatisfy { Bytes.hexValue($0) != nil }
    }

    private static func isIPv4(_ text: ArraySlice<UInt8>) -> Bool {
        octets(text) != nil
    }

    /// Four decimal numbers without leading zeros.
    private static func octets(_ text: ArraySlice<UInt8>) -> [UInt16]? {
        let parts = text.split(separator: 0x2E, omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var octets: [UInt16] = []
        for part in parts {
            guard (1...3).contains(part.count), part.allSatisfy(Bytes.isDigit) else { return nil }
            guard part.count == 1 || part.first != 0x30 else { return nil }
            let value = part.reduce(UInt16(0)) { $0 * 10 + UInt16($1 - 0x30) }
            guard value <= 255 else { return nil }
            octets.append(value)
        }
        return octets
    }

    private static func ipv6(_ text: ArraySlice<UInt8>) throws(GrammarError) -> String {
        if text.contains(Bytes.percent) {
            throw GrammarError("an IPv6 address with a zone is not allowed", at: text.startIndex)
        }
        guard let groups = groups(text) else {
            throw GrammarError("the IPv6 address is not valid", at: text.startIndex)
        }
        return spelled(groups)
    }

    /// The eight groups; `nil` unless `text` is an IPv6 address.
    private static func groups(_ text: ArraySlice<UInt8>) -> [UInt16]? {
        var groups: [UInt16] = []
        var gap: Int?
        var rest = text
        if rest.starts(with: [Bytes.colon, Bytes.colon]) {
            gap = 0
            rest = rest.dropFirst(2)
        }
        while !rest.isEmpty {
            guard groups.count < 8 else { return nil }
            let part = rest.prefix { $0 != Bytes.colon }
            if part.contains(0x2E) {
                guard part.count == rest.count, groups.count <= 6, let octets = octets(part) else { return nil }
                groups.append(octets[0] << 8 | octets[1])
                groups.append(octets[2] << 8 | octets[3])
                break
            }
            guard (1...4).contains(part.count) else { return nil }
            var value: UInt16 = 0
            for byte in part {
                guard let digit = Bytes.hexValue(byte) else { return nil }
                value = value << 4 | UInt16(digit)
            }
            groups.append(value)
            rest = rest.dropFirst(part.count)
            guard !rest.isEmpty else { break }
            rest = rest.dropFirst()
            if rest.first == Bytes.colon {
                guard gap == nil else { return nil }
                gap = groups.count
                rest = rest.dropFirst()
            } else if rest.isEmpty {
                return nil
            }
        }
        guard let gap else { return groups.count == 8 ? groups : nil }
        guard groups.count < 8 else { return nil }
        groups.insert(contentsOf: repeatElement(0, count: 8 - groups.count), at: gap)
        return groups
    }

    /// RFC 5952: no leading zeros, the longest run of two or more zero groups as `::`, mapped IPv4 in dots.
    private static func spelled(_ groups: [UInt16]) -> String {
        if groups.prefix(5).allSatisfy({ $0 == 0 }), groups[5] == 0xFFFF {
            return "::ffff:\(groups[6] >> 8).\(groups[6] & 0xFF).\(groups[7] >> 8).\(groups[7] & 0xFF)"
        }
        var best = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start > max(best.count, 1) { best = start..<end }
            start = max(end, start + 1)
        }
        let hex = groups.map { String($0, radix: 16) }
        guard !best.isEmpty else { return hex.joined(separator: ":") }
        return hex[..<best.lowerBound].joined(separator: ":") + "::" + hex[best.upperBound...].joined(separator: ":")
    }
}
