// The key by which clients are counted.

public import NIOCore

/// A client's address as limits count it, cheap to make and to compare: without its port, an IPv6 address by its first 64 bits,
/// since one host has all of these, and IPv4 in IPv6 as IPv4. For bounds of your own, beside those of
/// ``WebSocketServer/Limits``.
public struct AddressKey: Hashable, Sendable {
    private let prefix: UInt64
    private let isV6: Bool

    /// `nil` for a client without an address, such as that of a Unix domain socket.
    public init?(_ address: SocketAddress?) {
        switch address {
        case .v4(let address):
            // sockaddr_in: family (2 bytes), port (2), address (4).
            self.prefix = withUnsafeBytes(of: address.address) {
                UInt64($0.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
            }
            self.isV6 = false
        case .v6(let address):
            // sockaddr_in6: family (2 bytes), port (2), flow (4), address (16).
            let (high, low) = withUnsafeBytes(of: address.address) {
                (
                    $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self),
                    $0.loadUnaligned(fromByteOffset: 16, as: UInt64.self)
                )
            }
            if high == 0, UInt64(bigEndian: low) >> 32 == 0xFFFF {
                // ::ffff:a.b.c.d is the IPv4 host that a listener for both sees.
                self.prefix = UInt64(UInt32(truncatingIfNeeded: UInt64(bigEndian: low)).bigEndian)
                self.isV6 = false
            } else {
                // One host has a whole /64; ::1 and its like are told apart by the rest.
                self.prefix = high == 0 ? low : high
                self.isV6 = true
            }
        case .unixDomainSocket, nil:
            return nil
        }
    }
}
