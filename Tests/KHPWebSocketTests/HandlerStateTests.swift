// The parts of a connection's handler that own its state, each without a channel: every call in every state that it tells
// apart.

import KHPProtocol
import NIOCore
import Testing

@testable import KHPWebSocket

@Suite struct HandlerStateTests {
    typealias Turn = ConnectionHandler.Turn
    typealias Writing = ConnectionHandler.Writing
    typealias Alarm = ConnectionHandler.Alarm
    typealias Ending = ConnectionHandler.Ending

    static func at(_ seconds: Int64) -> NIODeadline { .uptimeNanoseconds(0) + .seconds(seconds) }

    // MARK: Turn

    /// A turn as it is within a burst, within a drive, within both or neither.
    static func turn(bursting: Bool, driving: Bool) -> Turn {
        var turn = Turn()
        if bursting { _ = turn.beginBurst() }
        if driving { _ = turn.beginDrive(at: Self.at(1)) }
        return turn
    }

    @Test(arguments: [false, true], [false, true])
    func turns(bursting: Bool, driving: Bool) {
        var turn = Self.turn(bursting: bursting, driving: driving)
        expect(turn.beginBurst(), !bursting, "a burst begins once")

        turn = Self.turn(bursting: bursting, driving: driving)
        expect(turn.beginDrive(at: Self.at(2)), !driving, "a drive runs within no other")
        #expect(turn.hasMoreToDo == driving, "the one that runs goes on instead")
        #expect(turn.now == Self.at(driving ? 1 : 2))
        turn.endDrive()
        expect(turn.beginDrive(at: Self.at(3)), true)
        #expect(!turn.hasMoreToDo, "a new drive takes all there is")

        turn = Self.turn(bursting: bursting, driving: driving)
        expect(turn.abandonDrive(), driving, "only a drive that runs ends the connection later")
        #expect(turn.isAbandoned == driving)

        turn = Self.turn(bursting: bursting, driving: driving)
        expect(turn.mustScheduleFlush(), !bursting, "a burst ends with a flush")
        expect(turn.mustScheduleFlush(), false, "one flush for all that is said")
        turn.endBurst()
        turn.scheduledFlushBegins()
        expect(turn.mustScheduleFlush(), true)

        turn = Self.turn(bursting: bursting, driving: driving)
        expect(turn.takeReadEnd(), false)
        turn.awaitReadEnd()
        expect(turn.takeReadEnd(), true)
        expect(turn.takeReadEnd(), false, "the delegate is told once")
    }

    // MARK: Writing

    /// The marks in the order in which the channel and the handler make them, and the answers.
    @Test func writabilityCountsBehindTheWrite() {
        var writing = Writing()
        expect(writing.countsNow(), true)
        #expect(writing.isChannelWritable, "the channel is asked where to")
        writing.begin()
        expect(writing.countsNow(), false, "a large message fills the channel and leaves")
        expect(writing.end(), true)
        expect(writing.end(), false, "told once")
        writing.begin()
        expect(writing.end(), false)
    }

    @Test func stalls() throws {
        var writing = Writing()
        expect(writing.look(unwritten: 1, now: Self.at(1)), false, "nobody looks at a peer that keeps up")
        #expect(writing.stall == nil)
        writing.moved(to: false, unwritten: 100, now: Self.at(1))
        let rows: [(unwritten: Int, added: Int?, tookSome: Bool)] = [
            (100, nil, false),
            (90, nil, true),
            (90, 150, false),
            (140, nil, true),
            (160, nil, false),
        ]
        for (index, row) in rows.enumerated() {
            let now = Self.at(Int64(index) + 2)
            expect(writing.look(unwritten: row.unwritten, now: now), row.tookSome, "row \(index)")
            #expect(writing.stall?.lookedAt == now)
            if let added = row.added { writing.bytesWereAdded(now: added) }
        }
        writing.moved(to: true, unwritten: 0, now: Self.at(9))
        #expect(writing.stall == nil, "each episode is measured for itself")
        writing.moved(to: false, unwritten: 7, now: Self.at(10))
        #expect(writing.stall?.bytes == 7)
        writing.forgetStall()
        #expect(writing.stall == nil)
        #expect(!writing.isChannelWritable)
    }

    @Test func bufferedPayload() {
        var writing = Writing()
        expect(writing.payload(among: 12, sent: 10), 10, "headers do not count")
        expect(writing.payload(among: 6, sent: 10), 6)
        expect(writing.payload(among: 0, sent: 10), 0)
        expect(writing.payload(among: 12, sent: 15), 5, "only what was sent since")
    }

    // MARK: Alarm

    @Test func alarms() {
        var alarm = Alarm()
        expect(alarm.set(to: Self.at(10)), Self.at(10))
        expect(alarm.set(to: Self.at(20)), nil, "found out when the first one comes")
        expect(alarm.set(to: Self.at(10)), nil)
        expect(alarm.set(to: Self.at(5)), Self.at(5))
        alarm.fired()
        #expect(alarm.wakeUps == 1)
        alarm.rest(until: Self.at(30))
        expect(alarm.set(to: Self.at(7)), Self.at(30), "a deadline that stays in the past does not spin")
        alarm.fired()
        expect(alarm.set(to: Self.at(7)), Self.at(7))
        alarm.end()
        #expect(alarm.wakesAt == .distantFuture)
    }

    @Test func busyConnectionsLookOnce() {
        var alarm = Alarm()
        #expect(alarm.nextLook(Self.at(1)) == .distantFuture)
        _ = alarm.set(to: Self.at(10))
        #expect(!alarm.isSoon(Self.at(9)))
        #expect(alarm.isSoon(Self.at(10)))
        alarm.lookOnlyEach(.seconds(3))
        #expect(alarm.nextLook(Self.at(1)) == Self.at(4))
        #expect(!alarm.isSoon(Self.at(6)))
        #expect(alarm.isSoon(Self.at(7)), "woken before anything can come nearer")
    }

    // MARK: Ending

    @Test(arguments: [false, true])
    func endings(isWhole: Bool) throws {
        var ending = Ending()
        #expect(ending.settled == nil)
        ending.start()
        ending.end(CloseInfo(code: .normalClosure, reason: "", clean: true, initiator: .local))
        #expect(ending.settled != nil)
        ending.beginLeaving()
        #expect(ending.info != nil && ending.settled == nil, "ended, and not known how")
        ending.endLeaving(isWhole: isWhole)
        let info = try #require(ending.settled)
        #expect(info.clean == isWhole)
        #expect(info.error?.code == (isWhole ? nil : .timeout))
    }
}

/// As `#expect(answer == expected)`, which calls nothing that mutates.
func expect<Answer: Equatable>(
    _ answer: Answer,
    _ expected: Answer,
    _ comment: Comment? = nil,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(answer == expected, comment, sourceLocation: sourceLocation)
}
