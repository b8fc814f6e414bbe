// Closing meets bytes that were sent before it, and clocks meet paused reading.

import KHPProtocol
import NIOCore
import Testing

@Suite("Closing while something else is under way")
struct ClosingSeamTests {
    @Test("the peer's time to answer a close begins anew while what was sent before is leaving")
    func slowReader() throws {
        var open = try OpenConnection(.server)
        open.connection.setCongested(true, now: open.now)
        open.connection.close(code: .normalClosure, reason: "", now: open.now)
        let timeout = TimeAmount(Timeouts().close)
        open.advance(to: OpenConnection.start + timeout - .seconds(1))
        open.connection.writesProgressed(now: open.now)
        open.advance(to: OpenConnection.start + timeout + .seconds(1))
        #expect(open.closed == nil)
        // It has all been taken: now the close frame is with the peer.
        open.connection.setCongested(false, now: open.now)
        open.advance(to: open.now + timeout - .milliseconds(1))
        #expect(open.closed == nil)
        open.advance(to: open.now + .milliseconds(1))
        #expect(open.closed?.code == .abnormal)
    }

    @Test("a text that is still being sent is not ended by the closing frame, as if it were whole")
    func hixieInText() throws {
        for closesFirst in [true, false] {
            var open = try OpenConnection(.server, dialect: .hixie76)
            let begun = MessageChunk(kind: .text, bytes: ByteBuffer(string: "half"), isFirst: true, isLast: false)
            try open.connection.send(begun, now: open.now)
            if closesFirst {
                open.connection.close(code: .internalError, reason: "", now: open.now)
                open.run()
            } else {
                open.receive([0xFF, 0x00])
            }
            #expect(open.written() == [0x00] + Array("half".utf8))
            #expect(open.closed?.clean == false)
        }
    }

    @Test("a closing frame is answered by the end of the stream (H69-8), and not by silence")
    func hixieUnanswered() throws {
        for isLate in [true, false] {
            var open = try OpenConnection(.server, dialect: .hixie76)
            open.connection.close(code: .normalClosure, reason: "", now: open.now)
            open.run()
            if isLate { open.advance(by: .seconds(10)) } else { open.endInput() }
            let closed = try #require(open.closed)
            #expect(!closed.clean)
            #expect((closed.error?.code == .closed) == isLate, "\(String(describing: closed.error))")
        }
    }

    @Test("an empty frame of an unknown type leaves nothing unfinished (W10-8)")
    func emptyUnknownFrame() throws {
        var reader = FrameCodec(.whatwg2010, role: .client)
        var input = ByteBuffer(bytes: [0x01] + [UInt8](repeating: 0, count: 8))
        let event = try reader.next(&input)
        guard case .dropped? = event else {
            Issue.record("\(String(describing: event))")
            return
        }
        #expect(reader.unfinishedMessage == nil)
    }

    /// Keep-alive without pings, while a message is unfinished that has 60 s.
    private static func amidMessage(since start: NIODeadline) -> KeepAlive {
        var machine = KeepAlive(
            pingInterval: nil,
            pongTimeout: .seconds(20),
            messageTimeout: .seconds(60),
            now: start
        )
        machine.unfinishedMessage(1, start)
        return machine
    }

    @Test("the time of an unfinished message stands still in a pause, and goes on behind it (threat B8)")
    func messageAcrossPause() {
        let start = OpenConnection.start
        var machine = Self.amidMessage(since: start)
        // The timer comes up in the pause, which began at 20 s.
        machine.readingIsPaused(start + .seconds(60))
        #expect(machine.deadline == nil)
        #expect(machine.expired(start + .seconds(60)) == nil)
        machine.unfinishedMessage(1, start + .seconds(70))
        #expect(machine.deadline == nil)
        machine.readingResumes(start + .seconds(100), pausedSince: start + .seconds(20))
        #expect(machine.deadline == start + .seconds(140))
        #expect(machine.expired(start + .seconds(140)) == .messageTooSlow)
    }

    @Test("short pauses, one after the other, give an unfinished message no more time than they take (threat B8)")
    func messageAcrossShortPauses() {
        let start = OpenConnection.start
        var machine = Self.amidMessage(since: start)
        for second in stride(from: Int64(10), through: 60, by: 10) {
            let now = start + .seconds(second)
            machine.readingResumes(now, pausedSince: now - .seconds(1))
        }
        #expect(machine.deadline == start + .seconds(66))
        #expect(machine.expired(start + .seconds(66)) == .messageTooSlow)
    }

    @Test("a message that began in a pause has all its time behind it, and a late timer is due at once")
    func messageBegunInPause() {
        let start = OpenConnection.start
        var machine = Self.amidMessage(since: start)
        machine.readingResumes(start + .seconds(30), pausedSince: start - .milliseconds(500))
        #expect(machine.deadline == start + .seconds(90))
        let late = start + .seconds(200)
        machine.readingIsPaused(late)
        machine.readingResumes(late, pausedSince: start + .seconds(120))
        #expect(machine.deadline == late + .nanoseconds(1))
    }

    @Test("a ping that goes out after a pause is watched")
    func pingAfterPause() {
        let start = OpenConnection.start
        var machine = KeepAlive(pingInterval: nil, pongTimeout: .seconds(20), now: start)
        machine.readingIsPaused(start + .seconds(5))
        _ = machine.ping(start + .seconds(6))
        #expect(machine.deadline == start + .seconds(26))
        #expect(machine.expired(start + .seconds(26)) == .timedOut)
    }
}
