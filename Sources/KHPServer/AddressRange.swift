// Addresses in the notation of CIDR (RFC 4632, RFC 4291 section 2.3): the proxies that are trusted, and the networks that an
// application lets in.

public import NIOCore

/// An address, or all that begin alike. An IPv4 range also holds the addresses that a listener for both families sees as
/// `::ffff:a.b.c.d`.
///
/// Ask it about ``HandshakeRequest/client``, for a service that is for some networks alone.
public struct AddressRange: Sendable, Hashable, CustomStringConvertible {
    /// As it was written.
    public let description: String
    private let bytes: [UInt8]
    private let bits: Int
    /// `true` where it holds every address of IPv4, or every address.
    public let isEverything: Bool

    /// - Parameter text: `10.0.0.0/8`, `2001:db8::/32`, or an address alone; anything else gives `nil`.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let address = try? SocketAddress(ipAddress: String(first), port: 0),
            let bytes = Self.bytes(address)
        else { return nil }
        let before = address.protocol == .inet ? 96 : 0
        var length = 128 - before
        if parts.count > 1 {
            guard let given = Int(parts[1]), (0...length).contains(given), parts[1].allSatisfy(\.isNumber) else {
                return nil
            }
            length = given
        }
        self.description = text
        self.bytes = bytes
        self.bits = before + length
        self.isEverything = length == 0
    }

    /// Returns `true` for an address in the range; never for the peer of a Unix domain socket.
    public func contains(_ address: SocketAddress?) -> Bool {
        guard let other = Self.bytes(address) else { return false }
        let whole = self.bits / 8
        guard self.bytes.prefix(whole) == other.prefix(whole) else { return false }
        let rest = self.bits % 8
        return rest == 0 || (self.bytes[whole] ^ other[whole]) >> UInt8(8 - rest) == 0
    }

    /// The 16 bytes of an address.
    private static func bytes(_ address: SocketAddress?) -> [UInt8]? {
        switch address {
        case .v4(let address):
            // ::ffff:a.b.c.d
            [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF]
                + withUnsafeBytes(of: address.address) { Array($0[4..<8]) }
        case .v6(let address):
            withUnsafeBytes(of: address.address) { Array($0[8..<24]) }
        case .unixDomainSocket, nil:
            nil
        }
    }
}
