// When a place under a limit is taken, and when it is given back: with the channel's end, never before.

import Foundation
import KHPClient
import KHPProtocol
import KHPWebSocket
import NIOCore
import NIOEmbedded
import Synchronization
import TestSupport
import Testing

@testable import KHPServer

@Suite("Places of a listener (R-C2, threat H2)")
struct PlacesTests {
    /// Says more than any system buffers, closes, and tells when the socket has ended for the application.
    final class Flood: MessageHandler {
        static let bytes = 12 * 1024 * 1024
        private let ended: AsyncStream<Void>.Continuation

        init(ended: AsyncStream<Void>.Continuation) {
            self.ended = ended
        }

        func opened(_ socket: EventLoopSocket) {
            try? socket.send(.binary, ByteBuffer(repeating: 7, count: Self.bytes))
            socket.close()
        }

        func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {}

        func closed(_ info: CloseInfo) { self.ended.yield() }
    }

    /// Asks until the answer is another one: what a place waits for is an event of the system's.
    private func status(_ port: Int, _ path: String = "/echo", until wanted: Int) async throws -> String {
        var line = ""
        for _ in 0..<500 {
            line = try await offThread {
                let client = try BlockingSocket.connect(port)
                defer { client.reset() }
                do {
                    try client.send(openingRequest(path))
                    return String(try client.receiveHead().prefix(12))
                } catch {
                    // A refusal may come together with a reset.
                    return ""
                }
            }
            if line == "HTTP/1.1 \(wanted)" { return line }
            // The interval of the question, and not a wait.
            try await Task.sleep(for: .milliseconds(10))
        }
        return line
    }

    @Test("a socket that has ended keeps its place while its bytes are unsent and its descriptor is open")
    func unsentBytes() async throws {
        let (ended, hasEnded) = AsyncStream.makeStream(of: Void.self)
        try await withServer {
            $0.limits.connections = 1
            $0.timeouts.close = .milliseconds(50)
        } endpoints: {
            Endpoint("/flood", messageHandler: { Flood(ended: hasEnded) })
            echo()
        } body: { port in
            let deaf = try BlockingSocket.connect(port, receiveBuffer: 4096)
            try deaf.send(openingRequest("/flood"))
            for await _ in ended { break }
            for _ in 0..<5 {
                let next = try await RawClient.connect(port)
                #expect(String(buffer: try await next.receiveAll()).hasPrefix("HTTP/1.1 503 "))
            }
            deaf.reset()
            #expect(try await self.status(port, until: 101) == "HTTP/1.1 101")
        }
    }

    @Test("a refused handshake is pending until its stream has ended")
    func refused() async throws {
        try await withServer {
            $0.limits.pendingHandshakes = 1
        } endpoints: {
            echo()
        } body: { port in
            let refused = try BlockingSocket.connect(port)
            try refused.send(openingRequest("/nowhere"))
            #expect(try await offThread { try refused.receiveHead() }.hasPrefix("HTTP/1.1 404 "))
            let next = try await RawClient.connect(port)
            #expect(String(buffer: try await next.receiveAll()).hasPrefix("HTTP/1.1 503 "))
            refused.close()
            #expect(try await self.status(port, until: 101) == "HTTP/1.1 101")
        }
    }

    @Test("pending handshakes have a number of their own, and an open socket is none")
    func pending() async throws {
        try await withServer {
            $0.limits.pendingHandshakes = 2
        } endpoints: {
            echo()
        } body: { port in
            let open = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/echo")
            let first = try BlockingSocket.connect(port)
            let second = try BlockingSocket.connect(port)
            #expect(try await self.status(port, until: 503) == "HTTP/1.1 503")
            _ = try await open.ping()
            first.close()
            #expect(try await self.status(port, until: 101) == "HTTP/1.1 101")
            second.close()
            try await open.close()
        }
    }

    @Test("and one for each address")
    func pendingPerAddress() async throws {
        try await withServer {
            $0.limits.pendingHandshakesPerAddress = 2
        } endpoints: {
            echo()
        } body: { port in
            let silent = try (0..<2).map { _ in try BlockingSocket.connect(port) }
            #expect(try await self.status(port, until: 503) == "HTTP/1.1 503")
            let other = try BlockingSocket.connect(port, from: "127.0.0.2")
            try other.send(openingRequest("/echo"))
            #expect(try await offThread { try other.receiveHead() }.hasPrefix("HTTP/1.1 101 "))
            for client in silent { client.close() }
            #expect(try await self.status(port, until: 101) == "HTTP/1.1 101")
        }
    }

    /// An embedded channel knows no half-closure: it would be gone at once.
    private final class HalfClosing: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer

        func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
            if mode == .output { promise?.succeed() } else { context.close(mode: mode, promise: promise) }
        }
    }

    @Test("who is turned away and does not leave is dropped after a second")
    func turnAway() throws {
        let channel = EmbeddedChannel(handlers: [HalfClosing(), OverloadRefusal()])
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        let answer = try #require(try channel.readOutbound(as: ByteBuffer.self))
        #expect(String(buffer: answer).hasPrefix("HTTP/1.1 503 "))
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(999))
        #expect(channel.isActive)
        try channel.writeInbound(ByteBuffer(string: "more"))
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(1))
        #expect(!channel.isActive)
    }

    @Test("few are turned away with an answer at a time; more are closed without one")
    func manyTurnedAway() async throws {
        try await withServer {
            $0.limits.connections = 1
        } endpoints: {
            echo()
        } body: { port in
            let first = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/echo")
            let answered = try await offThread {
                let clients = try (0..<Limits.Fixed.turnedAway + 10).map { _ in try BlockingSocket.connect(port) }
                return clients.count { (try? $0.receiveHead())?.hasPrefix("HTTP/1.1 503 ") == true }
            }
            // On a machine that takes more than a second for this, some places are free again.
            #expect(answered >= Limits.Fixed.turnedAway && answered < Limits.Fixed.turnedAway + 10)
            try await first.close()
        }
    }

    @Test("ordinary HTTP whose handshake finds no place keeps its own until the channel has closed (threat I5)")
    func behindHTTP() throws {
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        let http = try MemoryHTTP {
            try await $0.respond(.text("fine"))
        } configure: {
            $0.limits.pendingHandshakes = 1
        }
        try http.receive(get)
        #expect(try http.written().contains("200 OK"))
        #expect(http.state.enter(nil) != nil)
        #expect(http.state.connections == 2)
        try http.receive(openingRequest("/echo"))
        #expect(try http.written().hasPrefix("HTTP/1.1 503 "))
        #expect(http.channel.isActive && http.state.connections == 2)
        http.channel.endInput()
        #expect(!http.channel.isActive && http.state.connections == 1)
    }

    @Test("ordinary HTTP on the last of the connections has room for its handshake")
    func lastBehindHTTP() throws {
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        let http = try MemoryHTTP {
            try await $0.respond(.text("fine"))
        } configure: {
            $0.limits.connections = 1
        }
        try http.receive(get)
        #expect(try http.written().contains("200 OK"))
        // Read and refused where handshakes are.
        try http.receive("GET / HT" + get)
        #expect(http.phase == "over")
        #expect(try http.written().hasPrefix("HTTP/1.1 400 "))
        #expect(http.state.connections == 1)
    }

    @Test("what is sent ahead of the answer is bounded while an endpoint decides (threat A5)")
    func earlyData() async throws {
        let (release, open) = AsyncStream.makeStream(of: Void.self)
        try await withServer {
            $0.timeouts.opening = .seconds(4)
        } endpoints: {
            Endpoint(
                "/slow",
                respond: { _ in
                    for await _ in release { break }
                    return .complete()
                },
                handler: { (_: WebSocket) in }
            )
        } body: { port in
            let client = try await RawClient.connect(port)
            try await client.send(Array(openingRequest("/slow").utf8) + [UInt8](repeating: 0x20, count: 20_000))
            #expect(String(buffer: try await client.receiveAll()).hasPrefix("HTTP/1.1 400 "))
            open.finish()
        }
    }

    // MARK: Draining

    @Test("a drain waits until what was accepted has been taken, with the close frame behind it")
    func drainDelivers() async throws {
        let (ended, hasEnded) = AsyncStream.makeStream(of: Void.self)
        var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
        configuration.gracefulShutdownTimeout = .seconds(8)
        configuration.timeouts.close = .milliseconds(50)
        let server = WebSocketServer(configuration: configuration) {
            Endpoint("/flood", messageHandler: { Flood(ended: hasEnded) })
        }
        let hasReturned = Atomic(false)
        let run = Task {
            try await server.run()
            hasReturned.store(true, ordering: .releasing)
        }
        let port = try await server.boundPort() ?? 0
        let slow = try BlockingSocket.connect(port, receiveBuffer: 65_536)
        try slow.send(openingRequest("/flood"))
        let head = try await offThread { try slow.receiveHead() }
        #expect(head.hasPrefix("HTTP/1.1 101 "))
        // The closing handshake has taken too long, and everything is still unsent.
        for await _ in ended { break }
        run.cancel()
        let (received, wasEarly) = try await offThread {
            // The first part is read late, so that a drain that does not wait has ended before.
            _ = try slow.receive(1)
            usleep(200_000)
            let wasEarly = hasReturned.load(ordering: .acquiring)
            return (slow.receiveAll(), wasEarly)
        }
        #expect(!wasEarly)
        // The header of the message has ten bytes, of which one was taken; the close frame has four.
        #expect(received.bytes.count == 9 + Flood.bytes + 4)
        #expect(received.bytes.suffix(4) == [0x88, 0x02, 0x03, 0xE8])
        #expect(received.end == .orderly)
        try await run.value
    }

    @Test("at its deadline a drain drops who takes nothing, also where the socket has ended already")
    func drainForces() async throws {
        let (ended, hasEnded) = AsyncStream.makeStream(of: Void.self)
        var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
        configuration.gracefulShutdownTimeout = .milliseconds(300)
        configuration.timeouts.close = .milliseconds(50)
        let server = WebSocketServer(configuration: configuration) {
            Endpoint("/flood", messageHandler: { Flood(ended: hasEnded) })
        }
        let run = Task { try await server.run() }
        let deaf = try BlockingSocket.connect(try await server.boundPort() ?? 0, receiveBuffer: 4096)
        try deaf.send(openingRequest("/flood"))
        for await _ in ended { break }
        let began = ContinuousClock.now
        run.cancel()
        try await run.value
        let took = ContinuousClock.now - began
        #expect(took >= .milliseconds(290))
        #expect(took < .seconds(5))
        #expect(try await offThread { deaf.receiveAll() }.bytes.count < Flood.bytes)
    }

    @Test(
        "a connection that is set up while the drain begins is closed by somebody",
        .timeLimit(.minutes(1)),
        arguments: [false, true]
    )
    func attachedLate(isActive: Bool) async throws {
        let state = try ServerState(configuration: .init(), endpoints: [echo()])
        let entry = try #require(state.enter(nil))
        let drain = Task { await state.drain() }
        // Entered, not attached: the drain waits for it, and has nobody to close.
        while let early = state.enter(nil) {
            state.closed(early)
            await Task.yield()
        }
        let channel = NIOAsyncTestingChannel()
        if isActive { try await channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)) }
        try await channel.testingEventLoop.executeInContext {
            let handler = ConnectionHandler(
                connection: Connection(server: ConnectionConfiguration(), isSecure: false, now: .now()),
                delegate: ServerSession(server: state, table: state.table, channel: channel, entry: entry),
                eventLoop: channel.eventLoop,
                transport: .socket
            )
            channel.closeFuture.whenComplete { _ in state.closed(entry) }
            state.attach(handler, entry)
            try channel.pipeline.syncOperations.addHandler(handler)
        }
        await channel.testingEventLoop.run()
        try await channel.closeFuture.get()
        await drain.value
    }
}
