// The first handler of a connection to a proxy: drives the tunnel's machine, and once the tunnel stands makes way for
// what goes through it: TLS to the server where it is wss, and the one handler of the connection.
//
// States × events, beside the end of the machine, which makes each of the first three over:
//                bytes            end or error of the stream   the deadline     answer()          enter()
//   connecting   to the machine   unreached                    unreached        false             throws
//   asking       to the machine   to the machine               to the machine   false             throws
//   challenged   to the machine   to the machine               none is set      asking; or false  throws
//   established  held             an end is passed on          none is set      false             makes way; or throws
//   over         left alone       left alone                   none is set      false             throws

package import KHPProtocol
package import NIOCore
import NIOTLS

package final class TunnelHandler: ChannelInboundHandler, RemovableChannelHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// A decision that the dialling side has to take.
    package enum Step: Sendable {
        /// A 407: ``answer(_:deadline:)`` where the connection stays open, otherwise through a fresh one.
        case challenge(HandshakeResponse, staysOpen: Bool)
        /// The tunnel stands, and nothing is read until ``enter(tls:makeHandler:)``. The head is an HTTP proxy's.
        case established(ResponseHead?)
        /// The kept connection was closed before the proxy answered: the same once more through a fresh one.
        case retry
        /// The connection was lost before the proxy could be asked: TLS to it did not come up.
        case unreached(WebSocketError)
        case failed(WebSocketError)
    }

    private enum State {
        case connecting
        case asking
        case challenged
        case established
        case over
    }

    private var tunnel: Tunnel
    private let proxy: Proxy
    private var deadline: NIODeadline
    private let steps: AsyncStream<Step>.Continuation
    private var state = State.connecting
    private var timer: Scheduled<Void>?
    private var context: ChannelHandlerContext?
    /// Bytes that came through the tunnel before anyone could take them: those after the proxy's answer, and at most
    /// what one turn of reading brings (threat A17).
    private var held = ByteBuffer()
    private var inputHasEnded = false

    /// - Parameter deadline: when the proxy must have opened the tunnel, TLS to it included.
    package init(
        tunnel: Tunnel,
        proxy: Proxy,
        deadline: NIODeadline,
        steps: AsyncStream<Step>.Continuation
    ) {
        self.tunnel = tunnel
        self.proxy = proxy
        self.deadline = deadline
        self.steps = steps
    }

    // MARK: Channel events

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        self.setTimer(self.deadline, context)
        if context.channel.isActive, self.proxy.kind != .https { self.start(context) }
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        self.timer?.cancel()
        self.context = nil
        self.steps.finish()
    }

    package func channelActive(context: ChannelHandlerContext) {
        if self.proxy.kind != .https { self.start(context) }
        context.fireChannelActive()
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = self.unwrapInboundIn(data)
        switch self.state {
        case .connecting, .asking, .challenged:
            let awaitedContent = self.tunnel.awaitsContent
            self.perform(self.tunnel.receive(bytes), context)
            // D28: the wait begins with the head, and no byte of the content extends it.
            if self.state == .asking, self.tunnel.awaitsContent, !awaitedContent {
                self.setTimer(min(self.deadline, .now() + Limits.Fixed.contentWait), context)
            }
        case .established: self.held.writeBuffer(&bytes)
        case .over: break
        }
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case let event as TLSUserEvent:
            if case .handshakeCompleted = event, self.state == .connecting { self.start(context) }
        case let event as ChannelEvent where event == .inputClosed:
            self.inputHasEnded = true
            if self.state != .established { self.perform(self.tunnel.inputEnded(), context) }
        default:
            break
        }
    }

    package func channelInactive(context: ChannelHandlerContext) {
        self.inputHasEnded = true
        if self.state != .established { self.perform(self.tunnel.inputEnded(), context) }
        self.steps.finish()
        context.fireChannelInactive()
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if self.state != .established {
            switch self.tunnel.inputEnded() {
            case .failed: self.perform(.failed(self.describe(error)), context)
            case let action: self.perform(action, context)
            }
        }
        context.close(promise: nil)
    }

    private func start(_ context: ChannelHandlerContext) {
        self.state = .asking
        self.perform(self.tunnel.start(), context)
    }

    // MARK: The machine

    private func perform(_ action: TunnelAction, _ context: ChannelHandlerContext) {
        guard self.state != .over else { return }
        switch action {
        case .wait:
            break
        case .send(let bytes):
            context.writeAndFlush(self.wrapOutboundOut(bytes), promise: nil)
        case .challenge(let response, let staysOpen):
            // No time passes while the caller looks for credentials.
            self.timer?.cancel()
            self.state = .challenged
            self.steps.yield(.challenge(response, staysOpen: staysOpen))
        case .established(let bytes, let head):
            self.timer?.cancel()
            self.state = .established
            self.held = bytes
            self.setReading(false, context)
            self.steps.yield(.established(head))
        case .retry:
            self.end(.retry, context)
        case .failed(let error):
            self.end(self.state == .connecting ? .unreached(error) : .failed(error), context)
        }
    }

    private func end(_ step: Step, _ context: ChannelHandlerContext) {
        self.timer?.cancel()
        self.state = .over
        self.steps.yield(step)
        self.steps.finish()
        context.close(promise: nil)
    }

    private func setTimer(_ deadline: NIODeadline, _ context: ChannelHandlerContext) {
        self.timer?.cancel()
        self.timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) {
            guard let context = self.context else { return }
            self.perform(self.tunnel.timeReached(), context)
        }
    }

    private func setReading(_ isReading: Bool, _ context: ChannelHandlerContext) {
        try? context.channel.syncOptions?.setOption(.autoRead, value: isReading)
    }

    private func describe(_ error: any Error) -> WebSocketError {
        let inHandshake = self.proxy.kind == .https && self.state == .connecting
        var failure = TransportFailure.describe(error, inHandshake: inHandshake)
        let words = failure.message.replacing("the server's", with: "the proxy's")
        let end = words.prefix(1).lowercased() + words.dropFirst()
        failure.message = "No tunnel through the proxy \(self.proxy): \(end)"
        if words.hasPrefix("TLS") {
            failure.message = "No tunnel through the proxy \(self.proxy): \(words)"
        }
        failure.phase = .connect
        failure.detail =
            switch failure.detail {
            case .untrustedCertificate?: .untrustedProxyCertificate
            case .outdatedCertificate?, .wrongHost?: failure.detail
            default: .throughProxy
            }
        return failure
    }

    // MARK: Answers

    /// Asks for the tunnel again on the same connection.
    /// - Returns: false where that is of no use any more, and a fresh one is needed.
    package func answer(_ authorization: String, deadline: NIODeadline) -> Bool {
        guard let context, context.channel.isActive, let action = self.tunnel.answer(authorization) else {
            return false
        }
        self.state = .asking
        self.deadline = deadline
        self.setTimer(deadline, context)
        self.perform(action, context)
        return true
    }

    private var closedAtOnce: WebSocketError {
        WebSocketError(
            .connectFailed,
            "The proxy \(self.proxy) closed the tunnel at once.",
            detail: .throughProxy,
            phase: .connect
        )
    }

    /// Puts TLS to the server and the connection's handler in place, gives them what has come through, and leaves.
    package func enter(
        tls: ClientTLS?,
        makeHandler: (any Channel) throws -> ConnectionHandler
    ) throws -> ConnectionHandler {
        guard let context, self.state == .established, context.channel.isActive else {
            throw self.closedAtOnce
        }
        let pipeline = context.pipeline.syncOperations
        // Behind this handler: TLS starts, and the opening request goes out, when they are added.
        if let tls {
            try tls.add(to: pipeline, name: Dialer.tlsName, after: self)
            // TLS speaks as soon as it is there, and may have found the proxy gone.
            guard context.channel.isActive else { throw self.closedAtOnce }
            try self.moveTap(pipeline)
        }
        // Not before: one that is made and gets no place would never be told of its end, and keep its channel.
        let handler = try makeHandler(context.channel)
        try pipeline.addHandler(handler)
        let (held, inputHasEnded) = (self.held, self.inputHasEnded)
        self.held = ByteBuffer()
        if held.readableBytes > 0 {
            context.fireChannelRead(self.wrapInboundOut(held))
            context.fireChannelReadComplete()
        }
        if inputHasEnded { context.fireUserInboundEventTriggered(ChannelEvent.inputClosed) }
        self.setReading(true, context)
        pipeline.removeHandler(self, promise: nil)
        return handler
    }

    /// The handler that watches the connection stays above TLS.
    private func moveTap(_ pipeline: ChannelPipeline.SynchronousOperations) throws {
        guard let context = try? pipeline.context(name: Dialer.tapName),
            let tap = context.handler as? any ChannelHandler & RemovableChannelHandler
        else { return }
        // Done at once: a handler that is asked on its event loop leaves without waiting.
        pipeline.removeHandler(context: context, promise: nil)
        try pipeline.addHandler(tap, name: Dialer.tapName)
    }
}
