// The door before somebody else's handlers while they are set up, over a channel in memory.

import KHPWebSocket
import NIOCore
import NIOEmbedded
import Testing

@testable import KHPServer

/// A connection whose other pipeline is being set up. Used on one thread, without an `await` in between.
private final class Waiting {
    let wire = MemoryWire()
    let host = MemoryHost()
    let door: HostDoor
    let channel: EmbeddedChannel
    let ready: EventLoopPromise<Void>

    /// - Parameter halfCloses: the channel's setting before it was ours.
    init(halfCloses: Bool = true) throws {
        let channel = EmbeddedChannel()
        let ready = channel.eventLoop.makePromise(of: Void.self)
        let port = SharedPort(.firstRequest, .none) { _ in
            ready.futureResult
        } isOwn: {
        }
        self.ready = ready
        self.door = HostDoor(port)
        self.channel = channel
        let options = try #require(channel.syncOptions)
        try options.setOption(.writeBufferWaterMark, value: .init(low: 1, high: 2))
        try options.setOption(.allowRemoteHalfClosure, value: halfCloses)
        port.note(channel)
        try options.setOption(.allowRemoteHalfClosure, value: true)
        try channel.pipeline.syncOperations.addHandlers([self.wire, self.door, self.host])
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        self.door.begin(ByteBuffer(string: "first"))
        self.door.open()
    }

    deinit { _ = try? self.channel.finish(acceptAlreadyClosed: true) }

    func isSetUp() {
        self.ready.succeed()
        self.channel.embeddedEventLoop.run()
    }

    var isDoorThere: Bool { (try? self.channel.pipeline.syncOperations.context(handler: self.door)) != nil }
}

@Suite("The door before another server's handlers") struct HostDoorTests {
    @Test("what has come meanwhile is theirs, in its order; a read that was wanted is done, and the door is gone")
    func opens() throws {
        let waiting = try Waiting()
        try waiting.channel.receive("second")
        waiting.channel.pipeline.fireUserInboundEventTriggered("event")
        waiting.channel.read()
        #expect(waiting.host.told() == [])
        #expect(waiting.wire.reads == 0)
        waiting.isSetUp()
        #expect(waiting.host.told() == ["first", "second", "complete", "event"])
        #expect(waiting.wire.reads == 1)
        #expect(!waiting.isDoorThere)
        #expect(waiting.channel.isActive)
    }

    @Test("no read is made that nobody has wanted")
    func readsNothing() throws {
        let waiting = try Waiting()
        waiting.isSetUp()
        #expect(waiting.host.told() == ["first"])
        #expect(waiting.wire.reads == 0)
    }

    @Test(
        "behind the end of the peer's bytes the channel closes where it would have without us",
        arguments: [true, false]
    )
    func inputEnds(halfCloses: Bool) throws {
        let waiting = try Waiting(halfCloses: halfCloses)
        waiting.channel.endInput()
        waiting.isSetUp()
        #expect(waiting.host.told() == ["first", "inputClosed"] + (halfCloses ? [] : ["inactive"]))
        #expect(waiting.channel.isActive == halfCloses)
        let still = try Waiting(halfCloses: halfCloses)
        still.isSetUp()
        #expect(still.channel.isActive)
        #expect(try still.channel.syncOptions?.getOption(.allowRemoteHalfClosure) == halfCloses)
    }

    @Test("where they cannot be set up nothing is told but the end")
    func fails() throws {
        let waiting = try Waiting()
        try waiting.channel.receive("second")
        waiting.channel.read()
        waiting.ready.fail(ChannelError.operationUnsupported)
        waiting.channel.embeddedEventLoop.run()
        #expect(waiting.host.told() == ["inactive"])
        #expect(waiting.wire.reads == 0)
        #expect(!waiting.channel.isActive)
    }

    @Test("where their doings with the first bytes end all, nothing follows")
    func theyClose() throws {
        let waiting = try Waiting()
        try waiting.channel.receive("second")
        waiting.channel.read()
        waiting.host.first = { $0.close(promise: nil) }
        waiting.isSetUp()
        #expect(waiting.host.told() == ["first", "inactive"])
    }

    @Test("a channel that has ended meanwhile is left alone")
    func ended() throws {
        let waiting = try Waiting()
        waiting.channel.read()
        waiting.channel.pipeline.fireChannelInactive()
        #expect(waiting.host.told() == ["inactive"])
        waiting.isSetUp()
        #expect(waiting.host.told() == [])
        #expect(waiting.wire.reads == 0)
        #expect(waiting.isDoorThere)
    }
}
