// The ends of the idle states, and the signs that they give of how far they have come: callers and servers of ours, and
// peers that do as little as a test wants.

import KHPProtocol
import KHPServer
import Logging
import NIOCore
import Synchronization
import TestSupport

@testable import KHPClient
@testable import KHPWebSocket

/// The things that have happened, by name.
final class Marks: Sendable {
    private final class Last: Sendable {
        let count = Atomic(0)
    }

    private let counts = Mutex<[String: Int]>([:])

    func note(_ name: String) { self.counts.withLock { $0[name, default: 0] += 1 } }

    private func count(_ name: String) -> Int { self.counts.withLock { $0[name] ?? 0 } }

    /// The sign that something has happened.
    func sign(_ name: String, times: Int = 1) -> IdleState.Sign {
        IdleState.Sign("\(name), \(times) in number") { self.count(name) == times }
    }

    /// The sign that something has happened, and does not go on happening.
    func standstill(of name: String) -> IdleState.Sign {
        let last = Last()
        return IdleState.Sign("no more of: \(name)") {
            let count = self.count(name)
            return count > 0 && last.count.exchange(count, ordering: .relaxed) == count
        }
    }

    /// Waits until the task is cancelled.
    @Sendable
    func wait(_ name: String) async {
        self.note(name)
        try? await Task.sleep(for: .seconds(60))
    }
}

/// A call that has no result yet.
final class PendingCall: Sendable {
    private final class End: Sendable {
        let isThere = Atomic(false)
    }

    private let end: End
    private let task: Task<Void, any Error>

    init(_ body: @escaping @Sendable () async throws -> Void) {
        let end = End()
        self.end = end
        self.task = Task {
            defer { end.isThere.store(true, ordering: .relaxed) }
            try await body()
        }
    }

    var waits: IdleState.Sign {
        IdleState.Sign("the caller waits") { [end] in !end.isThere.load(ordering: .relaxed) }
    }

    func cancel() async {
        self.task.cancel()
        _ = await self.task.result
    }

    /// Waits for the result.
    func result() async { _ = await self.task.result }
}

/// A server of ours, which ends soon whatever its endpoints do.
struct IdleServer: Sendable {
    let port: Int
    let wire = Wire()
    private let mount: WebSocketMount
    private let listener: WebSocketListener
    private let log: CollectingLog

    /// Runs a server around `body`.
    /// - Parameter isWatched: tells of the bytes that come to it. What it writes then takes another way than usual.
    static func run(
        _ endpoints: [Endpoint] = [echo()],
        isWatched: Bool = false,
        _ configure: (inout WebSocketServer.Configuration) -> Void = { _ in },
        body: (IdleServer) async throws -> Void
    ) async throws {
        var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
        configuration.gracefulShutdownTimeout = .milliseconds(10)
        configure(&configuration)
        let server = try await IdleServer(endpoints, isWatched: isWatched, configuration)
        do {
            try await body(server)
            await server.end()
        } catch {
            await server.end()
            throw error
        }
    }

    private init(
        _ endpoints: [Endpoint],
        isWatched: Bool,
        _ configuration: WebSocketServer.Configuration
    ) async throws {
        var configuration = configuration
        let log = CollectingLog()
        configuration.logger = Logger(label: "idle") { _ in log }
        if isWatched {
            let wire = self.wire
            configuration.hooks = ShellHooks(prepare: { try wire.watch($0) })
        }
        self.log = log
        self.mount = try WebSocketMount(configuration: configuration.mount, endpoints: endpoints)
        self.listener = WebSocketListener(configuration: configuration.listener, mount: self.mount)
        self.port = try await self.listener.listen().port ?? 0
    }

    func drain() async {
        await self.listener.close()
        await self.mount.drain()
    }

    private func end() async {
        await self.listener.close()
        await self.mount.drain(over: .zero)
    }

    /// The sign that so many connections, or streams, have a place.
    func has(_ count: Int, isBrief: Bool = false) -> IdleState.Sign {
        IdleState.Sign("the server has \(count) connections", isBrief: isBrief) { [mount] in mount.connections == count
        }
    }

    func logs(_ words: String) -> IdleState.Sign {
        IdleState.Sign("the server says: \(words)") { [log] in log.text.contains(words) }
    }
}

/// The bytes that come to one end of a connection, where they come from the network.
final class Wire: Sendable {
    private struct State {
        var channel: (any Channel)?
        var bytes = 0
        var hasEnded = false
        var isAsked = false
    }

    private let state = Mutex(State())

    fileprivate func watch(_ channel: any Channel) throws {
        self.state.withLock { $0.channel = channel }
        try channel.pipeline.syncOperations.addHandler(Handler(self))
    }

    /// The sign that so many bytes have been taken, and more would be.
    func takes(_ count: Int) -> IdleState.Sign {
        IdleState.Sign("\(count) bytes have been taken, and more would be") {
            self.state.withLock { $0.bytes == count && $0.isAsked && $0.channel?.isActive == true }
        }
    }

    /// The sign that there is a connection.
    var isOpen: IdleState.Sign {
        IdleState.Sign("the connection is open") { self.state.withLock { $0.channel?.isActive == true } }
    }

    /// The sign that there was one, and no channel of it is left.
    var hasClosed: IdleState.Sign {
        IdleState.Sign("the connection has closed") {
            self.state.withLock { $0.bytes > 0 && $0.channel?.isActive == false }
        }
    }

    /// The sign that the peer's end has been seen.
    var hasEnded: IdleState.Sign {
        IdleState.Sign("the end of the peer's stream has been seen") {
            self.state.withLock { $0.hasEnded && $0.channel?.isActive == true }
        }
    }

    /// The sign that something has come, and nothing more is taken.
    var isPaused: IdleState.Sign {
        IdleState.Sign("nothing more is taken") {
            let (channel, bytes, isAsked) = self.state.withLock { ($0.channel, $0.bytes, $0.isAsked) }
            guard let channel, bytes > 0, channel.isActive else { return false }
            if !isAsked { return true }
            return try await !channel.getOption(.autoRead).get()
        }
    }

    private final class Handler: ChannelDuplexHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundIn = ByteBuffer

        private let wire: Wire

        init(_ wire: Wire) { self.wire = wire }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let count = self.unwrapInboundIn(data).readableBytes
            self.wire.state.withLock { $0.bytes += count }
            context.fireChannelRead(data)
        }

        func channelReadComplete(context: ChannelHandlerContext) {
            self.wire.state.withLock { $0.isAsked = false }
            context.fireChannelReadComplete()
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case .inputClosed? = event as? ChannelEvent { self.wire.state.withLock { $0.hasEnded = true } }
            context.fireUserInboundEventTriggered(event)
        }

        func read(context: ChannelHandlerContext) {
            self.wire.state.withLock { $0.isAsked = true }
            context.read()
        }
    }
}

/// A server that notes the bytes that come, and answers as a test wants.
struct RawListener: Sendable {
    private final class Heard: Sendable {
        let bytes = Mutex(ByteBuffer())
    }

    let port: Int
    private let heard: Heard

    /// Runs a server around `body`.
    /// - Parameter answer: the answer to all that has come so far; empty for none.
    static func run(
        answer: @escaping @Sendable (ByteBuffer) -> ByteBuffer = { _ in ByteBuffer() },
        body: (RawListener) async throws -> Void
    ) async throws {
        let heard = Heard()
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, outbound in
                for try await bytes in inbound {
                    let all = heard.bytes.withLock { all in
                        all.writeImmutableBuffer(bytes)
                        return all
                    }
                    let answer = answer(all)
                    if answer.readableBytes > 0 { try await outbound.write(answer) }
                }
            }
        } body: { port in
            try await body(RawListener(port: port, heard: heard))
        }
    }

    /// The sign that all has come that is to come.
    func hears(_ name: String, _ isIt: @escaping @Sendable (ByteBuffer) -> Bool) -> IdleState.Sign {
        IdleState.Sign("the peer hears \(name)") { [heard] in isIt(heard.bytes.withLock { $0 }) }
    }

    /// The sign that a whole head has come.
    func hearsHead(of first: String) -> IdleState.Sign {
        self.hears("the head of \(first)") {
            let text = String(buffer: $0)
            return text.hasPrefix(first) && text.hasSuffix("\r\n\r\n")
        }
    }
}

extension BlockingSocket {
    /// Runs `body` with a peer of the system's own at a port of this machine.
    /// - Parameter answered: waits for the head of an answer.
    static func peer(
        at port: Int,
        saying text: String,
        answered: Bool = true,
        receiveBuffer: Int32? = nil,
        _ body: (BlockingSocket) async throws -> Void
    ) async throws {
        let socket = try await offThread {
            let socket = try BlockingSocket.connect(port, receiveBuffer: receiveBuffer)
            if !text.isEmpty { try socket.send(text) }
            if answered { _ = try socket.receiveHead() }
            return socket
        }
        defer { socket.close() }
        try await body(socket)
    }

    /// Waits for so many bytes, or for the end of the stream.
    func received(_ count: Int) async throws -> [UInt8] {
        try await offThread {
            var bytes: [UInt8] = []
            while bytes.count < count {
                let more = try self.receive(count - bytes.count)
                if more.isEmpty { break }
                bytes += more
            }
            return bytes
        }
    }
}
