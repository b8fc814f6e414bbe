// The bounds in time as the machines count them.

import NIOCore

/// ``Timeouts`` and ``KeepAliveConfiguration`` in nanoseconds. Converted once for all connections that share settings:
/// a `Duration` is 128 bits wide, and converting a dozen of them costs more than reading a request.
struct Waits: Sendable {
    let connect: TimeAmount
    let opening: TimeAmount
    let extended: TimeAmount
    let processing: TimeAmount
    let challenge: TimeAmount
    let replay: TimeAmount
    let message: TimeAmount?
    let stalledWrite: TimeAmount
    let closeHold: TimeAmount
    let close: TimeAmount
    let ping: TimeAmount?
    let pong: TimeAmount
    let idle: TimeAmount?

    init(_ timeouts: Timeouts, _ keepAlive: KeepAliveConfiguration) {
        self.connect = TimeAmount(timeouts.connect)
        self.opening = TimeAmount(timeouts.opening)
        self.extended = TimeAmount(timeouts.extended)
        self.processing = TimeAmount(timeouts.wait)
        self.challenge = TimeAmount(timeouts.challenge)
        self.replay = TimeAmount(timeouts.replay)
        self.message = timeouts.message.map { TimeAmount($0) }
        self.stalledWrite = TimeAmount(timeouts.stalledWrite)
        self.closeHold = TimeAmount(timeouts.closeHold)
        self.close = TimeAmount(timeouts.close)
        self.ping = keepAlive.pingInterval.map { TimeAmount($0) }
        self.pong = TimeAmount(keepAlive.pongTimeout)
        self.idle = keepAlive.idleTimeout.map { TimeAmount($0) }
    }
}
