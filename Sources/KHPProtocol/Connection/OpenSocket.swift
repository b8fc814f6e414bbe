// The state of an open socket: extensions, a message on its way out in pieces, signs of life, and the bounds in time that
// hold while it is open.
//
// A socket is told of data, bytes and time; each deadline that has passed is one ``Due``, which the connection acts on and
// which moves ahead or goes by that.

package import NIOCore

package struct OpenSocket {
    /// A deadline of an open socket that has passed.
    enum Due {
        /// The peer did not take any bytes for too long.
        case stalledWrite
        /// The application has had its time for the messages before the peer's close frame.
        case heldClose
        /// Server: the client has to authenticate again.
        case session
        /// No message went either way for too long.
        case idle
        case extensions
        case keepAlive
    }

    /// A message that the application sends in pieces.
    struct Stream {
        var kind: MessageKind
        /// True once a piece of it has gone out.
        var hasBegun: Bool
        var options: SendOptions
        /// A message that is collected to go out whole: the peer knows no fragments (D7), or an extension works on
        /// whole messages.
        var collected = ByteBuffer()
    }

    /// Time in which no message goes either way.
    private struct Idle {
        /// The time of the last message of the application's, or piece of one, in either direction.
        var since: NIODeadline
        /// The time of the last bytes of an incomplete message. It may turn out to be an extension's.
        var part: NIODeadline
        /// The last time at which bytes left while the peer did not keep up, or at which nothing was read: silence of the
        /// peer before it does not count.
        var excused: NIODeadline

        func end(_ wait: TimeAmount) -> NIODeadline { max(self.since, self.part, self.excused) + wait }
    }

    /// The contents of the bytes that the application has not taken.
    struct Ahead {
        /// The peer's close frame, the last that counts.
        var close: ClosePayload?
        /// True when the stream ends in the middle of a message.
        var endsInside: Bool
    }

    /// True from the moment at which the application was told of an open socket.
    private(set) var hasOpened = false
    /// The negotiated extensions, those of the opening from its 101 on; `nil` on a connection without any, which then
    /// pays nothing for them.
    var extensions: ExtensionStack?
    var stream: Stream?
    /// Bytes of payload that the application has sent since the socket opened; it may wrap.
    package internal(set) var sentPayload = 0

    // Signs of life.
    var keepAlive: KeepAlive?
    private var idle: Idle?
    /// Server: the time at which the client has to authenticate again.
    private var sessionEnd: NIODeadline?
    private var congestedSince: NIODeadline?
    /// True when the end came because the peer took no bytes: what is still to be written will not be taken either.
    package private(set) var hasStalled = false
    /// True while the network has not taken all that was written before.
    private var isBacklogged = false
    /// The answer to the peer's latest ping, which waits until all bytes before it have left.
    private var pendingPong: ByteBuffer?
    /// True when a ping was answered since the shell looked last.
    package private(set) var hasAnsweredPing = false

    // The peer's close.
    /// `true` when the answer to the peer's close frame waits, within bounds, until the application has taken the
    /// messages before it: its answers to them can then still be sent (RFC 6455 section 5.5.1 allows the delay).
    package var holdsClose = false
    package internal(set) var heldClose: (payload: ClosePayload, until: NIODeadline)?
    /// The contents of the bytes that were not taken when the peer's stream ended.
    var ahead: Ahead?

    init() {}

    /// A copy that shares no state with this one.
    func copy() -> OpenSocket {
        var copy = self
        copy.extensions = self.extensions?.copy()
        return copy
    }

    /// Both handshakes are complete.
    /// - Parameter sessionLifetime: how long it may last; `nil` for ever.
    mutating func open(_ waits: Waits, keepAlive: KeepAlive, sessionLifetime: TimeAmount?, now: NIODeadline) {
        self.hasOpened = true
        self.keepAlive = keepAlive
        self.sessionEnd = sessionLifetime.map { now + $0 }
        if waits.idle != nil { self.idle = Idle(since: now, part: now, excused: now) }
        // The handshakes have bounds of their own: a stall counts from here.
        if self.congestedSince != nil { self.congestedSince = now }
    }

    /// Ends the session at `deadline`, unless its lifetime ends it earlier.
    mutating func endSession(by deadline: NIODeadline) { self.sessionEnd = min(self.sessionEnd ?? deadline, deadline) }

    /// Replaces the end of the session; `nil` for a session without an end.
    mutating func moveSessionEnd(to deadline: NIODeadline?) { self.sessionEnd = deadline }

    /// Closes and releases the extensions.
    mutating func forgetExtensions() {
        self.extensions?.closed()
        self.extensions = nil
    }

    // MARK: Time

    /// The time of the last byte from the peer.
    package var lastReceived: NIODeadline { self.keepAlive?.lastReceived ?? .uptimeNanoseconds(0) }

    /// A message of the application's, or a piece of one, came or went.
    @inline(__always)
    mutating func dataMoved(_ now: NIODeadline) {
        self.idle?.since = now
    }

    /// Bytes of a message have come that is not complete: a peer that sends one is not idle.
    mutating func partMoved(_ now: NIODeadline) { self.idle?.part = now }

    /// Undoes ``partMoved(_:)``: the message was an extension's, and does not count for idle time.
    mutating func partsDoNotCount() {
        if let since = self.idle?.since { self.idle?.part = since }
    }

    /// This side closes: idle time does not count any more.
    mutating func stopIdleTime() { self.idle = nil }

    /// The earliest deadline, as far as each counts in this state of the closing handshake.
    func deadline(_ closing: ClosingHandshake, _ waits: Waits) -> NIODeadline? {
        // After both close frames the closing handshake's own deadline is all that counts.
        guard closing.canReceive else { return nil }
        var earliest: NIODeadline?
        func consider(_ other: NIODeadline?) {
            guard let other else { return }
            if let known = earliest, known <= other { return }
            earliest = other
        }
        if let congestedSince { consider(congestedSince + waits.stalledWrite) }
        // After our close frame, only the closing deadline and the stalled write count.
        guard closing.canSend else { return earliest }
        consider(self.keepAlive?.deadline)
        consider(self.heldClose?.until)
        consider(self.sessionEnd)
        if let idle, let wait = waits.idle { consider(idle.end(wait)) }
        consider(self.extensions?.deadline)
        return earliest
    }

    /// The first deadline that has passed, in the order in which they count; under the conditions of
    /// ``deadline(_:_:)``.
    mutating func due(_ closing: ClosingHandshake, _ waits: Waits, now: NIODeadline) -> Due? {
        guard closing.canReceive else { return nil }
        if let congestedSince, congestedSince + waits.stalledWrite <= now {
            self.hasStalled = true
            return .stalledWrite
        }
        guard closing.canSend else { return nil }
        if let heldClose, heldClose.until <= now { return .heldClose }
        if let sessionEnd, sessionEnd <= now {
            self.sessionEnd = nil
            return .session
        }
        if let idle, let wait = waits.idle, idle.end(wait) <= now { return .idle }
        if let deadline = self.extensions?.deadline, deadline <= now { return .extensions }
        return .keepAlive
    }

    // MARK: The network

    /// The peer does not keep up with what is written.
    mutating func congested(_ now: NIODeadline) {
        if self.congestedSince == nil { self.congestedSince = now }
    }

    mutating func decongested(_ now: NIODeadline) {
        self.writesProgressed(now)
        self.congestedSince = nil
    }

    mutating func setBacklogged(_ isBacklogged: Bool) { self.isBacklogged = isBacklogged }

    /// Some of what was written has left: a slow peer is not a stalled one, nor an idle or a silent one.
    mutating func writesProgressed(_ now: NIODeadline) {
        guard self.congestedSince != nil else { return }
        self.congestedSince = now
        self.idle?.excused = now
        self.keepAlive?.writesProgressed(now)
    }

    // MARK: The application

    /// Nothing is read, since the application does not keep up: the peer's silence is our doing.
    mutating func readingIsPaused(_ now: NIODeadline) {
        self.idle?.excused = now
        self.keepAlive?.readingIsPaused(now)
    }

    /// Reading goes on.
    mutating func readingResumes(_ now: NIODeadline, pausedSince: NIODeadline) {
        self.idle?.excused = now
        self.keepAlive?.readingResumes(now, pausedSince: pausedSince)
    }

    // MARK: Pongs

    /// The peer's ping. Only the latest need be answered (RFC 6455 section 5.5.3): a peer that pings and does not read
    /// must not fill our memory (threat B9).
    mutating func pinged(_ payload: ByteBuffer) { self.pendingPong = payload }

    /// `true` once all bytes before the answer have left.
    var mayAnswerPings: Bool {
        self.congestedSince == nil && !self.isBacklogged
    }

    /// The answer to the latest ping; `nil` where none is owed.
    mutating func takePong() -> ByteBuffer? { self.pendingPong.take() }

    /// Bytes of answers to pings that wait.
    var pongBytes: Int { self.pendingPong?.readableBytes ?? 0 }

    /// A pong goes out.
    mutating func pingAnswered() { self.hasAnsweredPing = true }

    /// True when a ping was answered since the last call.
    mutating func takeAnsweredPing() -> Bool {
        guard self.hasAnsweredPing else { return false }
        self.hasAnsweredPing = false
        return true
    }
}
