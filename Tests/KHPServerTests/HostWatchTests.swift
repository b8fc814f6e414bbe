// The watch over somebody else's connection, over a channel in memory: what it holds, how long, and that their handlers are
// kept out once the connection is ours.

import KHPProtocol
import KHPWebSocket
import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import KHPServer

/// A connection of theirs in memory. Used on one thread, without an `await` in between.
private final class Watched {
    let state: ServerState
    let wire = MemoryWire()
    let host = MemoryHost()
    let watch: HostWatch
    let channel: EmbeddedChannel
    var loop: EmbeddedEventLoop { self.channel.embeddedEventLoop }

    init(_ configure: (inout WebSocketMount.Configuration) -> Void = { _ in }) throws {
        var configuration = WebSocketMount.Configuration()
        configuration.timeouts.opening = .seconds(5)
        configure(&configuration)
        self.state = try ServerState(configuration: configuration, endpoints: [echo()])
        let port = SharedPort(.everyRequest, .none) {
            $0.eventLoop.makeSucceededVoidFuture()
        } isOwn: {
        }
        self.watch = HostWatch(self.state, port)
        self.channel = try .connected([self.wire, self.watch, self.host])
    }

    /// Closes the channel beneath the watch, which lets nobody behind it close one that is ours.
    deinit {
        self.wire.isStuck = false
        let end = try? self.channel.pipeline.syncOperations.context(handler: self.wire)
        end?.flush()
        end?.close(promise: nil)
        self.loop.run()
        _ = try? self.channel.finish(acceptAlreadyClosed: true)
    }

    /// Theirs, with a request of ours behind: the connection is ours, which answers with a refusal.
    func becomeOurs() throws {
        try self.channel.receive(get + refused)
        self.host.answer(fine)
        #expect(self.host.told().suffix(1) == ["inactive"])
        #expect(try self.channel.written().hasPrefix(fine + "HTTP/1.1 400 "))
    }

    var context: ChannelHandlerContext {
        get throws { try self.channel.pipeline.syncOperations.context(handler: self.watch) }
    }
}

private let get = "GET /page HTTP/1.1\r\nHost: h\r\n\r\n"
/// An endpoint's, without a key.
private let refused = "GET /echo HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n"
/// Theirs: nothing behind it is theirs or ours before they have answered.
private let otherProtocol = "GET /other HTTP/1.1\r\nHost: h\r\nUpgrade: other\r\nConnection: upgrade\r\n\r\n"
private let fine = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

@Suite("The watch over another server's connection") struct HostWatchTests {
    @Test("a request of ours waits for the responses that are owed, and its connection is ours from there on")
    func ours() throws {
        let watched = try Watched()
        try watched.channel.receive(get + refused)
        #expect(watched.host.told() == [get, "complete"])
        // No more is read meanwhile.
        watched.channel.read()
        #expect(watched.wire.reads == 0)
        watched.host.answer(fine)
        #expect(watched.host.told() == ["inactive"])
        #expect(try watched.channel.written().hasPrefix(fine + "HTTP/1.1 400 "))
    }

    @Test("without room for it here a request of ours is theirs, and so is all behind it")
    func noRoom() throws {
        let watched = try Watched { $0.limits.pendingHandshakes = 1 }
        let entry = watched.state.enter(nil, isShared: true)
        #expect(entry != nil)
        try watched.channel.receive(refused)
        #expect(watched.host.told() == [refused, "complete"])
        try watched.channel.receive(refused)
        #expect(watched.host.told() == [refused, "complete"])
    }

    @Test("what is held is theirs once they have answered, in a read of its own, and reading goes on")
    func held() throws {
        let watched = try Watched()
        watched.channel.read()
        #expect(watched.wire.reads == 1)
        try watched.channel.receive(otherProtocol + get)
        #expect(watched.host.told() == [otherProtocol, "complete"])
        watched.channel.read()
        #expect(watched.wire.reads == 1)
        watched.host.answer(fine)
        #expect(watched.host.told() == [get, "complete"])
        #expect(watched.wire.reads == 2)
        watched.host.answer(fine)
        #expect(watched.wire.reads == 2)
        #expect(watched.host.told() == [])
    }

    // MARK: The end of the client's bytes

    @Test("the end of the client's bytes is told once, behind all that is theirs; other events pass")
    func ends() throws {
        let watched = try Watched()
        try watched.channel.receive(get)
        watched.channel.pipeline.fireUserInboundEventTriggered("event")
        #expect(watched.host.told() == [get, "complete", "event"])
        watched.host.answer(fine)
        try watched.channel.receive(otherProtocol + get)
        watched.channel.endInput()
        #expect(watched.host.told() == [otherProtocol, "complete"])
        watched.host.answer(fine)
        #expect(watched.host.told() == [get, "inputClosed", "complete"])
        watched.host.answer(fine)
        watched.channel.endInput()
        #expect(watched.host.told() == [])
    }

    @Test("part of a head is theirs once its rest cannot come")
    func endsInsideHead() throws {
        let watched = try Watched()
        try watched.channel.receive("GET /pa")
        watched.channel.endInput()
        #expect(watched.host.told() == ["complete", "GET /pa", "complete", "inputClosed"])
    }

    @Test("where the connection becomes ours, the end is not theirs")
    func endsAsOurs() throws {
        let watched = try Watched()
        try watched.channel.receive(get + refused)
        watched.channel.endInput()
        #expect(watched.host.told() == [get, "complete"])
        watched.host.answer(fine)
        #expect(watched.host.told() == ["inactive"])
    }

    // MARK: Patience

    @Test("part of a head waits for its rest for the time of an opening, and is theirs then")
    func patience() throws {
        let watched = try Watched()
        try watched.channel.receive("GET /pa")
        watched.loop.advanceTime(by: .milliseconds(2_500))
        try watched.channel.receive("ge HTT")
        watched.loop.advanceTime(by: .milliseconds(2_499))
        #expect(watched.host.told() == ["complete", "complete"])
        watched.loop.advanceTime(by: .milliseconds(1))
        #expect(watched.host.told() == ["GET /page HTT", "complete"])
        // All that comes is theirs from there on.
        try watched.channel.receive("P/1.1\r\nHost: h\r\n\r\n" + refused)
        #expect(watched.host.told() == ["P/1.1\r\nHost: h\r\n\r\n" + refused, "complete"])
    }

    @Test("heads that are complete in time, and pauses between requests, are no reason to give up")
    func patienceEnds() throws {
        let watched = try Watched()
        for _ in 0..<2 {
            for part in [get.prefix(9), get.dropFirst(9).prefix(9), get.dropFirst(18)] {
                try watched.channel.receive(String(part))
            }
            #expect(watched.host.told().filter { $0 != "complete" } == [get])
            watched.loop.advanceTime(by: .seconds(3600))
            watched.host.answer(fine)
        }
        try watched.channel.receive(refused)
        #expect(watched.host.told() == ["inactive"])
    }

    // MARK: Once it is ours

    @Test("their handlers are told nothing once the connection is ours")
    func toldNothing() throws {
        let watched = try Watched()
        try watched.becomeOurs()
        let context = try watched.context
        watched.watch.channelRead(context: context, data: NIOAny(ByteBuffer(string: get)))
        watched.watch.channelReadComplete(context: context)
        watched.watch.channelWritabilityChanged(context: context)
        watched.watch.userInboundEventTriggered(context: context, event: ChannelEvent.inputClosed)
        watched.watch.userInboundEventTriggered(context: context, event: "event")
        watched.watch.errorCaught(context: context, error: ChannelError.eof)
        watched.watch.channelInactive(context: context)
        watched.loop.advanceTime(by: .seconds(3600))
        #expect(watched.host.told() == [])
    }

    @Test("whatever their handlers still do, nothing of it reaches the connection that is ours")
    func doNothing() throws {
        let watched = try Watched()
        // Nothing keeps it from being closed by us.
        watched.wire.isStuck = true
        try watched.channel.receive(get + refused)
        watched.host.answer(fine)
        let context = try #require(watched.host.context)
        let flushes = watched.wire.flushes
        let written = context.eventLoop.makePromise(of: Void.self)
        let closed = context.eventLoop.makePromise(of: Void.self)
        let asked = context.eventLoop.makePromise(of: Void.self)
        context.write(watched.host.wrapOutboundOut(ByteBuffer(string: "late")), promise: written)
        context.flush()
        context.triggerUserOutboundEvent("event", promise: asked)
        context.close(promise: closed)
        var outcomes: [String] = []
        for promise in [written, closed, asked] {
            promise.futureResult.assumeIsolated().whenComplete { result in
                if case .failure(let error) = result { outcomes.append("\(error)") } else { outcomes.append("done") }
            }
        }
        #expect(outcomes == ["\(ChannelError.ioOnClosedChannel)", "done", "done"])
        watched.loop.run()
        #expect(watched.wire.flushes == flushes)
        #expect(watched.channel.isActive)
        watched.wire.isStuck = false
        try watched.channel.pipeline.syncOperations.context(handler: watched.wire).flush()
        #expect(try !watched.channel.written().contains("late"))
    }
}
