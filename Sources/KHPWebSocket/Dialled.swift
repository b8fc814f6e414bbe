// A connection over TCP on which no byte has been sent yet: several are dialled at once where a host has several addresses,
// and only the one that is taken is used.

package import KHPProtocol
package import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

package struct Dialled: Sendable {
    package let channel: any Channel
    /// The handler that keeps the peer's bytes until the connection is taken.
    private let holder: NIOLoopBoundBox<HoldingHandler?>

    init(channel: any Channel, holder: NIOLoopBoundBox<HoldingHandler?>) {
        self.channel = channel
        self.holder = holder
    }

    /// A connection that was not dialled, such as one in memory. Called on its event loop before it is up.
    package init(taking channel: any Channel) throws {
        let holder = HoldingHandler()
        try channel.pipeline.syncOperations.addHandler(holder)
        self.init(channel: channel, holder: NIOLoopBoundBox(holder, eventLoop: channel.eventLoop))
    }

    /// Puts the connection's handler in place, behind TLS where `tls` is given.
    /// - Returns: the handler.
    package func take(
        tls: ClientTLS?,
        tap: Dialer.Tap?,
        makeHandler: @escaping @Sendable (any Channel) throws -> ConnectionHandler
    ) async throws -> NIOLoopBound<ConnectionHandler> {
        try await self.take(tls, named: Dialer.tlsName, tap) { try makeHandler(self.channel) }
    }

    /// Asks the proxy that this connection goes to for `tunnel`, behind TLS to it where `tls` is given.
    package func tunnel(
        _ tunnel: Tunnel,
        through proxy: Proxy,
        tls: ClientTLS?,
        deadline: NIODeadline,
        tap: Dialer.Tap?
    ) async throws -> ProxyConnection {
        let (steps, continuation) = AsyncStream.makeStream(of: TunnelHandler.Step.self)
        let handler = try await self.take(tls, named: nil, tap) {
            TunnelHandler(tunnel: tunnel, proxy: proxy, deadline: deadline, steps: continuation)
        }
        return ProxyConnection(channel: self.channel, handler: handler, steps: steps)
    }

    /// - Parameter make: makes the last handler of the pipeline.
    private func take<Handler: ChannelHandler & SendableMetatype>(
        _ tls: ClientTLS?,
        named name: String?,
        _ tap: Dialer.Tap?,
        _ make: @escaping @Sendable () throws -> Handler
    ) async throws -> NIOLoopBound<Handler> {
        try await self.channel.eventLoop.submit {
            let pipeline = self.channel.pipeline.syncOperations
            guard let holder = self.holder.value else {
                assertionFailure("a connection is taken twice")
                throw IOError(errnoCode: ECONNRESET, reason: "the peer left")
            }
            try holder.check()
            if let tap {
                // The tap gets the event that the connection is up; the other handlers check that themselves.
                try pipeline.addHandler(tap(self.channel), name: Dialer.tapName)
                try pipeline.context(handler: holder).fireChannelActive()
            }
            if let tls {
                try tls.add(to: pipeline, name: name, after: holder)
                // TLS writes as soon as it is added, and may have found that the peer has left.
                try holder.check()
            }
            // Not before: a handler outside of the pipeline would get no event of its end, and keep its channel.
            let handler = try make()
            try pipeline.addHandler(handler)
            holder.leave(pipeline)
            self.holder.value = nil
            return NIOLoopBound(handler, eventLoop: self.channel.eventLoop)
        }.get()
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
        try await self.channel.eventLoop.submit { self.handler.value.answer(authorization, deadline: deadline) }.get()
    }

    /// As ``TunnelHandler/enter(tls:makeHandler:)``.
    package func enter(
        tls: ClientTLS?,
        makeHandler: @escaping @Sendable (any Channel) throws -> ConnectionHandler
    ) async throws -> NIOLoopBound<ConnectionHandler> {
        try await self.channel.eventLoop.submit {
            let handler = try self.handler.value.enter(tls: tls, makeHandler: makeHandler)
            return NIOLoopBound(handler, eventLoop: self.channel.eventLoop)
        }.get()
    }
}

/// Keeps the bytes of a peer, or the error of its end, until the connection is taken. It reads only bytes that come with the
/// end of a stream, which the receive buffer bounds.
final class HoldingHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private var context: ChannelHandlerContext?
    private var held = ByteBuffer()
    private var inputHasEnded = false
    private var failure: (any Error)?

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    /// Does nothing: ``leave(_:)`` reports that the connection is up.
    func channelActive(context: ChannelHandlerContext) {}

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = self.unwrapInboundIn(data)
        self.held.writeBuffer(&bytes)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed { return self.inputHasEnded = true }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.failure = self.failure ?? error
    }

    /// - Throws: the error that ended the connection, if it has ended.
    func check() throws {
        guard self.context?.channel.isActive != true else { return }
        throw self.failure ?? IOError(errnoCode: ECONNRESET, reason: "the peer left")
    }

    /// Passes on the bytes and events that were held, lets the connection read, and leaves the pipeline.
    func leave(_ pipeline: ChannelPipeline.SynchronousOperations) {
        guard let context else { return }
        let (held, inputHasEnded) = (self.held, self.inputHasEnded)
        self.held = ByteBuffer()
        if held.readableBytes > 0 {
            context.fireChannelRead(self.wrapInboundOut(held))
            context.fireChannelReadComplete()
        }
        if inputHasEnded { context.fireUserInboundEventTriggered(ChannelEvent.inputClosed) }
        try? context.channel.syncOptions?.setOption(.autoRead, value: true)
        pipeline.removeHandler(self, promise: nil)
    }
}
