// The owner that a certificate must name: the host of the URL, whatever address or proxy the connection goes to. Chains are
// verified by the TLS library; this is the other half, RFC 9525 section 6 (and RFC 9110 section 4.3.4), and nothing
// older: no common name, no wildcard but `*` as the whole left-most label.

/// The host that a connection is meant for: the reference identifier of RFC 9525.
package struct ServerIdentity: Sendable, Hashable {
    private enum Reference: Sendable, Hashable {
        /// In lower case, without the dot that may end it.
        case name([UInt8])
        /// The 4 or 16 bytes of an address.
        case address([UInt8])
    }

    /// The host as its URL has it.
    package let host: String
    private let reference: Reference

    /// - Parameter host: as ``WebSocketURL/host`` and ``Proxy/host`` have it.
    package init(host: String) {
        self.host = host
        self.reference = Host.addressBytes(host).map { .address($0) } ?? .name(Self.comparable(Array(host.utf8)))
    }

    /// The value of SNI: a name without the dot that ends it (RFC 6066 section 3); nothing for an address.
    package var serverName: String? {
        switch self.reference {
        case .name(let name): name.isEmpty ? nil : String(decoding: name, as: UTF8.self)
        case .address: nil
        }
    }

    /// True when a certificate with these identifiers is for this host.
    package func isAmong(_ presented: PresentedIdentifiers) -> Bool {
        switch self.reference {
        case .name(let name): presented.names.contains { Self.matches(Self.comparable($0), name) }
        case .address(let address): presented.addresses.contains(address)
        }
    }

    /// RFC 9525 section 6.3.
    private static func matches(_ pattern: [UInt8], _ name: [UInt8]) -> Bool {
        guard !name.isEmpty else { return false }
        guard pattern.starts(with: [0x2A, 0x2E]) else { return pattern == name }
        // One label, neither none nor several.
        guard let dot = name.firstIndex(of: 0x2E), dot > 0 else { return false }
        return pattern.count > 2 && name[dot...].elementsEqual(pattern[1...])
    }

    private static func comparable(_ name: [UInt8]) -> [UInt8] {
        (name.last == 0x2E ? name.dropLast() : name[...]).map(Bytes.lowercased)
    }
}

/// The identifiers of a certificate: the dNSName and iPAddress entries of its subjectAltName, as they stand there.
package struct PresentedIdentifiers: Sendable, Hashable {
    package var names: [[UInt8]]
    package var addresses: [[UInt8]]

    package init(names: [[UInt8]] = [], addresses: [[UInt8]] = []) {
        self.names = names
        self.addresses = addresses
    }
}

extension PresentedIdentifiers: CustomStringConvertible {
    /// The first few, for an error's sentence: `a.example, b.example and 3 more`. Shows nothing but printable ASCII.
    package var description: String {
        let most = 5
        let count = self.names.count + self.addresses.count
        guard count > 0 else { return "no host" }
        let shown =
            self.names.prefix(most).map(Self.shown) + self.addresses.prefix(most).map { Host.spelled(address: $0) }
        let listed = shown.prefix(most)
        let rest = count - listed.count
        if rest > 0 { return "\(listed.joined(separator: ", ")) and \(rest) more" }
        guard let last = listed.last, listed.count > 1 else { return listed.joined() }
        return "\(listed.dropLast().joined(separator: ", ")) and \(last)"
    }

    private static func shown(_ name: [UInt8]) -> String {
        let text = name.prefix(80).map { (0x21...0x7E).contains($0) ? $0 : 0x3F }
        // An address among the names is for nothing: said, or the error seems to contradict itself.
        let looksLikeAddress = name.allSatisfy { (0x30...0x39).contains($0) || $0 == 0x2E } || name.contains(0x3A)
        return (looksLikeAddress ? "the name " : "") + String(decoding: text, as: UTF8.self)
            + (name.count > 80 ? "…" : "")
    }
}
