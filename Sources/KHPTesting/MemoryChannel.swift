// A connection in memory: two channels of SwiftNIO on one event loop, each the other's wire. Both ends run the handlers of
// the product; only the sockets are missing.

package import NIOCore
import Synchronization

/// Unchecked: what changes is touched on the event loop only, but for the two flags that others may ask for.
package final class MemoryChannel: Channel, ChannelCore, @unchecked Sendable {
    /// The most bytes that one end may write before the other takes some; then it is not writable.
    private static let room = 64 * 1024

    package let eventLoop: any EventLoop
    package let localAddress: SocketAddress?
    package let remoteAddress: SocketAddress?

    private let closePromise: EventLoopPromise<Void>
    private lazy var handlers = ChannelPipeline(channel: self)
    private let isUp = Atomic(false)
    private let hasRoom = Atomic(true)
    private var other: MemoryChannel?
    /// Bytes that are written but not flushed.
    private var outbound: [(bytes: ByteBuffer, promise: EventLoopPromise<Void>?)] = []
    private var isOutputOver = false
    /// Bytes that have come and are not read yet.
    private var inbound: [ByteBuffer] = []
    private var unread = 0
    private var input = Input.open
    private var reading = Reading()

    private struct Reading {
        var isAutomatic = true
        var isAskedFor = false
        var isScheduled = false
    }

    private enum Input {
        case open
        /// No more bytes come; the pipeline learns it once it has read those that have.
        case ending
        case over
    }

    /// Two channels that are not up yet.
    package static func pair(
        on eventLoop: any EventLoop,
        client: SocketAddress?,
        server: SocketAddress? = nil
    ) -> (client: MemoryChannel, server: MemoryChannel) {
        let pair = (
            client: MemoryChannel(on: eventLoop, from: client, to: server),
            server: MemoryChannel(on: eventLoop, from: server, to: client)
        )
        pair.client.other = pair.server
        pair.server.other = pair.client
        return pair
    }

    private init(on eventLoop: any EventLoop, from local: SocketAddress?, to remote: SocketAddress?) {
        self.eventLoop = eventLoop
        self.localAddress = local
        self.remoteAddress = remote
        self.closePromise = eventLoop.makePromise()
        // Made now: others than the event loop may ask for it.
        _ = self.handlers
    }

    /// Brings this end up, with the handlers that it has.
    package func open() {
        // One whose other end has gone already comes up all the same, and then learns of it, as with sockets.
        guard self.input != .over, !self.isOutputOver else { return }
        self.isUp.store(true, ordering: .releasing)
        self.handlers.fireChannelRegistered()
        self.handlers.fireChannelActive()
        if self.reading.isAutomatic { self.handlers.read() }
    }

    // MARK: Channel

    package var allocator: ByteBufferAllocator { ByteBufferAllocator() }
    package var parent: (any Channel)? { nil }
    package var pipeline: ChannelPipeline { self.handlers }
    package var closeFuture: EventLoopFuture<Void> { self.closePromise.futureResult }
    package var isWritable: Bool { self.hasRoom.load(ordering: .acquiring) }
    package var isActive: Bool { self.isUp.load(ordering: .acquiring) }
    package var _channelCore: any ChannelCore { self }
    package var syncOptions: (any NIOSynchronousChannelOptions)? { Options(channel: self) }

    package func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) -> EventLoopFuture<Void> {
        self.eventLoop.submit { try Options(channel: self).setOption(option, value: value) }
    }

    package func getOption<Option: ChannelOption>(_ option: Option) -> EventLoopFuture<Option.Value> {
        self.eventLoop.submit { try Options(channel: self).getOption(option) }
    }

    private struct Options: NIOSynchronousChannelOptions {
        let channel: MemoryChannel

        func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) throws {
            switch (option, value) {
            case (is ChannelOptions.Types.AutoReadOption, let isAutomatic as Bool):
                self.channel.reading.isAutomatic = isAutomatic
                if isAutomatic {
                    self.channel.handlers.read()
                } else {
                    self.channel.reading.isAskedFor = false
                }
            case (is ChannelOptions.Types.AllowRemoteHalfClosureOption, _),
                (is ChannelOptions.Types.WriteBufferWaterMarkOption, _):
                // Half closures are always allowed, and the room is what it is.
                break
            default:
                throw ChannelError.operationUnsupported
            }
        }

        func getOption<Option: ChannelOption>(_ option: Option) throws -> Option.Value {
            let value: Any? =
                switch option {
                case is ChannelOptions.Types.AutoReadOption: self.channel.reading.isAutomatic
                case is ChannelOptions.Types.AllowRemoteHalfClosureOption: true
                case is ChannelOptions.Types.BufferedWritableBytesOption:
                    self.channel.outbound.reduce(self.channel.other?.unread ?? 0) { $0 + $1.bytes.readableBytes }
                default: nil
                }
            guard let value = value as? Option.Value else { throw ChannelError.operationUnsupported }
            return value
        }
    }

    // MARK: Writing

    package func write0(_ data: NIOAny, promise: EventLoopPromise<Void>?) {
        // At once, as with sockets: nobody flushes what is written behind the end.
        guard !self.isOutputOver else { return promise?.fail(ChannelError.ioOnClosedChannel) ?? () }
        self.outbound.append((self.unwrapData(data, as: ByteBuffer.self), promise))
    }

    package func flush0() {
        let written = self.outbound
        self.outbound = []
        for (bytes, promise) in written {
            guard self.isActive, !self.isOutputOver, let other else {
                promise?.fail(ChannelError.ioOnClosedChannel)
                continue
            }
            other.receive(bytes)
            promise?.succeed()
        }
    }

    private func setWritable(_ isWritable: Bool) {
        guard isWritable != self.isWritable else { return }
        self.hasRoom.store(isWritable, ordering: .releasing)
        self.eventLoop.execute {
            if self.isActive { self.handlers.fireChannelWritabilityChanged() }
        }
    }

    // MARK: Reading

    private func receive(_ bytes: ByteBuffer) {
        guard self.input == .open else { return }
        self.inbound.append(bytes)
        self.unread += bytes.readableBytes
        if self.unread > Self.room { self.other?.setWritable(false) }
        self.scheduleRead()
    }

    private func inputEnds() {
        guard self.input == .open else { return }
        self.input = .ending
        self.scheduleRead()
    }

    package func read0() {
        self.reading.isAskedFor = true
        self.scheduleRead()
    }

    /// Reads in a turn of its own: nothing that one end says reaches the other while it is still speaking.
    private func scheduleRead() {
        guard !self.reading.isScheduled else { return }
        self.reading.isScheduled = true
        self.eventLoop.execute {
            self.reading.isScheduled = false
            self.readNow()
        }
    }

    private func readNow() {
        // As with sockets, the end of the stream is seen at once, with all that came before it.
        guard self.isActive, self.reading.isAskedFor || self.input == .ending else { return }
        if !self.inbound.isEmpty {
            self.reading.isAskedFor = false
            let arrived = self.inbound
            self.inbound = []
            self.unread = 0
            self.other?.setWritable(true)
            for bytes in arrived { self.handlers.fireChannelRead(bytes) }
            self.handlers.fireChannelReadComplete()
            // Each read passes the handlers, as a socket's does.
            if self.isActive, self.reading.isAutomatic { self.handlers.read() }
        }
        if self.input == .ending, self.inbound.isEmpty, self.isActive {
            // Both directions are over: so is the connection, as with sockets.
            if self.isOutputOver { return self.closeAll() }
            self.input = .over
            self.handlers.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        }
    }

    // MARK: Closing

    package func close0(error: any Error, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        switch mode {
        case .output:
            guard !self.isOutputOver else { return promise?.fail(ChannelError.outputClosed) ?? () }
            if self.input == .over {
                self.closeAll()
                return promise?.succeed() ?? ()
            }
            self.isOutputOver = true
            self.other?.inputEnds()
            promise?.succeed()
            self.handlers.fireUserInboundEventTriggered(ChannelEvent.outputClosed)
        case .input:
            promise?.fail(ChannelError.operationUnsupported)
        case .all:
            guard self.input != .over || !self.isOutputOver || self.isActive else {
                return promise?.fail(ChannelError.alreadyClosed) ?? ()
            }
            self.closeAll()
            promise?.succeed()
        }
    }

    private func closeAll() {
        let wasActive = self.isActive
        self.isUp.store(false, ordering: .releasing)
        self.isOutputOver = true
        self.input = .over
        self.inbound = []
        self.unread = 0
        self.other?.inputEnds()
        self.other = nil
        for (_, promise) in self.outbound { promise?.fail(ChannelError.ioOnClosedChannel) }
        self.outbound = []
        if wasActive {
            self.handlers.fireChannelInactive()
            self.handlers.fireChannelUnregistered()
        }
        self.eventLoop.execute {
            self.removeHandlers(pipeline: self.handlers)
            self.closePromise.succeed()
        }
    }

    // MARK: Of no use in memory

    package func localAddress0() throws -> SocketAddress {
        guard let localAddress else { throw ChannelError.operationUnsupported }
        return localAddress
    }

    package func remoteAddress0() throws -> SocketAddress {
        guard let remoteAddress else { throw ChannelError.operationUnsupported }
        return remoteAddress
    }

    package func register0(promise: EventLoopPromise<Void>?) { promise?.fail(ChannelError.operationUnsupported) }
    package func registerAlreadyConfigured0(promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }
    package func bind0(to address: SocketAddress, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }
    package func connect0(to address: SocketAddress, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }
    package func triggerUserOutboundEvent0(_ event: Any, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }
    package func channelRead0(_ data: NIOAny) {}
    package func errorCaught0(error: any Error) {}
}
