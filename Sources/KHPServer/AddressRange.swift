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
    private let bits: Bits
    /// The bits that all of its addresses have in common.
    private let mask: Bits
    /// `true` where it holds every address of IPv4, or every address.
    public let isEverything: Bool

    /// - Parameter text: `10.0.0.0/8`, `2001:db8::/32`, or an address alone; anything else gives `nil`.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let address = try? SocketAddress(ipAddress: String(first), port: 0),
            let bits = Bits(address)
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
        self.bits = bits
        self.mask = Bits(first: before + length)
        self.isEverything = length == 0
    }

    /// Returns `true` for an address in the range; never for the peer of a Unix domain socket.
    public func contains(_ address: SocketAddress?) -> Bool {
        Bits(address).map { self.contains($0) } ?? false
    }

    func contains(_ address: Bits) -> Bool {
        (self.bits.high ^ address.high) & self.mask.high == 0 && (self.bits.low ^ address.low) & self.mask.low == 0
    }

    /// The 128 bits of an address; those of IPv4 are `::ffff:a.b.c.d`.
    struct Bits: Sendable, Hashable {
        let high: UInt64
        let low: UInt64

        /// `nil` for the address of a Unix domain socket.
        init?(_ address: SocketAddress?) {
            switch address {
            case .v4(let address):
                self.high = 0
                // After family and port.
                let bits = withUnsafeBytes(of: address.address) { $0.loadUnaligned(fromByteOffset: 4, as: UInt32.self) }
                self.low = 0xFFFF << 32 | UInt64(UInt32(bigEndian: bits))
            case .v6(let address):
                // And after the flow.
                (self.high, self.low) = withUnsafeBytes(of: address.address) { bytes in
                    (
                        UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
                        UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
                    )
                }
            case .unixDomainSocket, nil:
                return nil
            }
        }

        /// The first bits ones, the others zeros.
        init(first count: Int) {
            // A shift by all of its bits leaves none.
            self.high = ~(UInt64.max >> UInt64(min(count, 64)))
            self.low = ~(UInt64.max >> UInt64(max(count - 64, 0)))
        }
    }
}
