// The peers that may speak for others: proxies, by their addresses.

import KHPProtocol
import NIOCore

struct TrustedPeers: Sendable {
    private let ranges: [AddressRange]
    private let trustsUnixSockets: Bool

    /// - Parameter texts: addresses, ranges such as `10.0.0.0/8`, and `unix` for whoever connects to a Unix domain socket.
    /// - Throws: ``WebSocketError/Code/invalidArgument`` for a text that is none of these, and for an empty list.
    init(_ texts: [String]) throws(WebSocketError) {
        guard !texts.isEmpty else {
            throw WebSocketError(.invalidArgument, "No proxy is trusted to name the clients' addresses.")
        }
        self.trustsUnixSockets = texts.contains("unix")
        var ranges: [AddressRange] = []
        for text in texts where text != "unix" {
            guard let range = AddressRange(text) else {
                throw WebSocketError(
                    .invalidArgument,
                    "\(quoted(text)) is no address of a proxy; write 192.0.2.7, 10.0.0.0/8, 2001:db8::/32 or unix."
                )
            }
            ranges.append(range)
        }
        self.ranges = ranges
    }

    func contains(_ peer: SocketAddress?) -> Bool {
        guard let bits = AddressRange.Bits(peer) else { return self.trustsUnixSockets }
        return self.ranges.contains { $0.contains(bits) }
    }
}
