// Connects to a backend: TCP, TLS or a Unix domain socket, with the PROXY header before all else.

import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS

struct BackendConnector: Sendable {
    let backend: GatewayConfiguration.Backend
    var proxyHeader: GatewayConfiguration.Pool.ProxyHeader
    /// Set for `tls` and `wss`.
    let tls: NIOSSLContext?
    /// Sent as SNI and verified; `nil` takes the backend's host.
    let serverName: String?
    var names = HostNames.system

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
        let progress = NIOLoopBoundBox.makeBoxSendingValue(Progress(), eventLoop: call.eventLoop)
        let late = call.eventLoop.scheduleTask(in: limit) {
            progress.value.isOver = true
            promise.fail(self.failure(ConnectFailure(.timeout, "it did not answer in time"), progress.value))
            // A backend may take the connection and say nothing in TLS, for ever.
            progress.value.connected?.close(promise: nil)
        }
        self.dial(call, within: limit, progress, handler).whenComplete { result in
            late.cancel()
            if progress.value.isOver {
                // The caller has given the connect up.
                if case .success(let channel) = result { channel.close(promise: nil) }
                return
            }
            let outcome: Result<Made, any Error> = result.flatMap { channel in
                Result { made(try channel.pipeline.syncOperations.handler(type: Handler.self), channel) }
            }
            promise.completeWith(outcome.mapError { error -> any Error in self.failure(error, progress.value) })
        }
        do {
            return try await promise.futureResult.get()
        } catch {
            throw ConnectFailure(error)
        }
    }

    /// How far a connect is.
    private struct Progress {
        /// Its time is over: nobody waits for it any more.
        var isOver = false
        /// It is connected, and TLS may be under way.
        var connected: (any Channel)?
    }

    /// A failure, with the part that a client may have in it: the header that names it goes out as soon as TCP is there, and
    /// a backend may refuse the one whom it names before TLS has begun.
    private func failure(_ error: any Error, _ progress: Progress) -> ConnectFailure {
        var failure = ConnectFailure(error)
        if self.proxyHeader != .off, progress.connected != nil { failure.mayBeOfClient = true }
        return failure
    }

    private func dial<Handler: ChannelInboundHandler>(
        _ call: BackendCall,
        within limit: TimeAmount,
        _ progress: NIOLoopBoundBox<Progress>,
        _ handler: @escaping @Sendable () -> Handler
    ) -> EventLoopFuture<any Channel> {
        let bootstrap = ClientBootstrap(group: call.eventLoop).connectTimeout(limit).channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                // Read on demand: TLS alone has to read before anybody asks.
                try StreamOptions.set(
                    on: channel,
                    call.rules,
                    isTCP: self.backend.scheme != .unix,
                    readsAtOnce: self.tls != nil
                )
                let pipeline = channel.pipeline.syncOperations
                if self.proxyHeader != .off {
                    try pipeline.addHandler(ProxyHeaderWriter(call, self.proxyHeader))
                }
                if let tls { try pipeline.addHandler(try self.tlsHandler(tls)) }
                try pipeline.addHandler(BackendReadiness(channel.eventLoop, waitsForTLS: self.tls != nil))
                try pipeline.addHandler(handler())
            }
        }
        // Several addresses may have been tried at once: the handler is that of the channel that connected first.
        return self.connected(by: bootstrap, call).flatMap { channel in
            progress.value.connected = channel
            if progress.value.isOver { channel.close(promise: nil) }
            do {
                let readiness = try channel.pipeline.syncOperations.handler(type: BackendReadiness.self)
                return readiness.ready.map { channel }
            } catch {
                return channel.eventLoop.makeFailedFuture(error)
            }
        }
    }

    private func connected(by bootstrap: ClientBootstrap, _ call: BackendCall) -> EventLoopFuture<any Channel> {
        if self.backend.scheme == .unix { return bootstrap.connect(unixDomainSocketPath: self.backend.path) }
        return bootstrap.connect(
            toHost: self.backend.host,
            port: self.backend.port,
            by: self.names,
            on: call.eventLoop
        )
    }

    private func tlsHandler(_ tls: NIOSSLContext) throws -> NIOSSLClientHandler {
        let name = self.serverName ?? self.backend.host
        // An address is no name of a server (RFC 6066 section 3).
        let isAddress = (try? SocketAddress(ipAddress: name, port: 0)) != nil
        return try NIOSSLClientHandler(context: tls, serverHostname: isAddress ? nil : name)
    }
}

/// Sends the PROXY header in one write as soon as the connection is there, before TLS.
private final class ProxyHeaderWriter: ChannelInboundHandler, RemovableChannelHandler {
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
