// The closing handshake (RFC 6455 section 7). It ends within a bounded time, whichever side begins it and whatever goes
// wrong (threats B12, B13).

package import NIOCore

/// The closing handshake of one end of the connection.
///
/// | state    | local close    | peer's close frame | failure        | end of stream | deadline |
/// |----------|----------------|--------------------|----------------|---------------|----------|
/// | open     | send → closing | answer, see below  | send → leaving | drop          | none set |
/// | closing  | nothing        | see below          | drop           | drop          | drop     |
/// | closed   | nothing        | nothing            | nothing        | drop          | drop     |
/// | leaving  | nothing        | nothing            | nothing        | drop          | drop     |
/// | over     | nothing        | nothing            | nothing        | nothing       | none set |
///
/// Once both close frames have been seen, the server leaves (it ends the TCP connection when its own close frame is
/// flushed) and the client is closed: it waits for the server to do that, but a second at most (section 7.1.1 lets it
/// end the connection itself then).
package struct ClosingHandshake: Sendable {
    /// The caller's next step.
    package enum Action: Sendable, Equatable {
        case none
        /// Send this close frame and go on reading.
        case send(ClosePayload)
        /// Send this close frame, then end the TCP connection once it is flushed.
        case sendThenDisconnect(ClosePayload)
        /// End the TCP connection.
        case disconnect
    }

    /// How the connection ended.
    package struct Outcome: Sendable, Equatable {
        /// The code of the peer's close frame: 1005 if it had none, 1006 if there was no close frame.
        package var code: WebSocketCloseCode
        /// The reason in the peer's close frame.
        package var reason: String
        /// `true` when both ends sent a close frame.
        package var isClean: Bool
        /// `true` when this end began.
        package var isLocal: Bool
        /// The payload of this end's close frame; `nil` when none was sent.
        package var sent: ClosePayload?
        /// True when this end closed in good order and waits, or waited in vain, for the peer's close frame.
        package var isUnanswered: Bool

        package init(
            code: WebSocketCloseCode,
            reason: String,
            isClean: Bool,
            isLocal: Bool,
            sent: ClosePayload?,
            isUnanswered: Bool = false
        ) {
            self.code = code
            self.reason = reason
            self.isClean = isClean
            self.isLocal = isLocal
            self.sent = sent
            self.isUnanswered = isUnanswered
        }
    }

    package enum State: String, CaseIterable, Sendable {
        case open
        /// Our close frame is out, the peer's is awaited.
        case closing
        /// Both have been seen (client): the server's end of the TCP connection is awaited.
        case closed
        /// Our close frame is to be flushed before the TCP connection ends. A peer that does not read may prevent it.
        case leaving
        case over
    }

    /// How long a client leaves it to the server to end the TCP connection, once both close frames have been seen.
    package static let serverEndsFirst = TimeAmount.seconds(1)

    private let role: Role
    private let timeout: TimeAmount
    package private(set) var state = State.open
    /// The payload of this end's close frame; `nil` when none was sent.
    private(set) var sent: ClosePayload?
    /// The payload of the peer's close frame; `nil` when none has come.
    private(set) var received: ClosePayload?
    /// True when this end began.
    private(set) var isLocal = false
    /// True when this end began to close in good order, and did not fail the connection.
    private var hasClosed = false
    /// True when this end has waited for the peer's close frame in vain, for all of the time that it has.
    private(set) var isOverdue = false

    /// When to call `deadlineReached`; `nil` while nothing is awaited.
    package private(set) var deadline: NIODeadline?

    /// `timeout` bounds the whole of it, from the first close frame to the end of the TCP connection.
    package init(role: Role, timeout: TimeAmount) {
        self.role = role
        self.timeout = timeout
    }

    /// `true` while data and pings may still be sent.
    package var canSend: Bool { self.state == .open }

    /// `true` while the peer's messages count. Messages that were under way still do after our own close frame.
    package var canReceive: Bool { self.state == .open || self.state == .closing }

    /// `true` once the TCP connection has ended or is to end.
    package var isOver: Bool { self.state == .over || self.state == .leaving }

    /// `true` once both ends have sent a close frame.
    package var isClean: Bool { self.sent != nil && self.received != nil }

    /// True when this end closed in good order and waits, or waited in vain, for the peer's close frame.
    var isUnanswered: Bool { self.hasClosed && self.received == nil }

    /// True behind a close of ours with 1008: the peer has no right any more to be heard (section 7.1.7 lets an end stop there).
    package var isWithdrawal: Bool { self.hasClosed && self.sent?.code == .policyViolation }

    /// How it ended, or would if the TCP connection ended now.
    package var outcome: Outcome {
        Outcome(
            code: self.received.map { $0.code ?? .noStatus } ?? .abnormal,
            reason: self.received?.reason ?? "",
            isClean: self.isClean,
            isLocal: self.isLocal,
            sent: self.sent,
            isUnanswered: self.isUnanswered
        )
    }

    /// The application closes, or a policy of this end does.
    package mutating func close(_ payload: ClosePayload, now: NIODeadline) -> Action {
        guard self.state == .open else { return .none }
        self.state = .closing
        self.isLocal = true
        self.hasClosed = true
        self.sent = payload
        self.deadline = now + self.timeout
        return .send(payload)
    }

    /// The peer's close frame came. It is answered with the code that it carried (section 5.5.1).
    package mutating func received(_ payload: ClosePayload, now: NIODeadline) -> Action {
        switch self.state {
        case .open:
            self.received = payload
            let echo = ClosePayload(code: payload.code)
            self.sent = echo
            self.deadline = now + self.timeout
            return self.end(sending: echo, now: now)
        case .closing:
            self.received = payload
            return self.end(sending: nil, now: now)
        case .closed, .leaving, .over:
            return .none
        }
    }

    /// The peer broke the protocol or a limit: the connection is failed (section 7.1.7).
    package mutating func fail(_ violation: FrameViolation, now: NIODeadline) -> Action {
        self.fail(ClosePayload(code: violation.closeCode, reason: violation.message), now: now)
    }

    /// As above, for failures of the layers above framing.
    package mutating func fail(_ payload: ClosePayload, now: NIODeadline) -> Action {
        switch self.state {
        case .open:
            self.state = .leaving
            self.isLocal = true
            self.sent = payload
            self.deadline = now + self.timeout
            return .sendThenDisconnect(payload)
        case .closing:
            return self.over()
        case .closed, .leaving, .over:
            return .none
        }
    }

    /// The peer's end of the TCP connection is closed.
    package mutating func inputClosed() -> Action {
        self.state == .over ? .none : self.over()
    }

    /// Bytes before our close frame have left: the peer cannot have seen that frame yet, so its time to answer begins
    /// anew.
    package mutating func writesProgressed(now: NIODeadline) {
        if self.state == .closing { self.deadline = now + self.timeout }
    }

    /// `deadline` has come.
    package mutating func deadlineReached(now: NIODeadline) -> Action {
        guard let deadline, now >= deadline, self.state != .over else { return .none }
        self.isOverdue = self.state == .closing
        return self.over()
    }

    /// The close frame of the last action could not be written: nothing is clean then (W10-9).
    mutating func sentNothing() { self.sent = nil }

    private mutating func end(sending echo: ClosePayload?, now: NIODeadline) -> Action {
        switch self.role {
        case .client:
            self.state = .closed
            self.deadline = min(self.deadline ?? now + self.timeout, now + Self.serverEndsFirst)
            return echo.map { .send($0) } ?? .none
        case .server:
            guard let echo else { return self.over() }
            self.state = .leaving
            return .sendThenDisconnect(echo)
        }
    }

    private mutating func over() -> Action {
        self.state = .over
        self.deadline = nil
        return .disconnect
    }
}
