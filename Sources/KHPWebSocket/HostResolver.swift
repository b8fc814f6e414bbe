// Names to addresses, off the event loops. All addresses are returned, in the system's order of preference.

package import NIOCore
import NIOPosix

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

package enum HostResolver {
    package enum Failure: Error {
        /// The system's message.
        case failed(String)
        case timedOut
    }

    /// Finds the addresses of a name, and may take its time: it runs on a thread that may block.
    package typealias LookUp = @Sendable (_ host: String, _ port: Int) throws -> [SocketAddress]

    /// Resolves a host name or an address literal. The system's resolver cannot be stopped, but it is not waited for
    /// after `deadline` or a cancellation.
    package static func resolve(
        _ host: String,
        port: Int,
        until deadline: NIODeadline,
        on eventLoop: any EventLoop,
        lookUp: @escaping LookUp = HostResolver.systemLookUp
    ) async throws -> [SocketAddress] {
        if let literal = try? SocketAddress(ipAddress: host, port: port) { return [literal] }
        let answer = eventLoop.makePromise(of: [SocketAddress].self)
        NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) { try lookUp(host, port) }
            .cascade(to: answer)
        let timer = eventLoop.scheduleTask(deadline: deadline) { answer.fail(Failure.timedOut) }
        defer { timer.cancel() }
        return try await withTaskCancellationHandler {
            try await answer.futureResult.get()
        } onCancel: {
            answer.fail(CancellationError())
        }
    }

    /// The answer of the system's resolver.
    @Sendable package static func systemLookUp(_ host: String, port: Int) throws -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        #if canImport(Glibc)
            hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        #else
            hints.ai_socktype = SOCK_STREAM
        #endif
        var list: UnsafeMutablePointer<addrinfo>?
        let result = getaddrinfo(host, String(port), &hints, &list)
        guard result == 0 else { throw Failure.failed(String(cString: gai_strerror(result))) }
        defer { freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = list
        while let info = next {
            if let bytes = info.pointee.ai_addr {
                switch info.pointee.ai_family {
                case AF_INET:
                    addresses.append(
                        bytes.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                            SocketAddress($0.pointee, host: host)
                        }
                    )
                case AF_INET6:
                    addresses.append(
                        bytes.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                            SocketAddress($0.pointee, host: host)
                        }
                    )
                default:
                    break
                }
            }
            next = info.pointee.ai_next
        }
        return addresses
    }
}
