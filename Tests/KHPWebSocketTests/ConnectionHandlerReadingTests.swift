// Back-pressure on a channel in memory: when nothing is read, who ends that, and when the peer's close is answered.

import KHPProtocol
import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import KHPWebSocket

@Suite("Reading, pauses and held closes, on a channel in memory")
struct ConnectionHandlerReadingTests {
    private static let close = maskedFrame(8, [3, 232])

    private static func messages(_ numbers: ClosedRange<UInt8>) -> [UInt8] { numbers.flatMap { maskedFrame(2, [$0]) } }

    private static func socket(queued: Int = 2) throws -> EmbeddedSocket {
        try EmbeddedSocket { $0.limits.inboundQueueMessages = queued }
    }

    @Test("the channel is told where its reading changes, and not again")
    func channel() {
        var reading = ConnectionHandler.Reading()
        let answers = [true, false, false, true, true, false].map { reading.setChannel($0) }
        #expect(answers == [false, true, false, true, false, true])
    }

    @Test("messages that find no room stop the reading, until half of them are taken")
    func pauses() throws {
        let socket = try Self.socket(queued: 4)
        socket.receive(Self.messages(1...6))
        #expect(socket.inbox.queued.messages == 4)
        #expect(!socket.isReading)
        // Whatever is driven meanwhile.
        socket.handler.drive()
        socket.receive(Self.messages(7...8))
        #expect(socket.inbox.queued.messages == 4)
        #expect(!socket.isReading)
        for taken in 1...2 {
            guard case .item(_, let drained) = socket.inbox.take() else { return #expect(Bool(false)) }
            #expect(drained == (taken == 2))
        }
        let reads = socket.wire.reads
        socket.handler.caughtUp(isIdle: false)
        #expect(socket.inbox.queued.messages == 4)
        #expect(!socket.isReading)
        while case .item(_, let drained) = socket.inbox.take() { if drained { socket.handler.caughtUp(isIdle: false) } }
        #expect(socket.isReading)
        #expect(socket.wire.reads > reads)
        // Nothing is paused: nobody asks for a read.
        let before = socket.wire.reads
        socket.handler.resumeReading()
        #expect(socket.wire.reads == before)
        socket.end()
    }

    @Test("the time of an unfinished message stands still in a pause and goes on behind it (threat B8)")
    func unfinishedMessage() throws {
        let socket = try EmbeddedSocket { $0.keepAlive.pingInterval = nil }
        socket.receive(Array(maskedFrame(2, [1, 2, 3]).prefix(7)))
        func deadline() -> NIODeadline? { socket.handler.connection.deadline }
        let first = try #require(deadline())
        socket.handler.resumeReading()
        socket.handler.resumeReadingAfterCongestion()
        #expect(deadline() == first)
        // The time before a pause is the message's.
        let begun = NIODeadline.now()
        while NIODeadline.now() - begun < .milliseconds(2) {}
        for isCongestion in [false, true] {
            let before = try #require(deadline())
            let paused = NIODeadline.now()
            socket.handler.pauseReading()
            if isCongestion { socket.handler.resumeReadingAfterCongestion() } else { socket.handler.resumeReading() }
            let pause = NIODeadline.now() - paused
            let after = try #require(deadline())
            #expect(after >= before && after - before <= pause, "\(isCongestion)")
        }
        socket.end()
    }

    @Test("while this side closes, the peer's close frame is read past messages that nobody takes")
    func closing() throws {
        let socket = try Self.socket()
        socket.receive(Self.messages(1...3))
        #expect(!socket.isReading)
        socket.handler.close(code: .normalClosure, reason: "")
        socket.run()
        #expect(socket.isReading)
        socket.receive(Self.close)
        #expect(socket.closed.map(\.clean) == [true])
        socket.end()
    }

    @Test("the answer to a close waits for the consumer, who says when it is done")
    func held() throws {
        let socket = try Self.socket(queued: 8)
        socket.receive(Self.messages(1...1) + Self.close)
        socket.run()
        #expect(socket.sent().isEmpty)
        #expect(socket.handler.state == .closing)
        guard case .item = socket.inbox.take() else { return #expect(Bool(false)) }
        socket.handler.caughtUp(isIdle: false)
        socket.run()
        #expect(socket.sent().isEmpty)
        guard case .nothing(isAwaited: true) = socket.inbox.take() else { return #expect(Bool(false)) }
        socket.handler.caughtUp(isIdle: true)
        socket.run()
        #expect(socket.sent().map(\.first) == [0x88])
        #expect(socket.closed.map(\.clean) == [true])
        socket.end()
    }

    @Test("where nothing waits to be taken, the close is answered at once, also where a task begins to wait later")
    func nothingHeld() async throws {
        let socket = try Self.socket()
        socket.receive(Self.close)
        #expect(socket.sent().map(\.first) == [0x88])
        socket.end()

        let info = await withUnsafeContinuation { (continuation: UnsafeContinuation<CloseInfo?, Never>) in
            do {
                let socket = try Self.socket()
                socket.receive(Self.messages(1...1) + Self.close)
                guard case .item = socket.inbox.take(), case .nothing = socket.inbox.take() else {
                    return continuation.resume(returning: nil)
                }
                let wait = TaskWait()
                socket.handler.whenClosed(wait, continuation)
                socket.run()
                #expect(socket.sent().map(\.first) == [0x88])
                socket.handler.giveUp(wait)
                socket.end()
            } catch {
                continuation.resume(returning: nil)
            }
        }
        #expect(info?.clean == true)
    }

    /// An event within a tenth of a second behind a close that is held for a message.
    enum Meanwhile: CaseIterable, Sendable {
        case nothing, consumerBegins, waiterLeaves

        var isAnswered: Bool { self == .nothing }
    }

    @Test("a task that waits for the end gives a consumer a tenth of a second to begin", arguments: Meanwhile.allCases)
    func beginning(_ meanwhile: Meanwhile) async throws {
        _ = await withAwaitedEnd {
            try Self.socket(queued: 8)
        } _: { socket, wait in
            // The time runs from the close, not from the task's wait.
            socket.advance(by: .milliseconds(60))
            socket.receive(Self.messages(1...2) + Self.close)
            socket.advance(by: .milliseconds(99))
            #expect(socket.sent().isEmpty)
            switch meanwhile {
            case .nothing: break
            case .consumerBegins: _ = socket.inbox.take()
            case .waiterLeaves: socket.handler.giveUp(wait)
            }
            socket.advance(by: .milliseconds(1))
            #expect(socket.sent().map(\.first) == (meanwhile.isAnswered ? [0x88] : []))
        }
    }

    @Test("a task that begins to wait while a close is held for messages gives a consumer as long")
    func waitsLate() async throws {
        let info = await withUnsafeContinuation { (continuation: UnsafeContinuation<CloseInfo?, Never>) in
            do {
                let socket = try Self.socket(queued: 8)
                socket.receive(Self.messages(1...1) + Self.close)
                let wait = TaskWait()
                socket.handler.whenClosed(wait, continuation)
                socket.advance(by: .milliseconds(99))
                #expect(socket.sent().isEmpty)
                socket.advance(by: .milliseconds(1))
                #expect(socket.sent().map(\.first) == [0x88])
                socket.handler.giveUp(wait)
                socket.end()
            } catch {
                continuation.resume(returning: nil)
            }
        }
        #expect(info?.clean == true)
    }

    @Test("a task that waits for the end while nothing is held changes nothing")
    func waitsEarly() async throws {
        let info = await withAwaitedEnd {
            try Self.socket(queued: 8)
        } _: { socket, wait in
            socket.receive(Self.messages(1...1))
            socket.handler.answerCloseThatNobodyHolds()
            socket.advance(by: .milliseconds(60))
            socket.receive(Self.close)
            socket.advance(by: .milliseconds(60))
            #expect(socket.sent().isEmpty)
            socket.advance(by: .milliseconds(40))
            #expect(socket.sent().map(\.first) == [0x88])
            #expect(socket.closed.count == 1)
        }
        #expect(info?.clean == true)
    }

    @Test("congestion that ends lets read on, unless the handler has asked for the pause itself")
    func congestion() throws {
        for isOwn in [false, true] {
            let taking = Taking()
            let socket = try EmbeddedSocket(messages: taking)
            socket.setWritable(false)
            #expect(socket.handler.reading.isPaused)
            if isOwn { EventLoopSocket(socket.handler).pauseReading() }
            socket.receive(Self.messages(1...2))
            #expect(taking.taken.isEmpty)
            #expect(!socket.isReading)
            let reads = socket.wire.reads
            socket.setWritable(true)
            #expect(taking.taken == (isOwn ? [] : [1, 2]))
            #expect(socket.isReading == !isOwn)
            EventLoopSocket(socket.handler).resumeReading()
            #expect(taking.taken == [1, 2])
            #expect(socket.isReading)
            #expect(socket.wire.reads == reads + 1)
            socket.setWritable(true)
            #expect(socket.wire.reads == reads + 1)
            socket.end()
        }
    }

    private final class Taking: MessageHandler {
        var taken: [UInt8] = []

        func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {
            self.taken += message.bytes.readableBytesView
        }
    }

    /// Pauses at each message.
    private final class Pausing: MessageHandler {
        var bytes = 0
        var info: CloseInfo?

        func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {
            self.bytes += message.bytes.readableBytes
            socket.pauseReading()
        }

        func closed(_ info: CloseInfo) { self.info = info }
    }

    @Test("while this side closes, a handler in its pause is handed no more than a queue holds")
    func closingInPause() throws {
        let pausing = Pausing()
        let socket = try EmbeddedSocket(messages: pausing) { $0.limits.inboundQueueBytes = 1000 }
        let message = maskedFrame(2, Array(repeating: 7, count: 100))
        socket.receive(message)
        #expect(!socket.isReading)
        socket.handler.close(code: .normalClosure, reason: "")
        socket.run()
        for _ in 0..<10 { socket.receive(message) }
        #expect(pausing.bytes == 1100)
        #expect(!socket.handler.reading.hasLost)
        for _ in 0..<10 { socket.receive(message + message) }
        #expect(pausing.bytes == 1100)
        #expect(EventLoopSocket(socket.handler).hasLostMessages)
        // Messages that are wanted again arrive.
        EventLoopSocket(socket.handler).resumeReading()
        socket.receive(message)
        #expect(pausing.bytes == 1200)
        socket.receive(Self.close)
        #expect(socket.closed.map(\.clean) == [true] && pausing.info?.clean == true)
        socket.end()
    }

    @Test("behind a close of ours with 1008 nothing of the peer's arrives but its close", arguments: [false, true])
    func withdrawn(_ isEndOfSession: Bool) throws {
        let taking = Taking()
        let ofHandler = try EmbeddedSocket(messages: taking)
        let ofInbox = try Self.socket(queued: 100)
        for socket in [ofHandler, ofInbox] {
            socket.receive(Self.messages(1...2))
            if isEndOfSession {
                socket.handler.moveSessionEnd(to: .now())
                socket.handler.timerFired(now: .now())
            } else {
                socket.handler.close(code: .policyViolation, reason: "enough")
                socket.run()
            }
            #expect(socket.sent().map { $0.payload.prefix(2) } == [[3, 240]])
            socket.receive(Self.messages(3...4))
            socket.receive(maskedFrame(1, [0x61], final: false) + maskedFrame(9, [1]) + maskedFrame(0, [0x62]))
            socket.receive(Self.close)
            #expect(socket.closed.map(\.clean) == [true])
            socket.end()
        }
        #expect(taking.taken == [1, 2] && EventLoopSocket(ofHandler.handler).hasLostMessages)
        #expect(ofInbox.inbox.queued.messages == 2 && ofInbox.inbox.hasLost)
    }

    @Test("behind any other close of ours what is under way arrives")
    func orderly() throws {
        let taking = Taking()
        let socket = try EmbeddedSocket(messages: taking)
        socket.handler.close(code: .serviceRestart, reason: "")
        socket.run()
        socket.receive(Self.messages(3...4) + Self.close)
        #expect(taking.taken == [3, 4] && socket.closed.map(\.clean) == [true])
        #expect(!EventLoopSocket(socket.handler).hasLostMessages)
        socket.end()
    }

    // MARK: Stalls

    @Test("the answer to a ping is followed while it has not left, once, and only the newest goes behind it")
    func pings() throws {
        let socket = try Self.socket()
        socket.wire.keepsMarks = true
        socket.receive(maskedFrame(9, [1]))
        #expect(socket.sent().map(\.payload) == [[1]])
        #expect(socket.wire.marks.isEmpty, "it has left already")

        socket.wire.isHeld = true
        socket.receive(maskedFrame(9, [2]))
        #expect(socket.wire.marks.count == 1)
        for number in 3...5 as ClosedRange<UInt8> { socket.receive(maskedFrame(9, [number])) }
        try socket.handler.sendMessage(.binary, ByteBuffer(bytes: [9]))
        socket.run()
        #expect(socket.wire.marks.count == 1)
        socket.wire.isHeld = false
        socket.wire.marks.first??.succeed()
        socket.run()
        #expect(socket.sent().filter { $0.first == 0x8A }.map(\.payload) == [[2], [5]])
        socket.end()
    }

    @Test("a peer that keeps up is not looked at")
    func keepsUp() throws {
        let socket = try Self.socket()
        #expect(socket.handler.writing.stall == nil)
        socket.handler.lookAtStall(now: .now())
        #expect(socket.handler.writing.stall == nil)
        socket.wire.isHeld = true
        try socket.handler.sendMessage(.binary, ByteBuffer(repeating: 1, count: 40_000))
        socket.setWritable(false)
        let later = NIODeadline.now() + .seconds(3)
        socket.handler.lookAtStall(now: later)
        #expect(socket.handler.writing.stall?.lookedAt == later)
        socket.end()
    }
}
