// Connects to a backend: TCP, TLS or a Unix domain socket, with the PROXY header before all else.

import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

struct BackendConnector: Sendable {
    let backend: GatewayConfiguration.Backend
    let proxyHeader: GatewayConfiguration.Pool.ProxyHeader
    /// Set for `tls` and `wss`.
    let tls: NIOSSLContext?
    /// Sent as SNI and verified; `nil` takes the backend's host.
    let serverName: String?

    /// The bytes that the system keeps of a backend that is not read: bounded, and enough for a gateway next to its brokers.
    private static let receiveBuffer = 256 * 1024

    /// - Throws: ``ConnectFailure``.
    func connect(_ call: BackendCall, within limit: TimeAmount) async throws(ConnectFailure) -> BackendLink {
        let url = self.backend.url
        return try await self.connect(call, within: limit) {
            BackendStream(call.rules)
        } made: { stream, channel in
            BackendLink(stream, to: url, closed: channel.closeFuture)
        }
    }

    /// Connects, and puts a handler that is made for it behind TLS.
    func connect<Handler: ChannelInboundHandler, Made: Sendable>(
        _ call: BackendCall,
        within limit: TimeAmount,
        handler: @escaping @Sendable () -> Handler,
        made: @escaping @Sendable (Handler, any Channel) -> Made
    ) async throws(ConnectFailure) -> Made {
        let promise = call.eventLoop.makePromise(of: Made.self)
        let settled = NIOLoopBoundBox.makeBoxSendingValue(false, eventLoop: call.eventLoop)
        let late = call.eventLoop.scheduleTask(in: limit) {
            settled.value = true
            promise.fail(ConnectFailure(.timeout, "it did not answer in time"))
        }
        self.dial(call, within: limit, handler).whenComplete { result in
            late.cancel()
            if settled.value {
                // Nobody waits for it any more.
                if case .success(let channel) = result { channel.close(promise: nil) }
                return
            }
            promise.completeWith(
                result.flatMap { channel in
                    Result { made(try channel.pipeline.syncOperations.handler(type: Handler.self), channel) }
                }
            )
        }
        do {
            return try await promise.futureResult.get()
        } catch {
            throw ConnectFailure(error)
        }
    }

    private func dial<Handler: ChannelInboundHandler>(
        _ call: BackendCall,
        within limit: TimeAmount,
        _ handler: @escaping @Sendable () -> Handler
    ) -> EventLoopFuture<any Channel> {
        let bootstrap = self.bootstrap(call, within: limit).channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                let pipeline = channel.pipeline.syncOperations
                if self.proxyHeader != .off {
                    try pipeline.addHandler(HeaderFirst(call, self.proxyHeader))
                }
                if let tls { try pipeline.addHandler(try self.tlsHandler(tls)) }
                try pipeline.addHandler(BackendReadiness(channel.eventLoop, waitsForTLS: self.tls != nil))
                try pipeline.addHandler(handler())
            }
        }
        let connected: EventLoopFuture<any Channel>
        switch self.backend.scheme {
        case .unix: connected = bootstrap.connect(unixDomainSocketPath: self.backend.path)
        case .tcp, .tls, .ws, .wss: connected = bootstrap.connect(host: self.backend.host, port: self.backend.port)
        }
        // Several addresses may have been tried at once: the handler is that of the channel that connected first.
        return connected.flatMap { channel in
            do {
                let readiness = try channel.pipeline.syncOperations.handler(type: BackendReadiness.self)
                return readiness.ready.map { channel }
            } catch {
                return channel.eventLoop.makeFailedFuture(error)
            }
        }
    }

    private func tlsHandler(_ tls: NIOSSLContext) throws -> NIOSSLClientHandler {
        let name = self.serverName ?? self.backend.host
        // An address is no name of a server (RFC 6066 section 3).
        let isAddress = (try? SocketAddress(ipAddress: name, port: 0)) != nil
        return try NIOSSLClientHandler(context: tls, serverHostname: isAddress ? nil : name)
    }

    private func bootstrap(_ call: BackendCall, within limit: TimeAmount) -> ClientBootstrap {
        let high = call.rules.buffer
        let bootstrap = ClientBootstrap(group: call.eventLoop)
            .connectTimeout(limit)
            .channelOption(.allowRemoteHalfClosure, value: true)
            // Read on demand: TLS alone has to read before anybody asks.
            .channelOption(.autoRead, value: self.tls != nil)
            .channelOption(.maxMessagesPerRead, value: 2)
            .channelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: 2048, maximum: OutgoingFrames.most)
            )
            .channelOption(.writeBufferWaterMark, value: .init(low: max(high / 2, 1), high: high))
        if self.backend.scheme == .unix { return bootstrap }
        return
            bootstrap
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.socketOption(.so_rcvbuf), value: .init(Self.receiveBuffer))
            .noticingVanishedBackends(stalled: TimeAmount(call.rules.stalled))
    }
}

extension ClientBootstrap {
    /// TCP's own way to notice a peer that has vanished: probes after a minute of silence, and an end where written bytes are
    /// not acknowledged. It knows of bytes that the relay has handed on; where the relay waits too, the relay is to be first,
    /// as it knows the reason.
    fileprivate func noticingVanishedBackends(stalled: TimeAmount) -> ClientBootstrap {
        var bootstrap = self.channelOption(.socketOption(.so_keepalive), value: 1)
        func tcp(_ name: CInt, _ value: Int) {
            bootstrap = bootstrap.channelOption(.tcpOption(.init(rawValue: name)), value: .init(value))
        }
        #if os(Linux)
            tcp(TCP_KEEPIDLE, 60)
            // In milliseconds.
            tcp(TCP_USER_TIMEOUT, Int(clamping: max(stalled.nanoseconds / 1_000_000 / 2 * 3, 1000)))
        #elseif canImport(Darwin)
            tcp(TCP_KEEPALIVE, 60)
        #endif
        tcp(TCP_KEEPINTVL, 10)
        tcp(TCP_KEEPCNT, 3)
        return bootstrap
    }
}

/// Sends the PROXY header in one write as soon as the connection is there, before TLS.
private final class HeaderFirst: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let call: BackendCall
    private let version: GatewayConfiguration.Pool.ProxyHeader

    init(_ call: BackendCall, _ version: GatewayConfiguration.Pool.ProxyHeader) {
        self.call = call
        self.version = version
    }

    func channelActive(context: ChannelHandlerContext) {
        let channel = context.channel
        if let header = self.call.header(self.version, from: channel.localAddress, to: channel.remoteAddress) {
            context.writeAndFlush(self.wrapOutboundOut(header), promise: nil)
        }
        context.fireChannelActive()
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }
}

/// Tells that the backend can be used: it is connected, and TLS has succeeded.
private final class BackendReadiness: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private let promise: EventLoopPromise<Void>
    private var isSettled = false
    private let waitsForTLS: Bool

    init(_ eventLoop: any EventLoop, waitsForTLS: Bool) {
        self.promise = eventLoop.makePromise()
        self.waitsForTLS = waitsForTLS
    }

    var ready: EventLoopFuture<Void> { self.promise.futureResult }

    private func settle(_ result: Result<Void, any Error>, _ context: ChannelHandlerContext) {
        guard !self.isSettled else { return }
        self.isSettled = true
        if case .success = result, self.waitsForTLS {
            // From here on it is read on demand.
            try? context.channel.syncOptions?.setOption(.autoRead, value: false)
        }
        self.promise.completeWith(result)
    }

    func channelActive(context: ChannelHandlerContext) {
        if !self.waitsForTLS { self.settle(.success(()), context) }
        context.fireChannelActive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent { self.settle(.success(()), context) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.settle(.failure(error), context)
        context.fireErrorCaught(error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.settle(.failure(ConnectFailure(.reset, "the connection ended")), context)
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.settle(.failure(ConnectFailure(.reset, "the connection ended")), context)
    }
}
