// The end of a transport, step by step: what is closed at once, what waits for what was written, and for how long.

import NIOCore
import NIOEmbedded
import NIOSSL
import TestSupport
import Testing

@testable import KHPProtocol
@testable import KHPWebSocket

@Suite("The end of the transport, on a channel in memory")
struct ConnectionHandlerEndTests {
    private static let close = maskedFrame(8, [3, 232])
    /// A frame that breaks the rules.
    private static let wrong: [UInt8] = [0x83, 0x80, 0, 0, 0, 0]

    /// A socket that keeps its marks, and whose channel stays open until the test has looked.
    private static func socket(
        _ transport: Transport = .socket,
        dialect: Dialect = .rfc6455,
        opens: Bool = true,
        _ configure: (inout ConnectionSettings) -> Void = { _ in }
    ) throws -> EmbeddedSocket {
        let socket = try EmbeddedSocket(dialect: dialect, transport: transport, opens: opens, configure)
        socket.wire.keepsMarks = true
        socket.wire.staysOpen = true
        return socket
    }

    @Test("where all has left the channel is closed at once, and nothing is waited for")
    func allHasLeft() throws {
        let socket = try Self.socket()
        socket.receive(Self.close)
        #expect(socket.sent().map(\.first) == [0x88])
        #expect(socket.wire.closes == [.all])
        #expect(socket.wire.marks.isEmpty)
        #expect(socket.closed.map(\.clean) == [true])
        socket.end()
    }

    @Test("what has not left is waited for, then the channel is closed")
    func unwritten() throws {
        let socket = try Self.socket()
        socket.wire.isHeld = true
        socket.receive(Self.close)
        #expect(socket.handler.unwrittenBytes > 0)
        #expect(socket.wire.closes.isEmpty)
        #expect(socket.wire.marks.count == 1)
        socket.wire.marks.first??.succeed()
        #expect(socket.wire.closes == [.all])
        socket.end()
    }

    @Test("a goodbye that could not be written takes nothing from a clean end that both sides have said")
    func failedFlush() throws {
        let socket = try Self.socket()
        socket.wire.isHeld = true
        socket.receive(Self.close)
        socket.wire.marks.first??.fail(ChannelError.ioOnClosedChannel)
        #expect(socket.handler.closeInfo?.clean == true)
        #expect(socket.handler.closeInfo?.error == nil)
        socket.end()
    }

    @Test("in hixie-75 an end is known once all has left", arguments: [true, false])
    func leaving(_ isWhole: Bool) async throws {
        let info = await withAwaitedEnd {
            try Self.socket(dialect: .hixie75)
        } _: { socket, _ in
            socket.wire.isHeld = true
            try socket.handler.sendMessage(.text, ByteBuffer(string: "a"))
            socket.handler.close(code: .normalClosure, reason: "")
            socket.run()
            #expect(socket.handler.closeInfo != nil)
            #expect(socket.handler.ending.settled == nil)
            if isWhole {
                socket.wire.marks.first??.succeed()
            } else {
                socket.wire.marks.first??.fail(ChannelError.eof)
            }
        }
        #expect(info?.clean == isWhole)
    }

    @Test("TLS that never came up has nothing to say: it is closed at once")
    func beforeTLS() throws {
        let socket = try Self.socket(.tls, opens: false)
        socket.handler.goAway()
        socket.run()
        #expect(socket.told == ["closed"])
        #expect(socket.wire.marks.isEmpty)
        #expect(socket.wire.closes == [.all])
        socket.end()
    }

    @Test("a peer that takes nothing for too long is left at once")
    func stalled() throws {
        let socket = try Self.socket()
        socket.wire.isHeld = true
        try socket.handler.sendMessage(.binary, ByteBuffer(repeating: 1, count: 40_000))
        socket.setWritable(false)
        socket.handler.timerFired(now: .now() + .seconds(30))
        #expect(socket.closed.map { $0.error?.code } == [.timeout])
        #expect(socket.wire.marks.isEmpty)
        #expect(socket.wire.closes == [.all])
        socket.end()
    }

    @Test("a peer that takes some of it is slow, not stalled")
    func slow() throws {
        let socket = try Self.socket()
        socket.wire.isHeld = true
        try socket.handler.sendMessage(.binary, ByteBuffer(repeating: 1, count: 40_000))
        socket.setWritable(false)
        #expect(socket.handler.writing.stall?.bytes == socket.handler.unwrittenBytes)
        socket.wire.isHeld = false
        socket.channel.flush()
        socket.handler.timerFired(now: .now() + .seconds(15))
        socket.handler.timerFired(now: .now() + .seconds(30))
        #expect(socket.closed.isEmpty)
        socket.end()
    }

    @Test("a refused peer that is still sending has the stream's end, a second to read it, and is left")
    func lingers() throws {
        let socket = try Self.socket()
        socket.receive(Self.wrong)
        #expect(socket.closed.map(\.error?.code) == [.protocolViolation])
        #expect(socket.wire.closes.isEmpty)
        socket.wire.marks.first??.succeed()
        #expect(socket.wire.closes == [.output])
        // Nobody keeps the bytes that it goes on sending, and the end of its stream changes nothing.
        socket.receive([UInt8](repeating: 0x20, count: 1000))
        #expect(socket.handler.connection.inbound.readableBytes == 0)
        socket.advance(by: .milliseconds(999))
        #expect(socket.wire.closes == [.output])
        socket.advance(by: .milliseconds(1))
        #expect(socket.wire.closes == [.output, .all])
        socket.end()
    }

    @Test("a refused peer that has ended its own stream has its second too")
    func lingersBehindTheEnd() throws {
        let socket = try Self.socket()
        socket.receive(Self.wrong)
        socket.endInput()
        socket.wire.marks.first??.succeed()
        #expect(socket.wire.closes == [.output])
        socket.end()
    }

    @Test("TLS has a second for the peer's goodbye", arguments: [false, true])
    func goodbye(isRefused: Bool) throws {
        let socket = try Self.socket(.tls)
        socket.receive(isRefused ? Self.wrong : Self.close)
        #expect(socket.wire.closes.isEmpty)
        socket.wire.marks.first??.succeed()
        #expect(socket.wire.closes == [.all])
        socket.advance(by: .milliseconds(999))
        #expect(socket.wire.closes == [.all])
        socket.advance(by: .milliseconds(1))
        #expect(socket.wire.closes == [.all, .all])
        socket.end()
    }

    @Test("of a peer that has ended its stream no goodbye can come: TLS is left as soon as all has left")
    func noGoodbye() throws {
        for isBefore in [true, false] {
            let socket = try Self.socket(.tls)
            socket.receive(Self.close)
            if isBefore {
                socket.wire.isHeld = true
                socket.channel.write(ByteBuffer(string: "x"), promise: nil)
                socket.endInput()
                #expect(socket.wire.closes.isEmpty)
            }
            socket.wire.marks.first??.succeed()
            if !isBefore { socket.endInput() }
            #expect(socket.wire.closes == [.all, .all], "\(isBefore)")
            socket.end()
        }
    }

    @Test("a peer that takes none of what is left is given up after ten seconds, one that takes some is not")
    func flushes() throws {
        for takesSome in [false, true] {
            let socket = try Self.socket()
            socket.wire.isHeld = true
            try socket.handler.sendMessage(.binary, ByteBuffer(repeating: 1, count: 40_000))
            socket.receive(Self.close)
            socket.advance(by: .seconds(9))
            if takesSome {
                socket.wire.isHeld = false
                socket.channel.flush()
                socket.wire.isHeld = true
                socket.channel.write(ByteBuffer(string: "x"), promise: nil)
            }
            #expect(socket.wire.closes.isEmpty)
            socket.advance(by: .seconds(1))
            #expect(socket.wire.closes == (takesSome ? [] : [.all]))
            socket.end()
        }
    }

    @Test("a channel that has closed is closed no more")
    func isGone() throws {
        let socket = try EmbeddedSocket()
        socket.wire.keepsMarks = true
        socket.end()
        #expect(socket.wire.closes == [.all])
        #expect(socket.wire.marks.isEmpty)
        #expect(socket.told.last == "closed")
    }

    @Test("the end is told once, whoever finds it")
    func once() throws {
        let socket = try Self.socket()
        let info = CloseInfo(code: .normalClosure, reason: "", clean: true, initiator: .local)
        socket.handler.finish(info)
        socket.handler.finish(CloseInfo(code: .abnormal, reason: "", clean: false, initiator: .peer))
        #expect(socket.closed.map(\.code) == [.normalClosure])
        #expect(socket.handler.closeInfo?.code == .normalClosure)
        socket.end()
    }

    @Test("nobody holds the socket any more: it is closed with 1001, and what is unread behind an end goes")
    func abandoned() throws {
        let live = try Self.socket()
        live.handler.abandoned()
        live.run()
        #expect(live.sent().map(\.payload) == [[3, 233]])
        live.end()

        let ended = try Self.socket { $0.limits.inboundQueueMessages = 1 }
        ended.receive(maskedFrame(2, [1]) + maskedFrame(2, [2]) + maskedFrame(2, [3]))
        ended.end()
        #expect(ended.handler.connection.hasUnread)
        ended.handler.abandoned()
        #expect(!ended.handler.connection.hasUnread)
        #expect(!ended.handler.isDelivering)
    }

    @Test("what had arrived before the end comes as the application takes it, within the bounds of its queue")
    func unread() throws {
        let socket = try Self.socket { $0.limits.inboundQueueMessages = 2 }
        socket.receive((1...10).flatMap { maskedFrame(2, [$0]) })
        socket.end()
        var taken: [UInt8] = []
        taking: while true {
            #expect(socket.inbox.queued.messages <= 2)
            switch socket.inbox.take() {
            case .item(let item, let drained):
                taken += item.bytes.readableBytesView
                if drained { socket.handler.caughtUp(isIdle: false) }
            case .nothing, .end:
                break taking
            }
        }
        #expect(taken == Array(1...10))
        #expect(socket.inbox.isFinished)
    }

    @Test("an error ends the channel; TLS that ends without a goodbye leaves time for answers")
    func errors() throws {
        let broken = try Self.socket()
        broken.channel.pipeline.fireErrorCaught(IOError(errnoCode: 104, reason: "read"))
        #expect(broken.wire.closes.contains(.all))
        #expect(broken.closed.count == 1)
        broken.end()

        let unclean = try Self.socket(.tls)
        unclean.receive(maskedFrame(1, [0x61]) + Self.close)
        unclean.channel.pipeline.fireErrorCaught(NIOSSLError.uncleanShutdown)
        #expect(unclean.wire.closes.isEmpty)
        #expect(unclean.closed.isEmpty)
        unclean.end()

        // Where nothing came before, nothing is to be answered.
        let quiet = try Self.socket(.tls)
        quiet.channel.pipeline.fireErrorCaught(NIOSSLError.uncleanShutdown)
        #expect(quiet.closed.count == 1)
        #expect(quiet.wire.closes == [.all])
        quiet.end()

        // Behind the end there is no answer to wait for.
        let over = try Self.socket(.tls)
        over.receive(Self.close)
        over.channel.pipeline.fireErrorCaught(NIOSSLError.uncleanShutdown)
        #expect(over.wire.closes == [.all])
        over.end()
    }
}
