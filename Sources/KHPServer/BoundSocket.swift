// A socket that another process has bound: a service manager, or the process that this one replaces.

import KHPProtocol
import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

struct BoundSocket {
    /// True for a socket of TCP.
    let isTCP: Bool

    /// Makes the socket listen; one that listens already goes on.
    /// - Throws: ``WebSocketError/Code/connectFailed`` for a descriptor that is no stream socket, or not bound.
    init(_ descriptor: NIOBSDSocket.Handle, backlog: Int32) throws(WebSocketError) {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let named = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard named == 0, listen(descriptor, backlog) == 0 else {
            let number = errno
            let reason = String(cString: strerror(number)).lowercased()
            throw WebSocketError(
                .connectFailed,
                "The server cannot listen on descriptor \(descriptor): \(reason).",
                detail: number == EADDRINUSE ? .addressInUse : nil,
                phase: .connect
            )
        }
        self.isTCP = address.ss_family == sa_family_t(AF_INET) || address.ss_family == sa_family_t(AF_INET6)
    }
}
