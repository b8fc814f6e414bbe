// One address for one client: a listener for both families sees a client of IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2),
// and a proxy may write it so. Logs, filters, hashes and brokers know it as a.b.c.d, whichever way it came.

import NIOCore

extension SocketAddress {
    /// The address of IPv4 that this one stands for; itself where it stands for none.
    var unmapped: SocketAddress {
        guard case .v6(let address) = self else { return self }
        // After family, port and flow.
        let bytes = withUnsafeBytes(of: address.address) { Array($0[8..<24]) }
        guard bytes.prefix(10).allSatisfy({ $0 == 0 }), bytes[10] == 0xFF, bytes[11] == 0xFF else { return self }
        let text = bytes.suffix(4).map { "\($0)" }.joined(separator: ".")
        return (try? SocketAddress(ipAddress: text, port: self.port ?? 0)) ?? self
    }

    /// An address in a text, unmapped, in the system's notation; a text that is no address is returned unchanged.
    static func unmapped(_ text: String) -> String {
        (try? SocketAddress(ipAddress: text, port: 0))?.unmapped.ipAddress ?? text
    }
}
