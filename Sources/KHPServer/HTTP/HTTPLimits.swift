// The bounds of ordinary HTTP in size, number and time.

extension WebSocketServer {
    /// Bounds on the ordinary HTTP that ``Configuration/serveHTTP`` serves, beside those that it shares with handshakes: heads
    /// and what waits to be sent have the server's ``Limits``, a head has ``Timeouts/opening`` from its first byte on, and a
    /// client that takes nothing has ``Timeouts/stalledWrite``.
    public struct HTTPLimits: Sendable, Hashable {
        /// The largest body of a request in bytes; one that is longer gets 413, before it has come where its head says
        /// so. `nil` sets no bound, since no more of it is kept than the application has yet to take.
        public var bodyBytes: Int? = 1024 * 1024
        /// The most exchanges at a time, over all connections. One more gets 503, so that ordinary HTTP leaves room for
        /// handshakes.
        public var exchanges = 1_000
        /// The time that a connection is kept without a request.
        public var idleTime: Duration = .seconds(60)
        /// The time in which nothing of a request's body comes, though the application waits for it, before it gets 408.
        public var stalledBody: Duration = .seconds(30)
        /// The time that the application has for a response, or the next piece of one, once its client has ended its side
        /// of the connection: it may wait for the response, and it may have gone. It counts from that end on, and anew from
        /// each piece that the client has room for, and for each of the requests that were sent before that end, once its
        /// turn has come; a client that takes nothing has ``Timeouts/stalledWrite``. The end of a request over HTTP/2 sets
        /// no bound, since a client that goes says so there (RFC 9113 section 8.1).
        public var halfClosedTime: Duration = .seconds(10)

        /// The defaults.
        public init() {}
    }
}
