// The bounds of a client in size, number and time: each member means something to a client, and nothing else is here.

public import KHPProtocol

extension WebSocketClient {
    /// Bounds on the memory that a server can make a client use. ``Timeouts`` bounds the time.
    ///
    /// Sizes are in bytes. A head or body over its limit fails the connect; an open connection over a limit closes with
    /// code 1008 (policy) or 1009 (message too big).
    public struct Limits: Sendable, Hashable {
        // MARK: Handshakes

        /// The longest line of an HTTP response head in bytes, the status line included.
        public var lineBytes = 8 * 1024
        /// The largest HTTP response head in bytes.
        public var headBytes = 32 * 1024
        /// The most headers in one head.
        public var headerCount = 100
        /// The largest head of a response of the extended handshake in bytes.
        public var extendedHeadBytes = 16 * 1024
        /// The largest response body in bytes. Of a longer one the client keeps the beginning in the opening handshake;
        /// in the extended handshake it fails the connect.
        public var bodyBytes = 64 * 1024
        /// The most challenges that one connect answers, of servers and proxies together.
        public var challengeRounds = 4

        // MARK: Open connections

        /// Bounds on received messages and frames.
        public var messages = MessageLimits()
        /// Received messages that wait for the application before the client stops reading.
        public var inboundQueueMessages = 64
        /// Bytes of received messages that wait for the application before the client stops reading.
        public var inboundQueueBytes = 1024 * 1024
        /// Bytes that wait to be written from which on `send` suspends.
        public var sendBufferHighMark = 64 * 1024
        /// Bytes that wait to be written at which suspended sends continue.
        public var sendBufferLowMark = 32 * 1024

        /// The defaults.
        public init() {}

        /// The limits that the machines of a connection read.
        var ofConnection: KHPProtocol.Limits {
            var limits = KHPProtocol.Limits()
            limits.lineBytes = self.lineBytes
            limits.headBytes = self.headBytes
            limits.headerCount = self.headerCount
            limits.extendedHeadBytes = self.extendedHeadBytes
            limits.bodyBytes = self.bodyBytes
            limits.challengeRounds = self.challengeRounds
            limits.messages = self.messages
            limits.inboundQueueMessages = self.inboundQueueMessages
            limits.inboundQueueBytes = self.inboundQueueBytes
            limits.sendBufferHighMark = self.sendBufferHighMark
            limits.sendBufferLowMark = self.sendBufferLowMark
            return limits
        }
    }

    /// Bounds on the time that a connect and a connection take. Every wait has one.
    public struct Timeouts: Sendable, Hashable {
        /// A whole `connect`, with all redirects and challenges. Stands still while a challenge handler works.
        public var total: Duration = .seconds(30)
        /// Name resolution, then TCP over all addresses of the host with the tunnel of a proxy, then TLS; each hop anew.
        /// Stands still while a challenge handler answers the proxy.
        public var connect: Duration = .seconds(10)
        /// The opening handshake: from an established connection to the 101.
        public var opening: Duration = .seconds(10)
        /// The extended handshake: from the 101 of the opening to the final response. Absolute: data, pings and
        /// fragments do not extend it.
        public var extended: Duration = .seconds(10)
        /// The wait for the final response, from the first 202 on.
        public var processing: Duration = .seconds(30)
        /// A challenge handler's answer.
        public var challenge: Duration = .seconds(120)
        /// One message from its first byte to its last, where it is delivered whole; stands still while the peer is not read
        /// from. `nil` sets no bound.
        public var message: Duration? = .seconds(180)
        /// The time in which a server takes none of the written bytes before the client drops the connection. Counts
        /// from the moment at which more than ``Limits/sendBufferHighMark`` bytes wait, or the server last took some.
        public var stalledWrite: Duration = .seconds(20)
        /// The answer to the server's close frame waits this long for the application to take, and perhaps answer, the
        /// messages before it. It goes out as soon as the application has.
        public var closeHold: Duration = .seconds(2)
        /// The closing handshake: the wait for the server's close frame and the end of its stream. Once both close
        /// frames have passed, the client waits one second for the server to end the stream, and ends it then (RFC 6455
        /// section 7.1.1).
        public var close: Duration = .seconds(10)

        /// The defaults.
        public init() {}

        /// The times that the machines of a connection read.
        var ofConnection: KHPProtocol.Timeouts {
            var timeouts = KHPProtocol.Timeouts()
            timeouts.total = self.total
            timeouts.connect = self.connect
            timeouts.opening = self.opening
            timeouts.extended = self.extended
            timeouts.wait = self.processing
            timeouts.challenge = self.challenge
            timeouts.message = self.message
            timeouts.stalledWrite = self.stalledWrite
            timeouts.closeHold = self.closeHold
            timeouts.close = self.close
            return timeouts
        }
    }
}
