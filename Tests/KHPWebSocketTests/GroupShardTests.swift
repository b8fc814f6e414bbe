// The members of a group on one event loop, on channels in memory: who gets what, and what becomes of those that are slow.

import KHPProtocol
import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import KHPWebSocket

@Suite("The members of a group on one event loop")
struct GroupShardTests {
    private static func options(_ slowMembers: WebSocketGroup.SlowMembers) -> WebSocketGroup.Options {
        var options = WebSocketGroup.Options()
        options.slowMembers = slowMembers
        options.queuedMessages = 3
        options.queuedBytes = 100
        return options
    }

    private static func texts(_ socket: EmbeddedSocket) -> [String] {
        socket.sent().filter { $0.first == 0x81 }.map { String(decoding: $0.payload, as: UTF8.self) }
    }

    private static func publish(_ group: WebSocketGroup, _ texts: [String]) -> [Bool] {
        texts.map { group.offer(.text($0)) }
    }

    @Test("who has entered behind a message does not get it, who has left gets nothing, and neither does the author")
    func order() throws {
        let group = WebSocketGroup()
        let loop = EmbeddedEventLoop()
        let sockets = try (0..<3).map { _ in try EmbeddedSocket(loop: loop) }
        let first = group.add(EventLoopSocket(sockets[0].handler))
        #expect(group.offer(.text("one")))
        let second = group.add(EventLoopSocket(sockets[1].handler))
        #expect(group.offer(.text("two")))
        #expect(group.offer(.text("three"), except: second))
        first.leave()
        #expect(group.offer(.text("four")))
        loop.run()
        #expect(Self.texts(sockets[0]) == ["one", "two", "three"])
        #expect(Self.texts(sockets[1]) == ["two", "four"])
        #expect(Self.texts(sockets[2]) == [])
        #expect(group.count == 1)
        for socket in sockets { socket.end() }
        #expect(group.count == 0)
        _ = group.add(EventLoopSocket(sockets[0].handler))
        #expect(group.count == 0)
    }

    @Test("topics: those who are subscribed at that moment, however often they have said so")
    func topics() throws {
        let group = WebSocketGroup()
        let socket = try EmbeddedSocket()
        let member = group.add(EventLoopSocket(socket.handler), topics: ["gold"])
        func publish(_ text: String, to topic: String) { #expect(group.offer(.text(text), to: topic)) }
        publish("1", to: "gold")
        member.subscribe(to: "gold")
        member.unsubscribe(from: "silver")
        publish("2", to: "gold")
        publish("3", to: "silver")
        member.unsubscribe(from: "gold")
        publish("4", to: "gold")
        member.subscribe(to: "silver")
        publish("5", to: "silver")
        socket.run()
        #expect(Self.texts(socket) == ["1", "2", "5"])
        socket.end()
    }

    @Test("what a slow member does not take waits in its turn, and goes out once it takes again")
    func queues() throws {
        let group = WebSocketGroup(options: Self.options(.dropOldest))
        let socket = try EmbeddedSocket()
        _ = group.add(EventLoopSocket(socket.handler))
        socket.setWritable(false)
        #expect(Self.publish(group, ["1", "2", "3", "4"]) == [true, true, true, true])
        socket.run()
        #expect(Self.texts(socket).isEmpty)
        #expect(socket.handler.waitingSenders == 1, "one wait for all of them")
        #expect(group.offer(.text("5")))
        socket.run()
        #expect(socket.handler.waitingSenders == 1)
        socket.setWritable(true)
        socket.run()
        #expect(Self.texts(socket) == ["3", "4", "5"])
        #expect(socket.handler.waitingSenders == 0)
        #expect(group.offer(.text("6")))
        socket.run()
        #expect(Self.texts(socket) == ["6"])
        socket.end()
    }

    @Test("the last message stays, however large it is")
    func largeMessages() throws {
        let group = WebSocketGroup(options: Self.options(.dropOldest))
        let socket = try EmbeddedSocket()
        _ = group.add(EventLoopSocket(socket.handler))
        socket.setWritable(false)
        let large = String(repeating: "x", count: 101)
        _ = Self.publish(group, ["1", large])
        socket.run()
        socket.setWritable(true)
        socket.run()
        #expect(Self.texts(socket) == [large])
        socket.end()
    }

    /// Sizes of messages, and how many of them a member may be behind.
    @Test(
        "a member is closed once it is behind by more than either bound",
        arguments: [([1, 1, 1, 1], 3), ([50, 50, 1], 2), ([100, 1], 1), ([101], 0)] as [([Int], Int)]
    )
    func closes(_ sizes: [Int], _ fits: Int) throws {
        let group = WebSocketGroup(options: Self.options(.close(code: .policyViolation, reason: "slow")))
        let socket = try EmbeddedSocket()
        var told = 0
        _ = group.add(EventLoopSocket(socket.handler)) { told += 1 }
        socket.setWritable(false)
        for (index, size) in sizes.enumerated() {
            #expect(group.offer(.binary(ByteBuffer(repeating: 1, count: size))))
            socket.run()
            #expect(group.count == (index < fits ? 1 : 0), "message \(index)")
        }
        #expect(told == 1)
        #expect(socket.handler.state == .closing)
        socket.end()
    }

    @Test("publishers wait while a member is full, and not for one that has become quick, however far it was behind")
    func waits() throws {
        let group = WebSocketGroup(options: Self.options(.wait(atMost: .seconds(10))))
        let socket = try EmbeddedSocket()
        _ = group.add(EventLoopSocket(socket.handler))
        socket.setWritable(false)
        // All of them before the first is delivered.
        #expect(Self.publish(group, ["1", "2", "3", "4", "5"]) == [true, true, true, true, true])
        socket.run()
        #expect(!group.offer(.text("no")))
        socket.setWritable(true)
        socket.run()
        #expect(Self.texts(socket) == ["1", "2", "3", "4", "5"])
        #expect(group.offer(.text("6")))
        socket.run()
        #expect(Self.texts(socket) == ["6"])
        socket.end()
    }

    @Test("a full member that leaves holds nobody up any more")
    func leavesFull() throws {
        let group = WebSocketGroup(options: Self.options(.wait(atMost: .seconds(10))))
        let loop = EmbeddedEventLoop()
        let (slow, quick) = (try EmbeddedSocket(loop: loop), try EmbeddedSocket(loop: loop))
        _ = group.add(EventLoopSocket(slow.handler))
        _ = group.add(EventLoopSocket(quick.handler))
        slow.setWritable(false)
        _ = Self.publish(group, ["1", "2", "3"])
        loop.run()
        #expect(!group.offer(.text("no")))
        slow.end()
        #expect(group.count == 1)
        #expect(group.offer(.text("4")))
        loop.run()
        #expect(Self.texts(quick) == ["1", "2", "3", "4"])
        quick.end()
    }

    @Test("a full member whose socket ends while it takes again is counted as full no more", arguments: [1, 40_000])
    func endsWhileTaking(size: Int) throws {
        var options = Self.options(.wait(atMost: .seconds(10)))
        options.queuedBytes = 1_000_000
        let group = WebSocketGroup(options: options)
        let loop = EmbeddedEventLoop()
        let (first, second) = (try EmbeddedSocket(loop: loop), try EmbeddedSocket(loop: loop))
        _ = group.add(EventLoopSocket(first.handler))
        first.setWritable(false)
        let message = WebSocketMessage.binary(ByteBuffer(repeating: 1, count: size))
        for _ in 0..<3 { #expect(group.offer(message)) }
        loop.run()
        #expect(!group.offer(message))
        first.wire.onWrite = { [channel = first.channel] in channel.close(promise: nil) }
        first.setWritable(true)
        loop.run()
        #expect(group.count == 0)
        first.wire.onWrite = nil
        _ = group.add(EventLoopSocket(second.handler))
        second.setWritable(false)
        for _ in 0..<3 { #expect(group.offer(message)) }
        loop.run()
        #expect(!group.offer(message), "the second one is full")
        first.end()
        second.end()
    }

    @Test(
        "a member that is told of its slowness may end every socket: the others are not told, and nobody waits",
        arguments: [[1, 1, 1, 1], [101]]
    )
    func endsOthers(sizes: [Int]) throws {
        let group = WebSocketGroup(options: Self.options(.close()))
        let loop = EmbeddedEventLoop()
        let sockets = try (0..<2).map { _ in try EmbeddedSocket(loop: loop) }
        var told = 0
        for socket in sockets {
            _ = group.add(EventLoopSocket(socket.handler)) {
                told += 1
                for other in sockets { other.handler.abort() }
            }
            socket.setWritable(false)
        }
        for size in sizes { #expect(group.offer(.binary(ByteBuffer(repeating: 1, count: size)))) }
        loop.run()
        #expect(told == 1)
        #expect(group.count == 0)
        #expect(sockets.map { $0.handler.waitingSenders } == [0, 0])
        for socket in sockets { socket.end() }
    }

    @Test("a flush that has others flushed leaves them for the next time")
    func flushes() throws {
        let loop = EmbeddedEventLoop()
        let (one, other) = (try EmbeddedSocket(loop: loop), try EmbeddedSocket(loop: loop))
        let flushes = SharedFlushes()
        let message = SharedMessage(.text, ByteBuffer(string: "a"))
        flushes.perform()
        try one.handler.sendMessage(message, flushes)
        one.wire.onWrite = {
            one.wire.onWrite = nil
            #expect(throws: Never.self) { try other.handler.sendMessage(message, flushes) }
        }
        flushes.perform()
        #expect(Self.texts(one) == ["a"])
        #expect(Self.texts(other).isEmpty)
        flushes.perform()
        #expect(Self.texts(one).isEmpty)
        #expect(Self.texts(other) == ["a"])
        one.end()
        other.end()
    }
}
