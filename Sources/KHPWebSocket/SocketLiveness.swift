// TCP's own way to notice a peer that has vanished: where nothing is read, because the application does not keep up, and
// nothing is written, pings cannot.

import KHPProtocol
package import NIOCore
package import NIOPosix

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

/// The options of every TCP socket of both roles: to probe a silent peer, and to give up on one that acknowledges
/// nothing.
package struct SocketLiveness: Sendable {
    /// The options with their values, for `setsockopt`.
    package let options: [(option: ChannelOptions.Types.SocketOption, value: Int)]

    package init(stalledWrite: Duration) {
        typealias Fixed = Limits.Fixed
        var options: [(ChannelOptions.Types.SocketOption, Int)] = [(.socketOption(.so_keepalive), 1)]
        func tcp(_ name: CInt, _ value: Int) {
            options.append((.tcpOption(.init(rawValue: name)), value))
        }
        #if os(Linux)
            tcp(TCP_KEEPIDLE, Fixed.keepAliveIdleSeconds)
            // A peer that takes nothing for as long as a stalled write may is slow; the kernel does not judge earlier.
            let unacknowledged = Fixed.keepAliveIdleSeconds + Fixed.keepAliveProbes * Fixed.keepAliveIntervalSeconds
            let stalled = Int(TimeAmount(stalledWrite).nanoseconds / 1_000_000)
            // The kernel counts in 31 bits.
            tcp(TCP_USER_TIMEOUT, min(max(unacknowledged * 1000, stalled * 2), Int(Int32.max)))
        #elseif canImport(Darwin)
            tcp(TCP_KEEPALIVE, Fixed.keepAliveIdleSeconds)
        #endif
        tcp(TCP_KEEPINTVL, Fixed.keepAliveIntervalSeconds)
        tcp(TCP_KEEPCNT, Fixed.keepAliveProbes)
        self.options = options
    }
}

extension ClientBootstrap {
    /// Sets the options that notice a vanished peer. For TCP alone: other sockets do not have them.
    package func noticingVanishedPeers(_ liveness: SocketLiveness) -> ClientBootstrap {
        liveness.options.reduce(self) { $0.channelOption($1.option, value: $1.value) }
    }
}

extension ServerBootstrap {
    /// Sets the options that notice a vanished peer on a listening socket, whose accepted sockets inherit them.
    package func noticingVanishedPeers(_ liveness: SocketLiveness) -> ServerBootstrap {
        liveness.options.reduce(self) { $0.serverChannelOption($1.option, value: $1.value) }
    }
}
