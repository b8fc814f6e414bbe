// systemd's notice of readiness (sd_notify(3)): a datagram to the socket that NOTIFY_SOCKET names. Without that, nothing.

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

package struct ReadinessNotice: Sendable {
    private let path: [UInt8]?

    /// - Parameter socket: the value of NOTIFY_SOCKET: a path, or the name of an abstract socket after `@`.
    package init(socket: String?) {
        guard let socket, socket.hasPrefix("/") || socket.hasPrefix("@"), socket.utf8.count < 104 else {
            self.path = nil
            return
        }
        var path = Array(socket.utf8)
        if socket.hasPrefix("@") { path[0] = 0 }
        self.path = path
    }

    /// - Parameter status: one line of a bounded length is made of it, whatever it says.
    package func ready(_ status: String) {
        let line = String(
            String.UnicodeScalarView(status.unicodeScalars.map { $0.value < 0x20 ? " " : $0 }.prefix(500))
        )
        self.send("READY=1\nSTATUS=\(line)\n")
    }

    package func reloading() { self.send("RELOADING=1\nMONOTONIC_USEC=\(Self.monotonicMicroseconds)\n") }

    package func stopping() { self.send("STOPPING=1\n") }

    private static var monotonicMicroseconds: UInt64 { NIODeadline.now().uptimeNanoseconds / 1000 }

    private func send(_ text: String) {
        guard let path else { return }
        #if canImport(Glibc)
            let kind = Int32(SOCK_DGRAM.rawValue)
        #else
            let kind = SOCK_DGRAM
        #endif
        let descriptor = socket(AF_UNIX, kind, 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
        let offset = MemoryLayout<sockaddr_un>.offset(of: \sockaddr_un.sun_path) ?? 2
        let length = socklen_t(offset + path.count + (path.first == 0 ? 0 : 1))
        let bytes = Array(text.utf8)
        withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                _ = sendto(descriptor, bytes, bytes.count, 0, address, length)
            }
        }
    }
}
