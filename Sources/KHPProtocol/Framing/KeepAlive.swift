// Pings notice a vanished peer within a bounded time, and show traffic to intermediaries that drop silent connections.
// They begin after the handshakes, and extend none of their deadlines.
//
// States × events:
//           bytes             a ping goes out              reading is paused       writes progress    the deadline
//   quiet   quiet, from now   silent, from now; one that   quiet, as before        quiet, as before   send a ping
//                             is due in a pause: quiet,
//                             from now
//   silent  quiet, from now   silent, as before            quiet, from that ping   silent, from now   timed out
//
// In either state a message that stays unfinished for too long comes first; its time stands still in a pause, and goes on
// behind it. A pong changes neither: the bytes that it came in have.

package import NIOCore

/// Pings after silence, the wait for a sign of life, and the round-trip time of every ping.
///
/// Any byte from the peer is a sign of life, not only the pong: that may queue behind a large message.
package struct KeepAlive: Sendable {
    /// An action that is due.
    package enum Event: Sendable, Equatable {
        /// Send a ping with this payload.
        case sendPing(ByteBuffer)
        /// Nothing came for too long: the peer is gone.
        case timedOut
        /// One message has been unfinished for `messageTimeout`: close with 1008 (threat B8).
        case messageTooSlow
    }

    private let pingInterval: TimeAmount?
    private let pongTimeout: TimeAmount
    private let messageTimeout: TimeAmount?

    /// When something last came from the peer, or would have been read if anybody read.
    package private(set) var lastReceived: NIODeadline
    /// Since when no ping is due: the last sign of life, or the last ping that went out while nothing was read.
    private var quietSince: NIODeadline
    /// When the ping was sent that nothing has come after yet, or when bytes last left while the peer did not keep up.
    private var silentSince: NIODeadline?
    /// `true` while the application does not read.
    private var isReadingPaused = false
    private var pings: [(number: UInt64, payload: ByteBuffer, sent: NIODeadline)] = []
    private var nextNumber: UInt64 = 1
    /// The message that is unfinished, since when, without the pauses that are over, and `true` while its time is known to
    /// stand still.
    private var unfinished: (message: UInt64, since: NIODeadline, stands: Bool)?

    package init(
        pingInterval: TimeAmount?,
        pongTimeout: TimeAmount,
        messageTimeout: TimeAmount? = nil,
        now: NIODeadline
    ) {
        self.pingInterval = pingInterval
        self.pongTimeout = pongTimeout
        self.messageTimeout = messageTimeout
        self.lastReceived = now
        self.quietSince = now
    }

    package enum State: String, CaseIterable, Sendable { case quiet, silent }

    package var state: State { self.silentSince == nil ? .quiet : .silent }

    /// When to call `expired`; `nil`: never. It moves later while bytes arrive, so a timer set for an earlier value may
    /// simply fire and be set again; `ping` and an unfinished message can move it earlier, so look again after those.
    package var deadline: NIODeadline? {
        guard let pingDeadline, let messageDeadline else { return self.pingDeadline ?? self.messageDeadline }
        return min(pingDeadline, messageDeadline)
    }

    private var pingDeadline: NIODeadline? {
        self.silentSince.map { $0 + self.pongTimeout } ?? self.pingInterval.map { self.quietSince + $0 }
    }

    private var messageDeadline: NIODeadline? {
        guard let messageTimeout, let unfinished, !unfinished.stands else { return nil }
        return unfinished.since + messageTimeout
    }

    /// Bytes of the pings whose answers are awaited.
    var heldBytes: Int { self.pings.reduce(0) { $0 + $1.payload.readableBytes } }

    /// Something came from the peer. Once per read is enough.
    @inline(__always)
    package mutating func bytesReceived(_ now: NIODeadline) {
        self.lastReceived = now
        self.quietSince = now
        self.silentSince = nil
    }

    /// The peer has taken some of what stands before the ping, and cannot have answered it before.
    package mutating func writesProgressed(_ now: NIODeadline) {
        if self.silentSince != nil { self.silentSince = now }
    }

    /// Nothing is read, since the application does not keep up: the silence is ours, so no pong is missed. Pings still
    /// go out, so that the network notices a peer that has vanished.
    package mutating func readingIsPaused(_ now: NIODeadline) {
        self.lastReceived = now
        if let silentSince { self.quietSince = max(self.quietSince, silentSince) }
        self.silentSince = nil
        self.unfinished?.stands = true
        // A ping that `expired` sends now is not judged; one that is sent later is.
        self.isReadingPaused = self.deadline.map { $0 <= now } ?? false
    }

    /// Reading goes on: the pause is no part of an unfinished message's time, and the time before it stays one. Otherwise a
    /// peer that lets itself be congested now and then would never have to end a message (threat B8).
    package mutating func readingResumes(_ now: NIODeadline, pausedSince: NIODeadline) {
        guard let unfinished else { return }
        // None of it is over where the message began in the pause, with bytes that had been read before.
        var spent = max(pausedSince - unfinished.since, .zero)
        // A timer that was late is not due when it is set.
        if let messageTimeout { spent = min(spent, messageTimeout - .nanoseconds(1)) }
        self.unfinished = (unfinished.message, now - spent, false)
    }

    /// Takes the value of `MessageReader.unfinishedMessage` after a read. Once per read is enough.
    @inline(__always)
    package mutating func unfinishedMessage(_ message: UInt64?, _ now: NIODeadline) {
        guard message != self.unfinished?.message else { return }
        self.unfinished = message.map { ($0, now, false) }
    }

    /// The action due at `now`, or `nil` when the deadline has moved.
    package mutating func expired(_ now: NIODeadline) -> Event? {
        defer { self.isReadingPaused = false }
        if let messageDeadline, now >= messageDeadline { return .messageTooSlow }
        guard let pingDeadline, now >= pingDeadline else { return nil }
        return self.silentSince == nil ? .sendPing(self.ping(now)) : .timedOut
    }

    /// The payload of a ping to send now: an eight-byte number.
    package mutating func ping(_ now: NIODeadline) -> ByteBuffer {
        let payload = ByteBuffer(integer: self.nextNumber)
        self.noteSent(payload, now)
        return payload
    }

    /// A ping with a payload of the application's goes out.
    /// - Returns: its number.
    @discardableResult
    package mutating func noteSent(_ payload: ByteBuffer, _ now: NIODeadline) -> UInt64 {
        let number = self.nextNumber
        self.nextNumber &+= 1
        if self.pings.count >= Limits.Fixed.outstandingPings { self.pings.removeFirst() }
        self.pings.append((number, payload, now))
        if self.isReadingPaused {
            self.quietSince = now
        } else if self.silentSince == nil {
            self.silentSince = now
        }
        return number
    }

    /// A ping of an extension goes out, whose answer nobody waits for. Its pong settles the earlier ones all the same.
    /// - Returns: its payload: nothing, as Kaazing's gateway has it; a number while a pong is owed, since that of two
    ///   without a payload could answer either.
    package mutating func pingAside(_ now: NIODeadline) -> ByteBuffer {
        let payload = self.pings.isEmpty ? ByteBuffer() : ByteBuffer(integer: self.nextNumber)
        if self.pings.count >= Limits.Fixed.outstandingPings { self.pings.removeFirst() }
        self.pings.append((self.nextNumber, payload, now))
        self.nextNumber &+= 1
        return payload
    }

    /// A pong came. The ping that it answers and its round-trip time, or `nil` if it answers none: unsolicited pongs
    /// are allowed and mean nothing. A pong for a later ping settles the earlier ones (section 5.5.3); of several pings
    /// with the same payload each pong answers the oldest.
    package mutating func pongReceived(
        _ payload: ByteBuffer,
        _ now: NIODeadline
    ) -> (number: UInt64, roundTrip: TimeAmount)? {
        guard let index = self.pings.firstIndex(where: { $0.payload == payload }) else { return nil }
        let ping = self.pings[index]
        self.pings.removeFirst(index + 1)
        return (ping.number, now - ping.sent)
    }
}
