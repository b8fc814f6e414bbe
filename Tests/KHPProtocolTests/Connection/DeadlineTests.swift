// A deadline that has passed is acted on or goes: one that stays in the past is a loop at full speed.

import KHPProtocol
import NIOCore
import Testing

@Suite("Deadlines never stay in the past")
struct DeadlineTests {
    /// The states in which an open connection may be.
    enum State: String, CaseIterable, CustomTestStringConvertible {
        case quiet = "open and silent"
        case pinged = "our ping unanswered"
        case paused = "open, the application takes nothing"
        case unfinished = "a message begun by the peer"
        case idle = "with an idle time"
        case session = "with a session's end"
        case allAtOnce = "with all of these"
        case closingByUs = "our close unanswered"
        case closingPaused = "our close unanswered, the application takes nothing"
        case closingStalled = "our close behind bytes that the peer does not take"
        case closed = "both close frames seen"
        case closedStalled = "both close frames seen, the last bytes not taken"
        case held = "the answer to the peer's close held back"
        case heldStalled = "the answer held back, and the peer takes nothing"
        case heldAfterEnd = "the answer held back, and the peer's stream over"
        case stalled = "the peer takes nothing"
        case stalledPaused = "the peer takes nothing, nor does the application"
        case extended = "an extension that asks for a time in the past"
        case left = "failed over a violation"
        case ended = "over"

        var testDescription: String { self.rawValue }
    }

    /// Asks to be called at times that have passed.
    private struct Hasty: WebSocketExtension {
        let name = "x-hasty"

        func makeTransform(role: Role, parameters: ExtensionParameters) -> (any MessageTransform)? {
            Transform()
        }

        struct Transform: MessageTransform {
            mutating func opened(_ scope: inout ExtensionScope) { scope.deadline = scope.now - .seconds(1) }
            mutating func deadlineReached(_ scope: inout ExtensionScope) { scope.deadline = scope.now - .seconds(1) }
        }
    }

    private func connection(_ state: State, _ role: Role) throws -> OpenConnection {
        var open = try OpenConnection(
            role,
            extensions: state == .extended ? [Hasty()] : [],
            sessionLifetime: state == .session || state == .allAtOnce ? .seconds(100) : nil
        ) {
            if state == .idle || state == .allAtOnce { $0.keepAlive.idleTimeout = .seconds(90) }
        }
        switch state {
        case .quiet, .idle, .session, .extended:
            break
        case .pinged:
            open.advance(by: .seconds(20))
            #expect(open.written().first == 0x89)
        case .paused:
            open.isPaused = true
            open.receive(open.text("unread"))
        case .unfinished:
            open.receive(open.frame(0x01, [0x61]))
        case .allAtOnce:
            open.receive(open.frame(0x01, [0x61]))
            open.connection.setCongested(true, now: open.now)
        case .closingByUs:
            open.connection.close(code: .normalClosure, reason: "", now: open.now)
        case .closingPaused:
            open.isPaused = true
            open.receive(open.text("unread"))
            open.connection.close(code: .normalClosure, reason: "", now: open.now)
        case .closingStalled:
            open.connection.setCongested(true, now: open.now)
            open.connection.close(code: .normalClosure, reason: "", now: open.now)
        case .closed:
            open.connection.close(code: .normalClosure, reason: "", now: open.now)
            open.receive(open.frame(0x88, [3, 232]))
        case .closedStalled:
            open.connection.setCongested(true, now: open.now)
            open.receive(open.frame(0x88, [3, 232]))
        case .held, .heldStalled, .heldAfterEnd:
            open.connection.socket.holdsClose = true
            if state == .heldStalled { open.connection.setCongested(true, now: open.now) }
            open.receive(open.frame(0x88, [3, 232]))
            #expect(open.connection.socket.heldClose != nil)
            if state == .heldAfterEnd { open.endInput() }
        case .stalled:
            open.connection.setCongested(true, now: open.now)
        case .stalledPaused:
            open.isPaused = true
            open.receive(open.text("unread"))
            open.connection.setCongested(true, now: open.now)
        case .left:
            open.receive(open.frame(0x83))
        case .ended:
            open.endInput()
        }
        return open
    }

    @Test("whatever an open connection is in, and however late it is woken", arguments: State.allCases)
    func open(_ state: State) throws {
        for role in [Role.client, .server] {
            let begun = try self.connection(state, role)
            // At its deadline, and long after all that could be due.
            for late in [TimeAmount.nanoseconds(0), .seconds(95), .hours(3)] {
                var open = begun
                var wakeUps = 0
                // A peer that says nothing is given up; until then it is woken now and then.
                let end = open.now + .hours(6)
                while open.closed == nil, let deadline = open.connection.deadline, deadline < end {
                    open.now = max(open.now, deadline) + (wakeUps == 0 ? late : .nanoseconds(0))
                    if open.isPaused { open.connection.readingIsPaused(now: open.now) }
                    open.connection.timeReached(now: open.now)
                    let next = open.connection.deadline
                    wakeUps += 1
                    guard next.map({ $0 > open.now }) ?? true else {
                        Issue.record("\(state.rawValue), \(role): woken at \(open.now), and wants to be at once again")
                        break
                    }
                    open.run()
                    if state == .extended, wakeUps > 100 { break }
                    guard wakeUps < 3000 else {
                        Issue.record("\(state.rawValue), \(role): woken \(wakeUps) times")
                        break
                    }
                }
                // A paused peer is not taken for dead; all others are over within minutes.
                let mayStay = state == .paused || state == .extended
                #expect((open.closed != nil) == !mayStay, "\(state.rawValue), \(role), \(wakeUps) times")
                if !mayStay { #expect(wakeUps < 12, "\(state.rawValue), \(role)") }
            }
        }
    }

    @Test("before a socket is open")
    func handshakes() throws {
        // Before TLS, before and within the opening request; those of both handshakes are walked by transcripts.
        for text in [nil, "", "GET /trades HT"] {
            for role in [Role.client, .server] {
                let now = OpenConnection.start
                var connection =
                    role == .server
                    ? Connection(server: ConnectionConfiguration(), isSecure: text == nil, now: now)
                    : try Connection(
                        client: ClientPlan(url: WebSocketURL("ws://example.com/")),
                        configuration: ConnectionConfiguration(),
                        key: Sample.key,
                        deadline: now + .seconds(30),
                        now: now
                    )
                connection.transportUp(now: now)
                if let text {
                    connection.start(now: now)
                    if !text.isEmpty { connection.receive(ByteBuffer(string: text), now: now) }
                    while connection.next(now: now) != nil {}
                }
                let due = connection.deadline
                let deadline = try #require(due)
                for time in [deadline, now + .hours(3)] {
                    var connection = connection.copy()
                    connection.timeReached(now: time)
                    let next = connection.deadline
                    #expect(next.map { $0 > time } ?? true)
                }
            }
        }
    }

    @Test("a socket that opens while its peer takes nothing has the whole time for that")
    func congestedBeforeOpen() throws {
        var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
        var settings = ConnectionSettings()
        settings.timeouts.stalledWrite = .seconds(3)
        var connection = Connection(server: ConnectionConfiguration(settings), isSecure: false, now: now)
        connection.transportUp(now: now)
        connection.start(now: now)
        connection.receive(ByteBuffer(string: Sample.openingLines("/trades")), now: now)
        guard case .server(.decideOpening)? = connection.next(now: now) else {
            Issue.record("no opening request")
            return
        }
        connection.setCongested(true, now: now)
        now = now + .seconds(5)
        connection.acceptOpening(EndpointPlan(), now: now)
        let deadline = connection.deadline
        #expect(deadline == now + .seconds(3))
    }
}
