import KHPProtocol
import NIOCore
import Testing

/// RFC 6455 section 7; threats B12, B13.
@Suite("Closing handshake")
struct ClosingHandshakeTests {
    /// The events of the table in `ClosingHandshake`.
    enum Event: String, CaseIterable, Sendable {
        case close, peer, fail, end, deadline
    }

    enum State: String, CaseIterable, Sendable {
        case open, closing, closed, leaving, over
    }

    private static let bye = ClosePayload(code: .normalClosure, reason: "bye")
    private static let away = ClosePayload(code: .goingAway, reason: "away")
    private static let violation = FrameViolation(closeCode: .protocolError, message: "wrong")
    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private static let late = start + .seconds(10)
    /// Until when a client that has seen both close frames leaves it to the server to end the stream (section 7.1.1).
    private static let soon = start + .seconds(1)

    private static func apply(_ event: Event, _ machine: inout ClosingHandshake) -> ClosingHandshake.Action {
        switch event {
        case .close: machine.close(bye, now: start)
        case .peer: machine.received(away, now: start)
        case .fail: machine.fail(violation, now: start)
        case .end: machine.inputClosed()
        case .deadline: machine.deadlineReached(now: late)
        }
    }

    private static func machine(_ role: Role, _ state: State) -> ClosingHandshake {
        var machine = ClosingHandshake(role: role, timeout: .seconds(10))
        switch state {
        case .open: break
        case .closing: _ = machine.close(bye, now: start)
        case .closed: _ = machine.received(away, now: start)
        case .leaving: _ = machine.fail(violation, now: start)
        case .over: _ = machine.inputClosed()
        }
        return machine
    }

    /// Every state and event, for both roles. (A server leaves where a client is closed.)
    @Test(arguments: [Role.client, .server])
    func everyCell(_ role: Role) {
        let failure = ClosePayload(code: .protocolError, reason: "wrong")
        let echo = ClosePayload(code: .goingAway)
        let isClient = role == .client
        for state in State.allCases where isClient || state != .closed {
            for event in Event.allCases {
                var machine = Self.machine(role, state)
                let action = Self.apply(event, &machine)
                let expected: ClosingHandshake.Action =
                    switch (state, event) {
                    case (.open, .close): .send(Self.bye)
                    case (.open, .peer): isClient ? .send(echo) : .sendThenDisconnect(echo)
                    case (.open, .fail): .sendThenDisconnect(failure)
                    case (.open, .end): .disconnect
                    case (.closing, .peer): isClient ? .none : .disconnect
                    case (.closing, .fail), (.closing, .end), (.closing, .deadline): .disconnect
                    case (.closed, .end), (.closed, .deadline): .disconnect
                    case (.leaving, .end), (.leaving, .deadline): .disconnect
                    default: .none
                    }
                #expect(action == expected, "\(state) × \(event)")
                // Whatever is still awaited is awaited until a deadline.
                let isWaiting = !machine.canSend && !(state == .over || action == .disconnect)
                let isClosed = isClient && (state == .closed || event == .peer && (state == .open || state == .closing))
                #expect(
                    machine.deadline == (isWaiting ? isClosed ? Self.soon : Self.late : nil),
                    "\(state) × \(event)"
                )
            }
        }
    }

    @Test(arguments: [Role.client, .server])
    func cleanWhicheverBegins(_ role: Role) {
        var local = Self.machine(role, .closing)
        _ = local.received(Self.away, now: Self.start)
        _ = local.inputClosed()
        #expect(local.outcome == .init(code: .goingAway, reason: "away", isClean: true, isLocal: true, sent: Self.bye))
        var remote = Self.machine(role, .open)
        _ = remote.received(Self.away, now: Self.start)
        _ = remote.inputClosed()
        let echo = ClosePayload(code: .goingAway)
        #expect(remote.outcome == .init(code: .goingAway, reason: "away", isClean: true, isLocal: false, sent: echo))
    }

    @Test func aCloseFrameWithoutCodeIsAnsweredBySuch() {
        var machine = ClosingHandshake(role: .server, timeout: .seconds(10))
        #expect(
            machine.received(ClosePayload(code: nil), now: Self.start) == .sendThenDisconnect(ClosePayload(code: nil))
        )
        #expect(machine.outcome.code == .noStatus)
        #expect(machine.outcome.isClean)
    }

    @Test func withoutTheOthersCloseFrameItIsNotClean() {
        for state in [State.open, .closing] {
            var machine = Self.machine(.client, state)
            _ = machine.inputClosed()
            #expect(machine.outcome.code == .abnormal)
            #expect(!machine.outcome.isClean)
            #expect(machine.outcome.isUnanswered == (state == .closing))
        }
    }

    /// One millisecond before the deadline nothing happens; at the deadline the connection is dropped.
    @Test(arguments: [State.closing, .closed, .leaving])
    func theWaitIsBounded(_ state: State) {
        var machine = Self.machine(.client, state)
        let end = state == .closed ? Self.soon : Self.late
        #expect(machine.deadline == end)
        #expect(machine.deadlineReached(now: end - .milliseconds(1)) == .none)
        #expect(machine.deadlineReached(now: end) == .disconnect)
        #expect(machine.deadline == nil)
    }

    /// A second close frame, or one more failure, neither sends anything nor moves the deadline.
    @Test func noEchoLoop() {
        var machine = Self.machine(.client, .closed)
        #expect(machine.received(Self.bye, now: Self.late) == .none)
        #expect(machine.fail(Self.violation, now: Self.late) == .none)
        #expect(machine.close(Self.bye, now: Self.late) == .none)
        #expect(machine.deadline == Self.soon)
        #expect(machine.outcome.code == .goingAway)
        #expect(!machine.canSend && !machine.canReceive)
    }
}
