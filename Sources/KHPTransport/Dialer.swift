// Outgoing connections: TCP to the server with TLS where it is wss, or to a proxy for a tunnel; and the one handler.

package import KHPProtocol
package import NIOCore
import NIOPosix
package import NIOSSL
import Synchronization

package enum Dialer {
    /// What TLS to the server is called in a pipeline, where TLS to a proxy may stand before it.
    static let tlsName = "tls"
    /// What a tap is called there.
    static let tapName = "tap"

    /// Makes what watches the bytes of a connection as they are above TLS; `nil` where nobody does.
    package typealias Tap = @Sendable (any Channel) -> (any ChannelHandler & RemovableChannelHandler)

    /// Connects to one address and puts `makeHandler`'s handler in place, behind TLS where `tls` is given.
    package static func connect(
        to address: SocketAddress,
        tls: (context: NIOSSLContext, host: String)?,
        deadline: NIODeadline,
        limits: Limits,
        tap: Tap?,
        on eventLoop: any EventLoop,
        makeHandler: @escaping @Sendable (any Channel) throws -> ConnectionHandler
    ) async throws -> any Channel {
        try await self.connect(self.bootstrap(deadline, limits, eventLoop), to: address) { channel in
            if let tls {
                try channel.pipeline.syncOperations.addHandler(self.tlsHandler(tls), name: self.tlsName)
            }
            try self.add(tap, to: channel)
            try channel.pipeline.syncOperations.addHandler(makeHandler(channel))
        }
    }

    /// A connection to a proxy, and the steps of the tunnel through it.
    package struct ProxyConnection: Sendable {
        package let channel: any Channel
        package let steps: AsyncStream<TunnelHandler.Step>
        private let handler: NIOLoopBound<TunnelHandler>

        fileprivate init(
            channel: any Channel,
            handler: NIOLoopBound<TunnelHandler>,
            steps: AsyncStream<TunnelHandler.Step>
        ) {
            self.channel = channel
            self.handler = handler
            self.steps = steps
        }

        /// As ``TunnelHandler/answer(_:deadline:)``.
        package func answer(_ authorization: String, deadline: NIODeadline) async throws -> Bool {
            try await self.channel.eventLoop.submit { self.handler.value.answer(authorization, deadline: deadline) }
                .get()
        }

        /// As ``TunnelHandler/enter(tls:makeHandler:)``.
        package func enter(
            tls: (context: NIOSSLContext, host: String)?,
            makeHandler: @escaping @Sendable (any Channel) throws -> ConnectionHandler
        ) async throws {
            try await self.channel.eventLoop.submit {
                try self.handler.value.enter(tls: tls, makeHandler: makeHandler)
            }.get()
        }
    }

    /// Connects to one address of a proxy and asks it for `tunnel`, behind TLS where `tls` is given.
    package static func connect(
        to address: SocketAddress,
        of proxy: Proxy,
        tls: (context: NIOSSLContext, host: String)?,
        tunnel: Tunnel,
        deadline: NIODeadline,
        limits: Limits,
        tap: Tap?,
        on eventLoop: any EventLoop
    ) async throws -> ProxyConnection {
        let (steps, continuation) = AsyncStream.makeStream(of: TunnelHandler.Step.self)
        let handler = try await eventLoop.submit {
            NIOLoopBound(
                TunnelHandler(tunnel: tunnel, proxy: proxy, deadline: deadline, steps: continuation),
                eventLoop: eventLoop
            )
        }.get()
        let channel = try await self.connect(self.bootstrap(deadline, limits, eventLoop), to: address) { channel in
            if let tls { try channel.pipeline.syncOperations.addHandler(self.tlsHandler(tls)) }
            try self.add(tap, to: channel)
            try channel.pipeline.syncOperations.addHandler(handler.value)
        }
        return ProxyConnection(channel: channel, handler: handler, steps: steps)
    }

    /// Connects; a task that is cancelled does not wait for a peer that answers nothing (threat H7).
    private static func connect(
        _ bootstrap: ClientBootstrap,
        to address: SocketAddress,
        _ initialize: @escaping @Sendable (any Channel) throws -> Void
    ) async throws -> any Channel {
        let dialled = DialledChannel()
        return try await withTaskCancellationHandler {
            try await bootstrap.channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try dialled.set(channel)
                    try initialize(channel)
                }
            }
            .connect(to: address)
            .get()
        } onCancel: {
            dialled.cancel()
        }
    }

    private static func add(_ tap: Tap?, to channel: any Channel) throws {
        if let tap { try channel.pipeline.syncOperations.addHandler(tap(channel), name: self.tapName) }
    }

    private static func bootstrap(
        _ deadline: NIODeadline,
        _ limits: Limits,
        _ eventLoop: any EventLoop
    ) -> ClientBootstrap {
        ClientBootstrap(group: eventLoop)
            .connectTimeout(max(.milliseconds(1), deadline - .now()))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(
                .writeBufferWaterMark,
                value: .init(low: limits.sendBufferLowMark, high: limits.sendBufferHighMark)
            )
    }

    /// R-T1. SNI carries names only; an address is verified against the certificate's addresses.
    static func tlsHandler(_ tls: (context: NIOSSLContext, host: String)) throws -> NIOSSLClientHandler {
        let isAddress = (try? SocketAddress(ipAddress: tls.host, port: 0)) != nil
        return try NIOSSLClientHandler(context: tls.context, serverHostname: isAddress ? nil : tls.host)
    }
}

/// The channel that is being connected, for whoever gives it up meanwhile.
private final class DialledChannel: Sendable {
    private let state = Mutex<(channel: (any Channel)?, isCancelled: Bool)>((nil, false))

    func set(_ channel: any Channel) throws {
        let isCancelled = self.state.withLock { state in
            state.channel = channel
            return state.isCancelled
        }
        if isCancelled { throw CancellationError() }
    }

    func cancel() {
        let channel = self.state.withLock { state in
            state.isCancelled = true
            return state.channel
        }
        channel?.close(promise: nil)
    }
}
