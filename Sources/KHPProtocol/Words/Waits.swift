// The bounds in time as the machines count them.

package import NIOCore

/// ``Timeouts`` and ``KeepAliveConfiguration`` in nanoseconds. Converted once for all connections that share settings:
/// a `Duration` is 128 bits wide, and converting a dozen of them costs more than reading a request.
struct Waits: Sendable {
    let connect: TimeAmount
    let opening: TimeAmount
    let handshake: HandshakeWaits
    let message: TimeAmount?
    let stalledWrite: TimeAmount
    let closeHold: TimeAmount
    let close: TimeAmount
    let ping: TimeAmount?
    let pong: TimeAmount
    let idle: TimeAmount?
    /// The shortest of those that begin with a message or a ping: no other deadline of an open socket is ever set nearer,
    /// while it neither closes nor stalls and has no extensions.
    let shortest: TimeAmount

    init(_ timeouts: Timeouts, _ keepAlive: KeepAliveConfiguration) {
        self.connect = Self.wait(timeouts.connect)
        self.opening = Self.wait(timeouts.opening)
        self.handshake = HandshakeWaits(
            extended: Self.wait(timeouts.extended),
            replay: Self.wait(timeouts.replay),
            processing: Self.wait(timeouts.wait)
        )
        self.message = timeouts.message.map { Self.wait($0) }
        self.stalledWrite = Self.wait(timeouts.stalledWrite)
        self.closeHold = Self.wait(timeouts.closeHold)
        self.close = Self.wait(timeouts.close)
        self.ping = keepAlive.pingInterval.map { Self.wait($0) }
        self.pong = Self.wait(keepAlive.pongTimeout)
        self.idle = keepAlive.idleTimeout.map { Self.wait($0) }
        self.shortest = [self.message, self.ping, self.idle].compactMap { $0 }.reduce(self.pong, min)
    }

    /// A deadline that is set lies ahead, however short a wait somebody has configured: one that is due when it is set
    /// would be set again and again.
    private static func wait(_ duration: Duration) -> TimeAmount { max(TimeAmount(duration), .milliseconds(1)) }
}

/// The bounds in time of the machines of the extended handshake.
package struct HandshakeWaits: Sendable {
    /// From the opening's 101 to a complete extended request (server), or from the extended request to its final response
    /// (client). Absolute: neither pings nor fragments extend it (D15).
    package var extended: TimeAmount
    /// Server: from a challenge to the replay (D17). A person may have to type.
    package var replay: TimeAmount
    /// From the first 202 to the final response, altogether.
    package var processing: TimeAmount

    package init(
        extended: TimeAmount = .seconds(10),
        replay: TimeAmount = .seconds(60),
        processing: TimeAmount = .seconds(30)
    ) {
        self.extended = extended
        self.replay = replay
        self.processing = processing
    }
}

extension TimeAmount {
    /// The sum; the longest time where there is no such number: a user may set a time as long as one can be.
    package func adding(_ other: TimeAmount) -> TimeAmount {
        let (sum, overflows) = self.nanoseconds.addingReportingOverflow(other.nanoseconds)
        return .nanoseconds(overflows ? (other.nanoseconds < 0 ? .min : .max) : sum)
    }
}

extension Duration {
    /// As people say it in an error: `10 s`, `0.25 s`.
    package var words: String {
        let (seconds, attoseconds) = self.components
        if attoseconds == 0 { return "\(seconds) s" }
        return "\(Double(seconds) + Double(attoseconds) / 1e18) s"
    }
}
