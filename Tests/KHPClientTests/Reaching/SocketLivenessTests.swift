import KHPClient
import KHPProtocol
import KHPServer
import NIOCore
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

/// A peer that vanishes is noticed by TCP itself, where nothing is read and nothing is said.
@Suite("TCP keep-alive")
struct SocketLivenessTests {
    /// The connected sockets of this process at a local port, and at a remote one.
    private static func sockets(at port: Int) -> (local: [Int32], remote: [Int32]) {
        var found: (local: [Int32], remote: [Int32]) = ([], [])
        for descriptor in Int32(0)..<1024 {
            guard let remote = Self.port(descriptor, getpeername), let local = Self.port(descriptor, getsockname) else {
                continue
            }
            if local == port { found.local.append(descriptor) }
            if remote == port { found.remote.append(descriptor) }
        }
        return found
    }

    private typealias Naming = (
        Int32, UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>
    ) -> Int32

    /// The port of an IPv4 socket: the two bytes behind the family.
    private static func port(_ descriptor: Int32, _ name: Naming) -> Int? {
        var bytes = [UInt64](repeating: 0, count: 16)
        return bytes.withUnsafeMutableBytes { bytes in
            var length = socklen_t(bytes.count)
            let address = bytes.assumingMemoryBound(to: sockaddr.self)
            // The family stands in the first byte or, behind a length, in the second.
            guard let base = address.baseAddress, name(descriptor, base, &length) == 0,
                bytes[0] == AF_INET || bytes[1] == AF_INET
            else { return nil }
            return Int(bytes[2]) << 8 | Int(bytes[3])
        }
    }

    private static func option(_ descriptor: Int32, _ level: Int32, _ name: Int32) -> Int {
        var value: Int32 = -1
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, level, name, &value, &length) == 0 ? Int(value) : -1
    }

    private static func check(_ descriptors: [Int32], _ what: Comment) {
        #expect(!descriptors.isEmpty, what)
        for descriptor in descriptors {
            #expect(Self.option(descriptor, SOL_SOCKET, SO_KEEPALIVE) != 0, what)
            #if os(Linux)
                let tcp = Int32(IPPROTO_TCP)
                #expect(Self.option(descriptor, tcp, TCP_KEEPIDLE) == 60, what)
                #expect(Self.option(descriptor, tcp, TCP_KEEPINTVL) == 15, what)
                #expect(Self.option(descriptor, tcp, TCP_KEEPCNT) == 4, what)
                #expect(Self.option(descriptor, tcp, TCP_USER_TIMEOUT) == 120_000, what)
            #endif
        }
    }

    @Test("is on for the sockets of both roles, with a bound on what is not acknowledged")
    func bothRoles() async throws {
        try await withServer {
            echo()
        } body: { port in
            try await WebSocketClient().withConnection(to: "ws://127.0.0.1:\(port)/echo") { _ in
                let sockets = Self.sockets(at: port)
                Self.check(sockets.local, "accepted")
                Self.check(sockets.remote, "dialled")
            }
        }
    }

    @Test("is on for the sockets to proxies")
    func proxies() async throws {
        try await withServer {
            echo()
        } body: { port in
            try await withProxy {
                try await $0.serveConnect()
            } body: { proxyPort, _ in
                var configuration = WebSocketClient.Configuration()
                configuration.proxy = .proxy(try Proxy("http://127.0.0.1:\(proxyPort)"))
                let client = WebSocketClient(configuration: configuration)
                try await client.withConnection(to: "ws://a.invalid:\(port)/echo") { _ in
                    Self.check(Self.sockets(at: proxyPort).remote, "to the proxy")
                }
            }
        }
    }
}
