/// The bounds in time of one connection. Every wait has one, so that nothing hangs.
package struct Timeouts: Sendable {
    /// A whole `connect`, over all redirects and challenges; paused while a challenge handler works.
    package var total: Duration = .seconds(30)
    /// Name resolution, then the TCP connect over all addresses of the host with the tunnel of a proxy, and then the
    /// TLS handshake; paused while a challenge handler answers the proxy.
    package var connect: Duration = .seconds(10)
    /// The opening handshake: from an accepted or established connection to the 101.
    package var opening: Duration = .seconds(10)
    /// The extended handshake: absolute, from the 101 of the opening to the completing answer; data, pings and
    /// fragments do not extend it (D15).
    package var extended: Duration = .seconds(10)
    /// The longest wait after 202 (client).
    package var wait: Duration = .seconds(30)
    /// The longest that a challenge handler may take (client).
    package var challenge: Duration = .seconds(120)
    /// How long a server waits between its 401 and the replay (D17).
    package var replay: Duration = .seconds(60)
    /// One message from its first byte to its last, where it is delivered whole; `nil` waits for ever (threat B8).
    package var message: Duration? = .seconds(180)
    /// How long written bytes may go without the peer taking any, before the connection is dropped: from the moment at
    /// which they exceed the send buffer's high-water mark, or the peer was last seen to take some (threat B16).
    package var stalledWrite: Duration = .seconds(20)
    /// How long the answer to the peer's close frame waits for the application to take, and perhaps answer, the
    /// messages before it. It goes out as soon as that is done.
    package var closeHold: Duration = .seconds(2)
    /// The closing handshake: how long to wait for the peer's close frame and the end of its stream. A client that has
    /// seen both close frames waits a second for the server to end the stream, and ends it then (RFC 6455 section
    /// 7.1.1).
    package var close: Duration = .seconds(10)

    /// The defaults.
    package init() {}
}

/// When to send pings, and when to give up on a silent peer.
///
/// While nothing is read because the application does not keep up, pings go out and their pongs are not waited for. The
/// dialects before RFC 6455 have no pings: there `idleTimeout` ends a silent connection, `Timeouts.stalledWrite` one
/// whose peer takes nothing, and TCP's keep-alive one whose peer has vanished.
public struct KeepAliveConfiguration: Sendable {
    /// Send a ping when nothing was received for this long; `nil` sends none.
    public var pingInterval: Duration? = .seconds(20)
    /// Close when a ping is not answered within this time. While the peer takes bytes more slowly than they are sent, the
    /// time begins anew with each that it takes, as they stand before the ping; bytes that the system's socket has taken
    /// count as gone, so the time has to be enough for these: up to some megabytes.
    public var pongTimeout: Duration = .seconds(20)
    /// Close with 1001 when no message of the application's went either way for this long; `nil` never does. Bytes of
    /// one that the peer is still sending count, however long it takes: `timeouts.message` bounds that. So do bytes that a
    /// peer takes more slowly than they are sent: `timeouts.stalledWrite` bounds that. Time in which nothing is read, since
    /// the application does not keep up, does not count. Control frames, and messages that extensions say by themselves,
    /// as the pings of ``KaazingPingPong`` are, are no messages of the application's.
    public var idleTimeout: Duration?

    /// The defaults: a ping after 20 s of silence, 20 s for its pong.
    public init() {}
}

/// How received messages reach the application.
public enum MessageDelivery: Sendable, Hashable {
    /// Whole messages, up to the message limit.
    case messages
    /// Chunks as they arrive, so that a message is never whole in memory. The message limit still holds.
    case chunks
}

/// A client's policy on the extended handshake.
public enum ExtendedHandshakePolicy: String, Sendable, CaseIterable {
    /// Offers it; a server that declines is used as a plain WebSocket.
    case preferred
    /// Offers it; fails with ``WebSocketError/Code/extendedRequired`` when the server declines.
    case required
    /// Does not offer it.
    case off
}

/// The policy of a server's endpoint on the extended handshake.
public enum ServerExtendedHandshake: String, Sendable, CaseIterable {
    /// Chosen whenever it is offered; others are served as plain WebSockets.
    case optional
    /// Clients that do not offer it are refused.
    case required
    /// Never chosen.
    case off
}
