// The names of backends, looked up anew for each connection: a broker that moves is found again without a reload. A name that
// takes long keeps nobody waiting but those who ask for it.

import Foundation
import NIOCore
import NIOPosix
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

final class HostNames: Sendable {
    /// Finds the addresses of a name; runs on a thread that may block.
    typealias LookUp = @Sendable (_ host: String) throws -> [SocketAddress]

    /// The system's.
    static let system = HostNames(lookUp: HostNames.systemLookUp)

    private let lookUp: LookUp
    /// The promises of a name that is being looked up: one thread for each name, however many ask for it. Threads of a pool
    /// would run out where several names take long.
    private let waiting = Mutex<[String: [EventLoopPromise<[SocketAddress]>]]>([:])

    init(lookUp: @escaping LookUp) {
        self.lookUp = lookUp
    }

    /// The addresses of a name, in the system's order of preference. A look-up that is under way serves all who ask meanwhile;
    /// nothing is kept behind its end.
    func addresses(of host: String, on eventLoop: any EventLoop) -> EventLoopFuture<[SocketAddress]> {
        let promise = eventLoop.makePromise(of: [SocketAddress].self)
        let isFirst = self.waiting.withLock { waiting in
            waiting[host, default: []].append(promise)
            return waiting[host]?.count == 1
        }
        if isFirst {
            Thread.detachNewThread {
                let result = Result { try self.lookUp(host) }
                let all = self.waiting.withLock { $0.removeValue(forKey: host) } ?? []
                for promise in all { promise.completeWith(result) }
            }
        }
        return promise.futureResult
    }

    /// The system has no address for a name.
    struct Unknown: Error {
        var words: String
    }

    @Sendable private static func systemLookUp(_ host: String) throws -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        #if canImport(Glibc)
            hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        #else
            hints.ai_socktype = SOCK_STREAM
        #endif
        var list: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, nil, &hints, &list)
        guard status == 0 else { throw Unknown(words: String(cString: gai_strerror(status))) }
        defer { freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = list
        while let info = next?.pointee {
            switch (info.ai_family, info.ai_addr) {
            case (AF_INET, let bytes?):
                bytes.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                    addresses.append(SocketAddress($0.pointee, host: host))
                }
            case (AF_INET6, let bytes?):
                bytes.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                    addresses.append(SocketAddress($0.pointee, host: host))
                }
            default: break
            }
            next = info.ai_next
        }
        return addresses
    }
}

/// One connect's view of the names: both families come with one answer.
final class HostNameAnswer: Resolver, Sendable {
    private let addresses: EventLoopFuture<[SocketAddress]>
    private let port: Int

    init(_ addresses: EventLoopFuture<[SocketAddress]>, port: Int) {
        self.addresses = addresses
        self.port = port
    }

    private func all(_ family: NIOBSDSocket.ProtocolFamily) -> EventLoopFuture<[SocketAddress]> {
        let port = self.port
        return self.addresses.map { addresses in
            addresses.filter { $0.protocol == family }.map { address in
                var address = address
                address.port = port
                return address
            }
        }
    }

    func initiateAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> { self.all(.inet) }

    func initiateAAAAQuery(host: String, port: Int) -> EventLoopFuture<[SocketAddress]> { self.all(.inet6) }

    func cancelQueries() {}
}
