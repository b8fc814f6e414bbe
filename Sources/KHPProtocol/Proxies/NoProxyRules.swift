/// Which servers are connected to without a proxy: the value of `no_proxy`.
///
/// Entries are separated by commas or white space:
///
/// | entry | excepts |
/// |---|---|
/// | `*` | every server |
/// | `example.com`, `.example.com` | that host and every host under it |
/// | `*.example.com` | every host under it, not that host |
/// | `192.0.2.1`, `2001:db8::1`, `[2001:db8::1]` | that address, in any spelling |
/// | `192.0.2.0/24`, `2001:db8::/32` | the addresses of that block |
/// | any but a block, with `:port` (IPv6 in brackets) | as above, at that port only |
///
/// Only what stands in the URL is compared: no name is resolved for it. An entry that is none of these excepts nothing.
package struct NoProxyRules: Sendable, Hashable {
    private enum Subject: Hashable {
        case everything
        /// In lower case, without dots at its ends.
        case domain(String, includesItself: Bool)
        /// The leading bits that count.
        case block([UInt8], bits: Int)
    }

    private struct Rule: Hashable {
        var subject: Subject
        var port: Int?
    }

    private var rules: [Rule] = []

    package init(_ text: String) {
        for entry in text.utf8.split(whereSeparator: { $0 == Bytes.comma || $0 <= Bytes.space }) {
            if let rule = Self.rule(Array(entry)[...]) { self.rules.append(rule) }
        }
    }

    /// Returns `true` when the server of `url` is connected to directly.
    package func excepts(_ url: WebSocketURL) -> Bool {
        if self.rules.isEmpty { return false }
        let address = Host.addressBytes(url.host).map(Self.unmapped)
        let name = url.host.hasSuffix(".") ? String(url.host.dropLast()) : url.host
        return self.rules.contains { rule in
            guard rule.port == nil || rule.port == url.port else { return false }
            switch rule.subject {
            case .everything:
                return true
            case .domain(let domain, let includesItself):
                return address == nil && (includesItself && name == domain || name.hasSuffix(".\(domain)"))
            case .block(let block, let bits):
                guard let address, address.count == block.count else { return false }
                return Self.prefix(address, bits) == Self.prefix(block, bits)
            }
        }
    }

    private static func rule(_ entry: ArraySlice<UInt8>) -> Rule? {
        if entry.elementsEqual([0x2A]) { return Rule(subject: .everything) }
        if let slash = entry.firstIndex(of: Bytes.slash) {
            return block(entry[..<slash], bits: entry[(slash + 1)...])
        }
        // An IPv6 address without brackets is all colons and has no port.
        if let host = try? Host.normalised([0x5B] + entry + [0x5D]), let bytes = Host.addressBytes(host) {
            return address(bytes, port: nil)
        }
        var entry = entry
        var includesItself = true
        if entry.starts(with: [0x2A, 0x2E]) {
            includesItself = false
            entry = entry.dropFirst(2)
        } else if entry.first == 0x2E {
            entry = entry.dropFirst()
        }
        guard let place = try? Authority(bytes: entry) else { return nil }
        if let bytes = Host.addressBytes(place.host) { return address(bytes, port: place.port) }
        let name = place.host.hasSuffix(".") ? String(place.host.dropLast()) : place.host
        return Rule(subject: .domain(name, includesItself: includesItself), port: place.port)
    }

    private static func address(_ bytes: [UInt8], port: Int?) -> Rule {
        let bytes = unmapped(bytes)
        return Rule(subject: .block(bytes, bits: bytes.count * 8), port: port)
    }

    private static func block(_ host: ArraySlice<UInt8>, bits: ArraySlice<UInt8>) -> Rule? {
        let literal = host.contains(Bytes.colon) && host.first != 0x5B ? [0x5B] + host + [0x5D] : host
        guard let text = try? Host.normalised(literal), let bytes = Host.addressBytes(text),
            (1...3).contains(bits.count), bits.allSatisfy(Bytes.isDigit)
        else { return nil }
        let count = bits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
        guard count <= bytes.count * 8 else { return nil }
        return Rule(subject: .block(bytes, bits: count))
    }

    /// `::ffff:192.0.2.1` is 192.0.2.1.
    private static func unmapped(_ bytes: [UInt8]) -> [UInt8] {
        guard bytes.count == 16, bytes[..<10].allSatisfy({ $0 == 0 }), bytes[10] == 0xFF, bytes[11] == 0xFF else {
            return bytes
        }
        return Array(bytes[12...])
    }

    /// The first bits, the others cleared.
    private static func prefix(_ bytes: [UInt8], _ bits: Int) -> [UInt8] {
        var bytes = bytes
        for index in bytes.indices {
            let kept = min(max(bits - index * 8, 0), 8)
            bytes[index] &= kept == 0 ? 0 : ~0 << UInt8(8 - kept)
        }
        return bytes
    }
}
