// A client of HTTP/2 that asks and does not read: it is not read from either, and cut where it takes nothing for too long.

import KHPProtocol
import KHPServer
import KHPWebSocket
import NIOCore
import NIOEmbedded
import NIOHTTP2
import Synchronization
import TestSupport
import Testing

@testable import KHPHTTP2

/// Stands before the handler under test: counts what a socket would be asked for.
private final class Wire: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    var reads = 0

    func read(context: ChannelHandlerContext) {
        self.reads += 1
        context.read()
    }
}

/// Stands behind it, as the handler of frames does.
private final class Frames: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    var writabilityChanges: () -> Void = {}

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        self.writabilityChanges()
        context.fireChannelWritabilityChanged()
    }
}

/// A connection in memory, which looks at its bytes once a second. Used on one thread, without an `await` in between.
private final class Carrier {
    let channel = EmbeddedChannel()
    let wire = Wire()
    let frames = Frames()
    var loop: EmbeddedEventLoop { self.channel.embeddedEventLoop }

    init() throws {
        let pipeline = self.channel.pipeline.syncOperations
        try pipeline.addHandler(self.wire)
        try pipeline.addHandler(CarrierGate(stalledWrite: .seconds(8)))
        try pipeline.addHandler(self.frames)
        try self.channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        self.wire.reads = 0
    }

    deinit { _ = try? self.channel.finish(acceptAlreadyClosed: true) }

    func become(writable isWritable: Bool) {
        self.channel.isWritable = isWritable
        self.channel.pipeline.fireChannelWritabilityChanged()
    }

    /// Writes bytes that do not leave before ``take()``.
    func write() {
        self.channel.pipeline.syncOperations.write(NIOAny(ByteBuffer(repeating: 7, count: 100)), promise: nil)
    }

    /// The client takes what has been written.
    func take() { self.channel.flush() }
}

@Suite("A connection of HTTP/2 that cannot be written to") struct CarrierGateTests {
    @Test("it is not read from until it can be written to again (threat A19)")
    func reads() throws {
        let connection = try Carrier()
        connection.channel.read()
        #expect(connection.wire.reads == 1)
        connection.become(writable: false)
        connection.channel.read()
        connection.channel.read()
        #expect(connection.wire.reads == 1)
        connection.become(writable: true)
        #expect(connection.wire.reads == 2)
        // Nothing was held.
        connection.become(writable: false)
        connection.become(writable: true)
        #expect(connection.wire.reads == 2)
        connection.channel.read()
        #expect(connection.wire.reads == 3)
    }

    @Test("frames that wait go first, and nothing is read where they fill the socket again")
    func framesFirst() throws {
        let connection = try Carrier()
        connection.become(writable: false)
        connection.channel.read()
        let channel = connection.channel
        connection.frames.writabilityChanges = { channel.isWritable = false }
        connection.become(writable: true)
        #expect(connection.wire.reads == 0)
        connection.frames.writabilityChanges = {}
        connection.become(writable: true)
        #expect(connection.wire.reads == 1)
    }

    @Test("a client that takes nothing is cut after `stalledWrite` (threat B16)")
    func stalled() throws {
        let connection = try Carrier()
        connection.loop.advanceTime(by: .seconds(3600))
        #expect(connection.channel.isActive)
        connection.write()
        connection.become(writable: false)
        connection.loop.advanceTime(by: .milliseconds(7999))
        #expect(connection.channel.isActive)
        connection.loop.advanceTime(by: .milliseconds(1))
        #expect(!connection.channel.isActive)
    }

    @Test("bytes that leave begin the time anew (threat B16), and so does a connection that can be written to")
    func progress() throws {
        let slow = try Carrier()
        slow.write()
        slow.become(writable: false)
        slow.loop.advanceTime(by: .milliseconds(7999))
        slow.take()
        slow.loop.advanceTime(by: .seconds(8))
        #expect(slow.channel.isActive)
        slow.loop.advanceTime(by: .milliseconds(1))
        #expect(!slow.channel.isActive)
        let other = try Carrier()
        other.write()
        other.become(writable: false)
        other.loop.advanceTime(by: .milliseconds(7999))
        other.become(writable: true)
        other.loop.advanceTime(by: .seconds(3600))
        #expect(other.channel.isActive)
        other.become(writable: false)
        other.loop.advanceTime(by: .milliseconds(7999))
        #expect(other.channel.isActive)
        other.loop.advanceTime(by: .milliseconds(1))
        #expect(!other.channel.isActive)
    }

    @Test(
        "the frames that wait are bounded, far above what all permitted streams need (threat A19)",
        arguments: [(100, 200, 600), (1, 0, 204), (Int.max, Int.max, Int(Int32.max))] as [(Int, Int, Int)]
    )
    func frames(_ streams: Int, _ controlFrames: Int, _ most: Int) {
        var http2 = WebSocketServer.HTTP2()
        http2.streamsPerConnection = streams
        http2.controlFrames = controlFrames
        #expect(http2.connection(Limits()).maximumBufferedControlFrames == most)
    }

    @Test("each connection of a server has it")
    func server() async throws {
        let isThere = Mutex(false)
        try await withHTTP2Server {
            $0.hooks = ShellHooks(takesStream: { stream in
                let gate = try? stream.parent?.pipeline.syncOperations.handler(type: CarrierGate.self)
                let isGated = gate != nil
                isThere.withLock { $0 = isGated }
            })
        } endpoints: {
            echo()
        } body: { url in
            let port = try #require(Int(url.split(separator: ":").last ?? ""))
            try await StreamPeer.connected(to: port) { peer in
                await peer.awaitSettings()
                let stream = try await peer.open("/echo")
                #expect(await stream.answer(count: 0).status == "200")
            }
        }
        #expect(isThere.withLock { $0 })
    }
}
