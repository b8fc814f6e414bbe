// The byte stream at one end of a relay. Every wait on it ends: with bytes, with the stream, with the task that waits, or
// when the other side takes nothing for too long. And an end that lost something never looks like an orderly one.

import KHPProtocol
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

final class ByteStream: Sendable {
    enum Failure: Error {
        /// The other side broke off.
        case reset
        /// The other side took nothing for too long.
        case stalled
        /// This side broke off.
        case abandoned
        /// No address answered.
        case unreachable
    }

    private let handler: NIOLoopBound<ByteStreamHandler>
    private let eventLoop: any EventLoop

    private init(_ handler: ByteStreamHandler, on eventLoop: any EventLoop) {
        self.handler = NIOLoopBound(handler, eventLoop: eventLoop)
        self.eventLoop = eventLoop
    }

    deinit {
        let handler = self.handler
        self.eventLoop.execute { handler.value.reset() }
    }

    /// Connects to the first address that answers.
    /// - Parameters:
    ///   - limit: how long that may take altogether, name resolution included.
    ///   - patience: how long the other side may take nothing before the stream fails.
    /// - Throws: ``Failure/unreachable``, or `CancellationError`; neither waits for a connect that is under way.
    static func connect(host: String, port: Int, within limit: TimeAmount, patience: TimeAmount) async throws
        -> ByteStream
    {
        let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        let connected = ClientBootstrap(group: eventLoop)
            .connectTimeout(limit)
            .tcp(options: ByteStream.tcpOptions(stalledWrite: patience))
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(.autoRead, value: false)
            // Before the connection is there: a peer that speaks or ends it at once is heard all the same.
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ByteStreamHandler(patience: patience))
                }
            }
            .connect(host: host, port: port)
            // Several addresses may have been tried at once: the handler is that of the channel that connected first.
            .flatMapThrowing { channel in
                ByteStream(try channel.pipeline.syncOperations.handler(type: ByteStreamHandler.self), on: eventLoop)
            }
        let promise = eventLoop.makePromise(of: ByteStream.self)
        // A connection that is made after a cancellation is let go with its stream.
        connected.cascade(to: promise)
        do {
            return try await withTaskCancellationHandler {
                try await promise.futureResult.get()
            } onCancel: {
                promise.fail(CancellationError())
            }
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            throw Failure.unreachable
        }
    }

    /// Takes a channel that was accepted, before its first event: it has half-closure, and reads for nobody.
    static func accepted(_ channel: any Channel, patience: TimeAmount) throws -> ByteStream {
        let handler = ByteStreamHandler(patience: patience)
        try channel.pipeline.syncOperations.addHandler(handler)
        return ByteStream(handler, on: channel.eventLoop)
    }

    /// Returns when the stream has failed, and not before.
    func failed() async throws {
        try await self.waiting { $0.failed($1, $2) }
    }

    /// The next bytes; `nil` once the other side has said all in good order.
    /// - Throws: ``Failure`` where it has not, after all that it said.
    func next() async throws -> ByteBuffer? {
        try await self.waiting { $0.next($1, $2) }
    }

    /// Returns when the stream takes more.
    func write(_ bytes: ByteBuffer) async throws {
        try await self.waiting { $0.write(bytes, $1, $2) }
    }

    /// Ends the stream in good order: all that was written leaves, then the end. What the other side still says is read
    /// and dropped for a while: a connection that is closed before that is reset, and a reset overtakes what is under way.
    func finish() async throws {
        try await self.waiting { $0.finish($1, $2) }
    }

    /// Breaks off, so that the other side sees that something is missing. Does nothing after ``finish()``.
    func reset() {
        self.onEventLoop { $0.reset() }
    }

    private func waiting<Result: Sendable>(
        _ begin: @escaping @Sendable (ByteStreamHandler, Wait, UnsafeContinuation<Result, any Error>) -> Void
    ) async throws -> Result {
        let wait = Wait()
        return try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { continuation in
                self.onEventLoop { begin($0, wait, continuation) }
            }
        } onCancel: {
            wait.giveUp()
            self.onEventLoop { $0.giveUp(wait) }
        }
    }

    private func onEventLoop(_ body: @escaping @Sendable (ByteStreamHandler) -> Void) {
        let handler = self.handler
        self.eventLoop.execute { body(handler.value) }
    }
}

/// A task's wait on the event loop, by which it is found again when the task is cancelled.
private final class Wait: Sendable {
    private let givenUp = Atomic(false)

    /// True where the task was cancelled, perhaps before the event loop knew of the wait.
    var isGivenUp: Bool { self.givenUp.load(ordering: .acquiring) }

    func giveUp() { self.givenUp.store(true, ordering: .releasing) }
}

extension ByteStream {
    /// TCP's own ways: small pieces leave at once, and a peer that has vanished is noticed. The kernel probes a silent peer
    /// after a minute, and gives up on one that acknowledges nothing for twice as long as a write may stall.
    static func tcpOptions(stalledWrite: TimeAmount) -> [(option: ChannelOptions.Types.SocketOption, value: Int)] {
        let (idle, interval, probes) = (60, 15, 4)
        var options: [(option: ChannelOptions.Types.SocketOption, value: Int)] = [
            (.tcpOption(.tcp_nodelay), 1), (.socketOption(.so_keepalive), 1),
            (.tcpOption(.init(rawValue: TCP_KEEPINTVL)), interval), (.tcpOption(.init(rawValue: TCP_KEEPCNT)), probes),
        ]
        #if os(Linux)
            // The kernel counts milliseconds in 31 bits.
            let stalled = min(Int(stalledWrite.nanoseconds / 500_000), Int(Int32.max))
            options.append((.tcpOption(.init(rawValue: TCP_KEEPIDLE)), idle))
            options.append(
                (.tcpOption(.init(rawValue: TCP_USER_TIMEOUT)), max((idle + probes * interval) * 1000, stalled))
            )
        #elseif canImport(Darwin)
            options.append((.tcpOption(.init(rawValue: TCP_KEEPALIVE)), idle))
        #endif
        return options
    }
}

extension ClientBootstrap {
    fileprivate func tcp(options: [(option: ChannelOptions.Types.SocketOption, value: Int)]) -> ClientBootstrap {
        options.reduce(self) { $0.channelOption($1.option, value: $1.value) }
    }
}

/// The stream on its event loop.
///
/// | input  | means                                  | `next` after what was received |
/// |--------|----------------------------------------|--------------------------------|
/// | open   | more may come                          | waits                          |
/// | ended  | the other side has said all            | `nil`                          |
/// | failed | something is missing, here or there    | throws                         |
private final class ByteStreamHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private typealias Waiting<Result> = (wait: Wait, continuation: UnsafeContinuation<Result, any Error>)

    /// The tasks that wait, one of a kind at a time.
    private struct Waits {
        /// For bytes.
        var reader: Waiting<ByteBuffer?>?
        /// For room behind a write.
        var writer: Waiting<Void>?
        /// For the orderly end.
        var finisher: Waiting<Void>?
        /// For a failure.
        var watcher: Waiting<Void>?
    }

    private enum Input {
        case open
        case ended
        case failed(ByteStream.Failure)
    }

    /// How long the other side may say nothing once our end has gone out, before the connection is let go.
    private static let silence = TimeAmount.seconds(5)

    private let patience: TimeAmount
    private var context: ChannelHandlerContext?
    private var received = CircularBuffer<ByteBuffer>()
    private var input = Input.open
    private var failure: ByteStream.Failure?
    private var waits = Waits()
    private var isFinishing = false
    private var hasSentEnd = false
    private var isDone = false
    private var isWatching = false
    private var buffered = Int.max
    private var progressAt = NIODeadline.uptimeNanoseconds(0)
    private var lingersUntil = NIODeadline.uptimeNanoseconds(0)

    init(patience: TimeAmount) {
        self.patience = patience
    }

    // MARK: What a task asks for

    func next(_ wait: Wait, _ continuation: UnsafeContinuation<ByteBuffer?, any Error>) {
        if wait.isGivenUp || self.isFinishing { return continuation.resume(throwing: CancellationError()) }
        if let bytes = self.received.popFirst() { return continuation.resume(returning: bytes) }
        switch self.input {
        case .ended: continuation.resume(returning: nil)
        case .failed(let failure): continuation.resume(throwing: failure)
        case .open:
            self.waits.reader = (wait, continuation)
            self.context?.read()
        }
    }

    func write(_ bytes: ByteBuffer, _ wait: Wait, _ continuation: UnsafeContinuation<Void, any Error>) {
        if wait.isGivenUp { return continuation.resume(throwing: CancellationError()) }
        if let failure { return continuation.resume(throwing: failure) }
        guard let context else { return continuation.resume(throwing: ByteStream.Failure.reset) }
        self.waits.writer = (wait, continuation)
        context.writeAndFlush(self.wrapOutboundOut(bytes), promise: nil)
        if context.channel.isWritable { self.resumeWriter() } else { self.watch() }
    }

    func finish(_ wait: Wait, _ continuation: UnsafeContinuation<Void, any Error>) {
        if wait.isGivenUp { return continuation.resume(throwing: CancellationError()) }
        if let failure { return continuation.resume(throwing: failure) }
        guard let context else { return continuation.resume(throwing: ByteStream.Failure.reset) }
        self.isFinishing = true
        self.waits.finisher = (wait, continuation)
        self.received.removeAll()
        self.waits.reader?.continuation.resume(throwing: CancellationError())
        self.waits.reader = nil
        self.watch()
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        let flushed = context.eventLoop.makePromise(of: Void.self)
        flushed.futureResult.whenSuccess { bound.value.sendEnd() }
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer()), promise: flushed)
    }

    func failed(_ wait: Wait, _ continuation: UnsafeContinuation<Void, any Error>) {
        if wait.isGivenUp { return continuation.resume(throwing: CancellationError()) }
        guard self.failure == nil else { return continuation.resume() }
        self.waits.watcher = (wait, continuation)
    }

    func giveUp(_ wait: Wait) {
        if let watcher = self.waits.watcher, watcher.wait === wait {
            self.waits.watcher = nil
            watcher.continuation.resume(throwing: CancellationError())
        } else if let reader = self.waits.reader, reader.wait === wait {
            self.waits.reader = nil
            reader.continuation.resume(throwing: CancellationError())
        } else if let writer = self.waits.writer, writer.wait === wait {
            self.waits.writer = nil
            writer.continuation.resume(throwing: CancellationError())
        } else if let finisher = self.waits.finisher, finisher.wait === wait {
            self.waits.finisher = nil
            finisher.continuation.resume(throwing: CancellationError())
            self.reset()
        }
    }

    func reset() {
        if !self.isDone { self.fail(.abandoned) }
    }

    // MARK: Ending

    private func fail(_ failure: ByteStream.Failure) {
        guard self.failure == nil, !self.isDone else { return }
        self.failure = failure
        self.waits.watcher?.continuation.resume()
        self.waits.watcher = nil
        if case .open = self.input { self.input = .failed(failure) }
        if self.received.isEmpty, let reader = self.waits.reader {
            self.waits.reader = nil
            reader.continuation.resume(throwing: failure)
        }
        self.waits.writer?.continuation.resume(throwing: failure)
        self.waits.writer = nil
        self.waits.finisher?.continuation.resume(throwing: failure)
        self.waits.finisher = nil
        guard let context, context.channel.isActive else { return }
        // Without this a close looks like an end in good order.
        _ = (context.channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
        context.close(promise: nil)
    }

    private func sendEnd() {
        guard let context, self.failure == nil else { return }
        self.hasSentEnd = true
        if case .ended = self.input { return self.done() }
        self.lingersUntil = .now() + self.patience
        self.progressAt = .now()
        context.close(mode: .output, promise: nil)
        context.read()
        self.listenOn()
    }

    private func listenOn() {
        guard let context, !self.isDone, self.failure == nil else { return }
        let silentAt = self.progressAt + min(Self.silence, self.patience)
        let until = min(silentAt, self.lingersUntil)
        if until <= .now() { return self.done() }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(deadline: until) { bound.value.listenOn() }
    }

    private func done() {
        guard !self.isDone else { return }
        self.isDone = true
        self.waits.finisher?.continuation.resume()
        self.waits.finisher = nil
        self.context?.close(promise: nil)
    }

    // MARK: Writes that are not taken

    private func resumeWriter() {
        self.waits.writer?.continuation.resume()
        self.waits.writer = nil
    }

    /// Looks after the bytes that wait to be written, for as long as somebody waits for them.
    private func watch() {
        guard !self.isWatching else { return }
        self.isWatching = true
        self.buffered = .max
        self.progressAt = .now()
        self.look()
    }

    private func look() {
        guard let context, self.failure == nil, self.waits.writer != nil || self.isFinishing && !self.hasSentEnd else {
            self.isWatching = false
            return
        }
        let now = NIODeadline.now()
        let buffered = (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        if buffered < self.buffered { self.progressAt = now }
        self.buffered = buffered
        if self.progressAt + self.patience <= now { return self.fail(.stalled) }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: .nanoseconds(self.patience.nanoseconds / 4)) { bound.value.look() }
    }

    // MARK: The channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if self.isFinishing {
            self.progressAt = .now()
        } else if let reader = self.waits.reader {
            self.waits.reader = nil
            reader.continuation.resume(returning: self.unwrapInboundIn(data))
        } else {
            self.received.append(self.unwrapInboundIn(data))
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if self.isFinishing || self.waits.reader != nil { context.read() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        guard context.channel.isWritable else { return }
        self.progressAt = .now()
        self.resumeWriter()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .inputClosed? = event as? ChannelEvent else { return }
        #if os(Linux)
            // A write that met a reset has taken the error away, and what is left looks like an end.
            if let provider = context.channel as? any SocketOptionProvider, !self.hasSentEnd {
                let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
                provider.getTCPInfo().whenComplete { info in
                    let state = (try? info.get())?.tcpi_state
                    bound.value.inputEnded(isReset: state.map { UInt32($0) == UInt32(TCP_CLOSE) } ?? true)
                }
                return
            }
        #endif
        self.inputEnded(isReset: false)
    }

    private func inputEnded(isReset: Bool) {
        guard case .open = self.input else { return }
        if isReset { return self.fail(.reset) }
        self.input = .ended
        if self.hasSentEnd { return self.done() }
        if let reader = self.waits.reader {
            self.waits.reader = nil
            reader.continuation.resume(returning: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.ended()
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.ended()
    }

    /// After our own end it is no news how the connection goes.
    private func ended() {
        if self.hasSentEnd { self.done() } else { self.fail(.reset) }
    }
}
