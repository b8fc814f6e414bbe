// The listening socket of a tunnel. A file that a listener left behind when it was killed is in nobody's way; one that
// somebody listens at is an address in use.

import KHPGateway
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

/// Accepts byte streams at one address until it is closed.
final class ByteListener: Sendable {
    /// The accepted streams, each with the address that it came from; ends with the listener.
    let streams: AsyncStream<(stream: BackendLink, peer: String)>
    /// The address with the port that it got, or the path.
    let address: TunnelAddress

    private let channel: any Channel
    private let isClosed = Atomic(false)

    private init(
        _ channel: any Channel,
        at address: TunnelAddress,
        _ streams: AsyncStream<(stream: BackendLink, peer: String)>
    ) {
        self.channel = channel
        self.address = address
        self.streams = streams
    }

    /// Binds.
    /// - Parameters:
    ///   - relay: takes the streams that are accepted.
    ///   - eventLoop: carries them all.
    /// - Throws: ``CommandFailure`` with the status for what cannot be bound.
    static func bind(
        to address: TunnelAddress,
        for relay: StreamRelay,
        on eventLoop: any EventLoop
    ) async throws(CommandFailure) -> ByteListener {
        let (streams, accepted) = AsyncStream.makeStream(of: (stream: BackendLink, peer: String).self)
        var bootstrap = ServerBootstrap(group: eventLoop)
            .serverChannelOption(.backlog, value: 1024)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let stream = try relay.accepted(channel)
                    accepted.yield((stream, channel.remoteAddress.flatMap(Self.name) ?? "a local client"))
                }
            }
        do {
            let channel: any Channel
            switch address {
            case .tcp(let host, let port):
                bootstrap = bootstrap.serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                channel = try await bootstrap.bind(host: host, port: port).get()
            case .unix(let path):
                Self.removeLeftover(path)
                channel = try await bootstrap.bind(unixDomainSocketPath: path).get()
            }
            channel.closeFuture.whenComplete { _ in accepted.finish() }
            guard case .tcp(let host, _) = address, let port = channel.localAddress?.port else {
                return ByteListener(channel, at: address, streams)
            }
            return ByteListener(channel, at: .tcp(host: host, port: port), streams)
        } catch {
            throw CommandFailure(
                .connectFailed,
                code: "connect-failed",
                "cannot listen on \(address): \(ListenAddress.reason(error))"
            )
        }
    }

    /// Accepts no more, and removes the file of a Unix socket. Does nothing the second time: by then another process may
    /// listen at the path.
    func close() {
        guard !self.isClosed.exchange(true, ordering: .relaxed) else { return }
        // While nobody else takes the file for a leftover.
        if case .unix(let path) = self.address { unlink(path) }
        self.channel.close(promise: nil)
    }

    private static func name(_ address: SocketAddress) -> String? {
        guard let host = address.ipAddress, let port = address.port else { return nil }
        return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// Removes the file of a socket at which nobody listens any more.
    private static func removeLeftover(_ path: String) {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return }
        guard let address = try? SocketAddress(unixDomainSocketPath: path) else { return }
        #if canImport(Glibc)
            let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        #else
            let descriptor = socket(AF_UNIX, SOCK_STREAM, 0)
        #endif
        guard descriptor >= 0 else { return }
        defer { closeDescriptor(descriptor) }
        let isRefused = address.withSockAddr { pointer, size in
            connect(descriptor, pointer, socklen_t(size)) != 0 && errno == ECONNREFUSED
        }
        if isRefused { unlink(path) }
    }
}

/// Closes it: within the class the name is another's.
private func closeDescriptor(_ descriptor: Int32) { _ = close(descriptor) }
