// A server's socket on a channel in memory: no thread and no clock but the test's, and the end of the pipeline in its hands.

import KHPProtocol
import NIOCore
import NIOEmbedded
import NIOTLS
import TestSupport
import Testing

@testable import KHPWebSocket

/// The channel's own end of the pipeline. It can keep what is written from leaving, and notes how the channel is closed.
final class Wire: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    /// True while what is written stays in the channel.
    var isHeld = false
    /// True where a close is noted and nothing more, as by TLS that waits for the peer's goodbye.
    var staysOpen = false
    /// True where the promises of empty writes are kept for the test: these are the handler's marks in the stream.
    var keepsMarks = false
    /// Called before something is written.
    var onWrite: (() -> Void)?
    /// The answer of a stream to the question how much has not left.
    var unwrittenOfStream = 0
    private(set) var closes: [CloseMode] = []
    private(set) var resets = 0
    private(set) var marks: [EventLoopPromise<Void>?] = []
    private(set) var reads = 0

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        self.onWrite?()
        if self.keepsMarks, self.unwrapOutboundIn(data).readableBytes == 0 {
            self.marks.append(promise)
        } else {
            context.write(data, promise: promise)
        }
    }

    func flush(context: ChannelHandlerContext) { if !self.isHeld { context.flush() } }

    func read(context: ChannelHandlerContext) {
        self.reads += 1
        context.read()
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        self.closes.append(mode)
        if mode == .all, !self.staysOpen { return context.close(mode: mode, promise: promise) }
        promise?.succeed()
    }

    /// Marks that still wait fail, as with a channel that has closed.
    func failMarks() {
        for mark in self.marks { mark?.fail(ChannelError.ioOnClosedChannel) }
    }

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        if let question = event as? UnwrittenBytesOfStream { question.count = self.unwrittenOfStream }
        if event is StreamReset { self.resets += 1 }
        promise?.succeed()
    }
}

/// To be used on one thread, without an `await` in between.
final class EmbeddedSocket: ConnectionDelegate {
    let channel: EmbeddedChannel
    let wire = Wire()
    let inbox: Inbox
    private(set) var handler: ConnectionHandler!
    /// The names of what the connection has told, in order.
    private(set) var told: [String] = []
    private(set) var readEnds = 0
    /// How the connection ended, as its owner was told.
    private(set) var closed: [CloseInfo] = []
    /// Another owner of the bytes, for TLS that agrees on another protocol.
    var givesAway = false
    private let plan: EndpointPlan
    private let messages: (any MessageHandler)?

    /// - Parameters:
    ///   - loop: the event loop, where several share one.
    ///   - messages: takes the messages, instead of the inbox.
    ///   - isTakenOverFull: true for a channel that somebody else has used, and whose peer takes nothing.
    ///   - opens: false where the client is to ask for nothing yet.
    init(
        dialect: Dialect = .rfc6455,
        transport: Transport = .socket,
        extensions: [any WebSocketExtension] = [],
        loop: EmbeddedEventLoop = EmbeddedEventLoop(),
        opens: Bool = true,
        isTakenOverFull: Bool = false,
        messages: (any MessageHandler)? = nil,
        _ configure: (inout ConnectionSettings) -> Void = { _ in }
    ) throws {
        var settings = ConnectionSettings()
        settings.dialects = [dialect]
        configure(&settings)
        var plan = EndpointPlan.Values()
        plan.dialects = [dialect]
        plan.extensions = extensions
        self.plan = EndpointPlan(plan)
        self.messages = messages
        self.inbox = Inbox(limits: settings.limits)
        self.channel = EmbeddedChannel(loop: loop)
        let configuration = ConnectionConfiguration(settings)
        let handler = ConnectionHandler(
            connection: Connection(server: configuration, isSecure: transport == .tls, now: .now()),
            delegate: self,
            eventLoop: self.channel.eventLoop,
            transport: transport
        )
        self.handler = handler
        if isTakenOverFull {
            self.channel.isWritable = false
        } else {
            try self.channel.pipeline.syncOperations.addHandlers([self.wire, handler])
        }
        try self.channel.syncOptions?.setOption(.maxMessagesPerRead, value: 4)
        try self.channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        if isTakenOverFull { try self.channel.pipeline.syncOperations.addHandlers([self.wire, handler]) }
        guard opens else { return }
        if transport == .tls { self.agree(on: nil) }
        let names = extensions.map(\.name).joined(separator: ", ")
        let old = "GET /x HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: a\r\nOrigin: http://a\r\n\r\n"
        let field = names.isEmpty ? "" : "Sec-WebSocket-Extensions: \(names)\r\n"
        self.receive(Array((dialect == .hixie75 ? old : openingRequest("/x", extra: field)).utf8))
        #expect(self.told.last == "opened")
        _ = self.sent()
    }

    func connected(_ handler: ConnectionHandler) { self.told.append("connected") }
    func allIsRead(_ handler: ConnectionHandler) { self.readEnds += 1 }
    func hasAgreed(on name: String?, _ handler: ConnectionHandler) -> Bool { self.givesAway }

    func perform(_ action: ConnectionAction, on handler: ConnectionHandler) {
        switch action {
        case .server(.decideOpening):
            handler.connection.acceptOpening(self.plan, now: .now())
        case .opened:
            self.told.append("opened")
            handler.deliver(to: self.messages.map { .handler($0) } ?? .inbox(self.inbox))
        case .closed(let info):
            self.told.append("closed")
            self.closed.append(info)
        default:
            break
        }
    }

    /// TLS is up.
    func agree(on name: String?) {
        self.channel.pipeline.fireUserInboundEventTriggered(TLSUserEvent.handshakeCompleted(negotiatedProtocol: name))
    }

    /// Bytes of the peer's, in one read.
    func receive(_ bytes: [UInt8]) {
        _ = try? self.channel.writeInbound(ByteBuffer(bytes: bytes))
    }

    /// Lets time pass for the channel's own tasks; a connection's deadlines are met by `timerFired`.
    func advance(by time: TimeAmount) { self.channel.embeddedEventLoop.advanceTime(by: time) }

    /// Lets the event loop do what is to be done now.
    func run() { self.channel.embeddedEventLoop.run() }

    /// The channel takes what is sent, or does not.
    func setWritable(_ isWritable: Bool) {
        self.channel.isWritable = isWritable
        self.channel.pipeline.fireChannelWritabilityChanged()
    }

    func endInput() { self.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed) }

    /// The frames that have left since the last call.
    func sent() -> [(first: UInt8, payload: [UInt8])] {
        var all = ByteBuffer()
        while let bytes = try? self.channel.readOutbound(as: ByteBuffer.self) { all.writeImmutableBuffer(bytes) }
        return serverFrames(all)
    }

    /// True while the channel reads by itself, as it was told last.
    var isReading: Bool {
        self.channel.options.last { $0.option is ChannelOptions.Types.AutoReadOption }?.value as? Bool ?? true
    }

    /// The connection goes without order, and all that waits for it with it.
    func end() {
        self.wire.isHeld = false
        self.wire.staysOpen = false
        _ = try? self.channel.finish(acceptAlreadyClosed: true)
        self.wire.failMarks()
    }
}

/// Runs `body` with a socket whose end a task waits for.
/// - Returns: the end, as that task was told; `nil` where it was told of none.
func withAwaitedEnd(
    _ make: () throws -> EmbeddedSocket,
    _ body: (EmbeddedSocket, TaskWait) throws -> Void
) async -> CloseInfo? {
    var failure: (any Error)?
    let info = await withUnsafeContinuation { (continuation: UnsafeContinuation<CloseInfo?, Never>) in
        do {
            let socket = try make()
            let wait = TaskWait()
            socket.handler.whenClosed(wait, continuation)
            do { try body(socket, wait) } catch { failure = error }
            socket.end()
            socket.handler.giveUp(wait)
        } catch {
            failure = error
            continuation.resume(returning: nil)
        }
    }
    if let failure { Issue.record(failure) }
    return info
}
