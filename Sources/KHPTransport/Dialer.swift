// Outgoing connections: TCP, TLS, and the one handler.

package import KHPProtocol
package import NIOCore
import NIOPosix
package import NIOSSL

package enum Dialer {
    /// Connects to one address and puts `makeHandler`'s handler in place, behind TLS where `tls` is given.
    package static func connect(
        to address: SocketAddress,
        tls: (context: NIOSSLContext, host: String)?,
        deadline: NIODeadline,
        limits: Limits,
        on eventLoop: any EventLoop,
        makeHandler: @escaping @Sendable (any Channel) throws -> ConnectionHandler
    ) async throws -> any Channel {
        let remaining = max(.milliseconds(1), deadline - .now())
        return try await ClientBootstrap(group: eventLoop)
            .connectTimeout(remaining)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(
                .writeBufferWaterMark,
                value: .init(low: limits.sendBufferLowMark, high: limits.sendBufferHighMark)
            )
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        // R-T1. SNI carries names only; an address is verified against the certificate's addresses.
                        let isAddress = (try? SocketAddress(ipAddress: tls.host, port: 0)) != nil
                        let handler = try NIOSSLClientHandler(
                            context: tls.context,
                            serverHostname: isAddress ? nil : tls.host
                        )
                        try channel.pipeline.syncOperations.addHandler(handler)
                    }
                    try channel.pipeline.syncOperations.addHandler(makeHandler(channel))
                }
            }
            .connect(to: address)
            .get()
    }
}
