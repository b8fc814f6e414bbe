// In which order the addresses of one host are tried.

package import NIOCore

package enum AddressOrder {
    /// RFC 8305 section 4: the families in turn, each in the order in which the system prefers its addresses, and first
    /// the family that it prefers. A family that leads nowhere costs one attempt then, and not all of its addresses.
    package static func interleaved(_ addresses: [SocketAddress]) -> [SocketAddress] {
        var seen: Set<String> = []
        let distinct = addresses.filter { seen.insert($0.peerName).inserted }
        guard let first = distinct.first else { return [] }
        let preferred = distinct.filter { $0.protocol == first.protocol }
        let others = distinct.filter { $0.protocol != first.protocol }
        var ordered: [SocketAddress] = []
        for index in 0..<max(preferred.count, others.count) {
            if index < preferred.count { ordered.append(preferred[index]) }
            if index < others.count { ordered.append(others[index]) }
        }
        return ordered
    }
}
