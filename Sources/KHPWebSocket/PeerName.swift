// Addresses as people read them.

package import NIOCore

extension SocketAddress {
    /// `127.0.0.1:4321`, `[::1]:4321`, or the path of a Unix domain socket.
    package var peerName: String {
        guard let address = self.ipAddress, let port = self.port else { return self.pathname ?? "" }
        return address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
    }
}
