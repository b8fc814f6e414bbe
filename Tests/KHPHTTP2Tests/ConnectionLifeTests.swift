// The life of a connection of HTTP/2, over a channel in memory: how long it stays, whom it takes, and how it goes.

import KHPWebSocket
import NIOCore
import NIOEmbedded
import NIOHTTP2
import Testing

@testable import KHPHTTP2

/// A connection in memory. Used on one thread, without an `await` in between.
private final class Connection {
    let channel = EmbeddedChannel()
    let life: ConnectionLife
    var loop: EmbeddedEventLoop { self.channel.embeddedEventLoop }

    init(first: TimeAmount = .seconds(10), next: TimeAmount = .seconds(60)) throws {
        self.life = ConnectionLife(.init(first: first, next: next))
        try self.channel.pipeline.syncOperations.addHandler(self.life)
        try self.channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    }

    deinit { _ = try? self.channel.finish(acceptAlreadyClosed: true) }

    func quiesce() { self.channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent()) }

    func receiveGoAway(_ last: HTTP2StreamID = .maxID) throws {
        let frame = HTTP2Frame.FramePayload.goAway(lastStreamID: last, errorCode: .noError, opaqueData: nil)
        try self.channel.writeInbound(HTTP2Frame(streamID: .rootStream, payload: frame))
    }

    /// How many GOAWAY frames have been written since the last call.
    func goAways() throws -> Int {
        var count = 0
        while let frame = try self.channel.readOutbound(as: HTTP2Frame.self) {
            if case .goAway(.maxID, .noError, nil) = frame.payload { count += 1 }
        }
        return count
    }

    /// `true` once it is closed, behind what this turn of the loop writes.
    var isClosed: Bool {
        self.loop.run()
        return !self.channel.isActive
    }
}

@Suite("The life of a connection of HTTP/2") struct ConnectionLifeTests {
    @Test("streams behind the last of a GOAWAY were never taken (RFC 9113 section 6.8)")
    func left() throws {
        let connection = try Connection()
        #expect(connection.life.takePlace())
        #expect(!connection.life.isLeft(7))
        try connection.receiveGoAway()
        #expect(!connection.life.isLeft(7))
        // The last of all says it more exactly.
        try connection.receiveGoAway(5)
        #expect(connection.life.isLeft(7) && !connection.life.isLeft(5))
        try connection.receiveGoAway(0)
        #expect(connection.life.isLeft(1))
    }

    @Test("without a stream it says GOAWAY and goes, sooner before the first than behind the last (threat A18)")
    func idle() throws {
        let first = try Connection()
        first.loop.advanceTime(by: .milliseconds(9_999))
        #expect(try first.goAways() == 0 && !first.isClosed)
        first.loop.advanceTime(by: .milliseconds(1))
        #expect(try first.goAways() == 1 && first.isClosed)
        for isOurs in [false, true] {
            let next = try Connection()
            if isOurs { #expect(next.life.takePlace()) } else { next.life.streamOpened() }
            next.loop.advanceTime(by: .seconds(3600))
            #expect(try next.goAways() == 0 && !next.isClosed)
            if isOurs { next.life.givePlaceBack() } else { next.life.streamClosed() }
            next.loop.advanceTime(by: .milliseconds(59_999))
            #expect(try next.goAways() == 0 && !next.isClosed)
            next.loop.advanceTime(by: .milliseconds(1))
            #expect(try next.goAways() == 1 && next.isClosed)
        }
    }

    @Test("one of several streams that ends leaves the connection in use")
    func others() throws {
        let connection = try Connection()
        connection.life.streamOpened()
        connection.life.streamOpened()
        connection.life.streamClosed()
        connection.loop.advanceTime(by: .seconds(3600))
        #expect(try connection.goAways() == 0 && !connection.isClosed)
    }

    @Test("a place is given below the peer's bound, on a connection that is up and not about to go")
    func places() throws {
        let connection = try Connection()
        connection.life.mostStreams = 2
        #expect(connection.life.takePlace())
        #expect(connection.life.takePlace())
        #expect(!connection.life.takePlace())
        connection.life.givePlaceBack()
        #expect(connection.life.takePlace())
        connection.life.givePlaceBack()
        try connection.receiveGoAway()
        #expect(!connection.life.takePlace())
        let unconnected = EmbeddedChannel()
        defer { _ = try? unconnected.finish(acceptAlreadyClosed: true) }
        let life = ConnectionLife(.init(first: .seconds(1), next: .seconds(1)))
        try unconnected.pipeline.syncOperations.addHandler(life)
        #expect(!life.takePlace())
        #expect(!ConnectionLife(.init(first: .seconds(1), next: .seconds(1))).takePlace())
    }

    @Test("a shutdown, the client's end and the peer's GOAWAY let it go with the last stream; ours is said once")
    func leaves() throws {
        let rows: [(goAways: Int, leave: (Connection) throws -> Void)] = [
            (1, { $0.quiesce() }), (1, { $0.life.retire() }), (0, { try $0.receiveGoAway() }),
            (1, { $0.channel.pipeline.fireUserInboundEventTriggered(CarrierRetirement()) }),
        ]
        for (goAways, leave) in rows {
            let unused = try Connection()
            try leave(unused)
            #expect(try unused.goAways() == goAways && unused.isClosed)
            let used = try Connection()
            used.life.streamOpened()
            used.life.streamOpened()
            try leave(used)
            #expect(try used.goAways() == goAways && !used.isClosed)
            used.quiesce()
            used.life.retire()
            #expect(try used.goAways() == 0 && !used.isClosed)
            used.life.streamClosed()
            #expect(!used.isClosed)
            used.life.streamClosed()
            #expect(try used.goAways() == 0 && used.isClosed)
        }
    }

    @Test("an error of HTTP/2 has been answered; any other, and the end of the peer's bytes, close it")
    func errors() throws {
        struct Other: Error {}
        let connection = try Connection()
        connection.channel.pipeline.fireErrorCaught(NIOHTTP2Errors.streamClosed(streamID: 1, errorCode: .cancel))
        let late = NIOHTTP2Errors.createdStreamAfterGoaway()
        connection.channel.pipeline.fireErrorCaught(NIOHTTP2Errors.streamError(streamID: 3, baseError: late))
        #expect(!connection.isClosed)
        connection.channel.pipeline.fireErrorCaught(Other())
        #expect(connection.isClosed)
        let ended = try Connection()
        ended.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(ended.isClosed)
    }
}
