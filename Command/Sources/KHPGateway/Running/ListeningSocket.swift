// A bound socket, for listeners that follow each other: a reload makes another listener for it when the one before has stopped,
// and no client meets a closed port meanwhile, nor is anybody lost who waits in its queue.

import KHPProtocol
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

final class ListeningSocket: Sendable {
    /// The address as the configuration has it.
    let listen: ListenAddress
    private let descriptor: CInt
    private let use = Mutex(Use())

    private struct Use {
        /// The listeners that hold it; the last that lets go closes it.
        var users = 0
        var isOpen = true
    }

    /// A sentence.
    struct Failure: Error {
        var words: String

        init(_ listen: ListenAddress, _ reason: String) {
            self.words = "cannot listen on \(listen): \(reason)"
        }

        init(_ listen: ListenAddress, errno number: CInt) {
            self.init(listen, ListenAddress.reason(errno: number))
        }

        /// The failure of a listener at a bound socket, whose error names the socket by its descriptor.
        init(_ listen: ListenAddress, _ error: WebSocketError) {
            let reason = error.message.split(separator: ": ", maxSplits: 1).last.map(String.init) ?? error.message
            let sentence = reason.hasSuffix(".") ? String(reason.dropLast()) : reason
            self.init(listen, error.detail == .addressInUse ? "the address is in use" : sentence)
        }

        /// The failure for any error of a listener's start: the library's sentence becomes the end of one.
        init(_ error: any Error) {
            switch error {
            case let error as Failure: self = error
            case let error as WebSocketError:
                self.words = error.message.hasSuffix(".") ? String(error.message.dropLast()) : error.message
                let beginning = "The server "
                if self.words.hasPrefix(beginning) { self.words.removeFirst(beginning.count) }
            default: self.words = "\(error)"
            }
        }
    }

    /// Binds it, after a look-up of its name where it has one: that keeps no thread of Swift's waiting (threat H11).
    static func bound(
        to listen: ListenAddress,
        names: HostNames = .system,
        on eventLoop: any EventLoop
    ) async throws(Failure) -> ListeningSocket {
        guard case .host(let host, let port) = listen, (try? SocketAddress(ipAddress: host, port: port)) == nil else {
            return try ListeningSocket(listen)
        }
        let addresses = try? await names.ask(host, port: port, on: eventLoop).addresses.get()
        guard var address = addresses?.first else { throw Failure(listen, ListenAddress.unresolvable) }
        address.port = port
        return try ListeningSocket(listen, at: address)
    }

    /// Binds it. Nobody listens at it yet, and nobody holds it.
    convenience init(_ listen: ListenAddress) throws(Failure) {
        let address: SocketAddress
        do {
            address =
                switch listen {
                case .host(let host, let port): try .makeAddressResolvingHost(host, port: port)
                case .unix(let path): try .init(unixDomainSocketPath: path)
                }
        } catch {
            throw Failure(listen, ListenAddress.unresolvable)
        }
        try self.init(listen, at: address)
    }

    /// SOCK_STREAM, which glibc declares as an enumeration.
    private static var stream: CInt {
        #if canImport(Glibc)
            CInt(SOCK_STREAM.rawValue)
        #else
            SOCK_STREAM
        #endif
    }

    private init(_ listen: ListenAddress, at address: SocketAddress) throws(Failure) {
        let descriptor = socket(Self.family(address), Self.stream, 0)
        guard descriptor >= 0 else { throw Failure(listen, errno: errno) }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        var yes: CInt = 1
        _ = setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<CInt>.size))
        var number = Self.bind(descriptor, address)
        if number == EADDRINUSE, case .unix(let path) = listen {
            guard Self.isSocket(path) else {
                close(descriptor)
                throw Failure(listen, "a file that is no socket is in the way")
            }
            if Self.isLeftOver(address) {
                unlink(path)
                number = Self.bind(descriptor, address)
            }
        }
        guard number == 0 else {
            close(descriptor)
            throw Failure(listen, errno: number)
        }
        self.listen = listen
        self.descriptor = descriptor
    }

    // MARK: Holding it

    /// A descriptor of its own for a listener, which has to close it and ``letGo()``.
    func hold() throws(Failure) -> CInt {
        let copy = fcntl(self.descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw Failure(self.listen, errno: errno) }
        self.use.withLock { $0.users += 1 }
        return copy
    }

    /// Keeps it open from one listener to the next, until ``letGo()``.
    func keep() { self.use.withLock { $0.users += 1 } }

    /// A listener has closed its descriptor. With the last of them the address is free again.
    func letGo() {
        self.use.withLock { $0.users -= 1 }
        self.closeUnused()
    }

    /// Frees the address, unless a listener holds it.
    func closeUnused() {
        let isLast = self.use.withLock { use in
            guard use.users == 0, use.isOpen else { return false }
            use.isOpen = false
            return true
        }
        guard isLast else { return }
        if case .unix(let path) = self.listen { unlink(path) }
        close(self.descriptor)
    }

    // MARK: Binding

    private static func family(_ address: SocketAddress) -> CInt {
        switch address {
        case .v4: AF_INET
        case .v6: AF_INET6
        case .unixDomainSocket: AF_UNIX
        }
    }

    /// - Returns: 0, or the number of the error.
    private static func bind(_ descriptor: CInt, _ address: SocketAddress) -> CInt {
        address.withSockAddr { pointer, size in
            systemBind(descriptor, pointer, socklen_t(size)) == 0 ? 0 : errno
        }
    }

    /// A connect to any other file is refused as well, and it is not ours to remove.
    private static func isSocket(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFSOCK
    }

    /// `true` where a file is in the way that nobody listens at any more: a process that was killed leaves it behind.
    private static func isLeftOver(_ address: SocketAddress) -> Bool {
        let probe = socket(AF_UNIX, Self.stream, 0)
        guard probe >= 0 else { return false }
        defer { close(probe) }
        // A process that hangs listens all the same, and would make `connect` wait for a place in its queue.
        _ = fcntl(probe, F_SETFL, fcntl(probe, F_GETFL) | O_NONBLOCK)
        return address.withSockAddr { pointer, size in
            connect(probe, pointer, socklen_t(size)) != 0 && errno == ECONNREFUSED
        }
    }
}

extension ListenAddress {
    /// The reason for which nothing can listen, as the end of a sentence.
    package static func reason(_ error: any Error) -> String {
        switch error {
        case let error as IOError: self.reason(errno: error.errnoCode)
        case is SocketAddressError.UnknownHost, is SocketAddressError: Self.unresolvable
        case is UnixDomainSocketPathWrongType: "a file that is no socket is in the way"
        default: "\(error)"
        }
    }

    static let unresolvable = "that is no address, and no name that can be resolved"

    fileprivate static func reason(errno number: CInt) -> String {
        switch number {
        case EADDRINUSE: "the address is in use"
        case EADDRNOTAVAIL: "the address is not one of this machine"
        case EACCES: "permission denied"
        default: String(cString: strerror(number)).lowercased()
        }
    }
}

/// A static function above has the name of the system's.
private func systemBind(_ descriptor: CInt, _ address: UnsafePointer<sockaddr>, _ size: socklen_t) -> CInt {
    bind(descriptor, address, size)
}
