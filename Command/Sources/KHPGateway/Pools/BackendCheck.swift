// The active check of a backend: a connection as a client's would be made, and the first words of its protocol where the
// configuration has some; of a backend of WebSocket, the opening handshake. It must not harm the broker: it names the gateway
// where a PROXY header is wanted, and ends in order.

import NIOCore
import NIOSSL
import NIOTLS

/// Checks the backends of a pool, each at its own pace.
struct BackendChecks: Sendable {
    let pool: BackendPool
    let eventLoop: any EventLoop

    /// Checks until the task is cancelled.
    func run() async {
        guard let rule = self.pool.rules.check else { return }
        await withTaskGroup(of: Void.self) { tasks in
            for member in self.pool.members {
                tasks.addTask {
                    while !Task.isCancelled {
                        self.pool.checked(member, await self.check(member, rule))
                        // All gateways were perhaps started at once.
                        let jitter = Double.random(in: 0.8...1.2)
                        try? await Task.sleep(for: rule.every * jitter)
                    }
                }
            }
        }
    }

    /// - Returns: `nil` where the backend is well.
    func check(_ member: PoolMember, _ rule: GatewayConfiguration.Check) async -> ConnectFailure? {
        var connector = self.pool.connector(member)
        if rule.proxyHeader == .off { connector = connector.with(proxyHeader: .off) }
        var call = BackendCall(on: self.eventLoop)
        call.isLocal = rule.proxyHeader == .local
        let limit = TimeAmount(rule.timeout)
        if member.backend.isWebSocket {
            return await self.pool.webSocketConnector(member).check(call, within: limit)
        }
        let begun = NIODeadline.now()
        do {
            let eventLoop = self.eventLoop
            let (answer, channel) = try await connector.connect(call, within: limit) {
                BackendCheckHandler(rule, eventLoop)
            } made: { handler, channel in
                (handler.answer, channel)
            }
            defer { channel.close(promise: nil) }
            let late = eventLoop.scheduleTask(deadline: begun + limit) {
                channel.pipeline.fireErrorCaught(ConnectFailure(.timeout, "it did not answer the check in time"))
            }
            defer { late.cancel() }
            try await answer.get()
            return nil
        } catch {
            return ConnectFailure(error)
        }
    }
}

extension BackendConnector {
    func with(proxyHeader: GatewayConfiguration.Pool.ProxyHeader) -> BackendConnector {
        var connector = self
        connector.proxyHeader = proxyHeader
        return connector
    }
}

/// Sends the bytes of a check, and compares the beginning of the answer with those that the check expects.
private final class BackendCheckHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let rule: GatewayConfiguration.Check
    private let promise: EventLoopPromise<Void>
    private var isSettled = false
    private var expected: ArraySlice<UInt8>

    init(_ rule: GatewayConfiguration.Check, _ eventLoop: any EventLoop) {
        self.rule = rule
        self.promise = eventLoop.makePromise()
        self.expected = rule.expect[...]
    }

    /// Succeeds where the backend is well.
    var answer: EventLoopFuture<Void> { self.promise.futureResult }

    private func settle(_ failure: ConnectFailure?) {
        guard !self.isSettled else { return }
        self.isSettled = true
        if let failure { self.promise.fail(failure) } else { self.promise.succeed() }
    }

    private func begin(_ context: ChannelHandlerContext) {
        if !self.rule.send.isEmpty {
            context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(bytes: self.rule.send)), promise: nil)
        }
        if self.expected.isEmpty { self.settle(nil) } else { context.read() }
    }

    func channelActive(context: ChannelHandlerContext) {
        let isSecure = (try? context.pipeline.syncOperations.handler(type: NIOSSLClientHandler.self)) != nil
        if !isSecure { self.begin(context) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent { self.begin(context) }
        if case .inputClosed? = event as? ChannelEvent {
            self.settle(ConnectFailure(.reset, "it ended the connection before it answered the check"))
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        for byte in self.unwrapInboundIn(data).readableBytesView {
            guard let wanted = self.expected.first else { break }
            guard byte == wanted else {
                return self.settle(ConnectFailure(.handshake, "it answered the check with something else"))
            }
            self.expected.removeFirst()
        }
        if self.expected.isEmpty { self.settle(nil) }
    }

    func channelReadComplete(context: ChannelHandlerContext) { context.read() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { self.settle(ConnectFailure(error)) }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.settle(ConnectFailure(.reset, "it ended the connection before it answered the check"))
    }
}
