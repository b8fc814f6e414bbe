// The bounds of a server and of an endpoint in size, number and time: each member means something there.

public import KHPProtocol

extension WebSocketServer {
    /// Bounds on the memory and work that clients can cost a server. ``Timeouts`` bounds the time.
    ///
    /// Sizes are in bytes; the defaults suit a server on the open internet. A handshake over a limit gets a readable
    /// refusal; an open connection over a limit closes with code 1008 (policy) or 1009 (message too big).
    public struct Limits: Sendable, Hashable {
        // MARK: Opening handshakes

        /// The longest line of an HTTP request head in bytes, the request line included. nginx and Netty take 8 KiB too.
        public var lineBytes = 8 * 1024
        /// The largest HTTP request head in bytes. Leaves room for long cookies and a few authorization headers.
        public var headBytes = 32 * 1024
        /// The most headers in one head. Browsers send about twenty.
        public var headerCount = 100

        // MARK: Extended handshakes and open connections; an endpoint can have its own

        /// The largest head of a request of the extended handshake in bytes. It carries no cookies, so less than an
        /// opening's.
        public var extendedHeadBytes = 16 * 1024
        /// The largest body of an extended request in bytes.
        public var bodyBytes = 64 * 1024
        /// Wrong answers to challenges that one connection may give before it gets 403.
        public var wrongAnswers = 3
        /// Bounds on received messages and frames.
        public var messages = MessageLimits()
        /// Received messages that wait for the application before the server stops reading.
        public var inboundQueueMessages = 64
        /// Bytes of received messages that wait for the application before the server stops reading.
        public var inboundQueueBytes = 1024 * 1024

        // MARK: Sending

        /// Bytes that wait to be written from which on `send` suspends. More than a round trip's worth does not help.
        public var sendBufferHighMark = 64 * 1024
        /// Bytes that wait to be written at which suspended sends continue.
        public var sendBufferLowMark = 32 * 1024

        // MARK: Passwords and tokens

        /// Wrong answers from one address within ``Timeouts/wrongAnswerWindow``, over all its connections, before each
        /// further attempt gets 403. Slows guessing, and does not lock out an office that mistypes.
        public var wrongAnswersPerAddress = 100
        /// Credentials of one address that the server checks at the same time. More wait for their turn, the newest
        /// first, so that a flood of wrong ones neither costs more hashing nor delays an honest client behind it.
        public var credentialChecksPerAddress = 4
        /// Credentials that the server checks at the same time, of all addresses together. Addresses take turns.
        public var credentialChecks = 32
        /// Credentials that may wait for their turn, of all addresses together. Where more come, the oldest of the address
        /// with the most gets 503 with Retry-After.
        public var credentialChecksWaiting = 1_000

        // MARK: Connections

        /// The most connections, open or in a handshake.
        public var connections = 10_000
        /// The most connections that are still in a handshake. They hold buffers before anyone is known.
        public var pendingHandshakes = 2_000
        /// The most connections from one address that are still in a handshake. An office behind one address fits.
        public var pendingHandshakesPerAddress = 256

        /// The defaults.
        public init() {}

        /// The limits that the machines of a connection read, unless its endpoint has its own.
        var ofConnection: KHPProtocol.Limits {
            var limits = KHPProtocol.Limits()
            limits.lineBytes = self.lineBytes
            limits.headBytes = self.headBytes
            limits.headerCount = self.headerCount
            limits.sendBufferHighMark = self.sendBufferHighMark
            limits.sendBufferLowMark = self.sendBufferLowMark
            return Endpoint.Limits(self).applied(to: limits)
        }
    }

    /// Bounds on the time that a handshake and a connection take. Every wait has one.
    public struct Timeouts: Sendable, Hashable {
        /// The opening handshake: from an accepted connection to the 101, TLS included.
        public var opening: Duration = .seconds(10)
        /// The extended handshake: from the 101 of the opening to the complete request. Absolute: data, pings and
        /// fragments do not extend it.
        public var extended: Duration = .seconds(10)
        /// The wait for an endpoint's final response, from its first 202 on; 503 goes out when it is over.
        public var processing: Duration = .seconds(30)
        /// The wait for the client's answer to a 401. A person may have to type.
        public var replay: Duration = .seconds(60)
        /// The time in which wrong answers of one address count together. See ``Limits/wrongAnswersPerAddress``.
        public var wrongAnswerWindow: Duration = .seconds(60)
        /// One message from its first byte to its last, where it is delivered whole; stands still while the peer is not read
        /// from. `nil` sets no bound.
        public var message: Duration? = .seconds(180)
        /// The time in which a client takes none of the written bytes before the server drops the connection. Counts
        /// from the moment at which more than ``Limits/sendBufferHighMark`` bytes wait, or the client last took some.
        public var stalledWrite: Duration = .seconds(20)
        /// The answer to the client's close frame waits this long for the application to take, and perhaps answer, the
        /// messages before it. It goes out as soon as the application has.
        public var closeHold: Duration = .seconds(2)
        /// The closing handshake: the wait for the client's close frame and the end of its stream.
        public var close: Duration = .seconds(10)

        /// The defaults.
        public init() {}

        /// The times that the machines of a connection read.
        var ofConnection: KHPProtocol.Timeouts {
            var timeouts = KHPProtocol.Timeouts()
            timeouts.opening = self.opening
            timeouts.stalledWrite = self.stalledWrite
            return Endpoint.Timeouts(self).applied(to: timeouts)
        }
    }
}

extension Endpoint {
    /// Bounds on the extended handshake and on open connections at an endpoint, instead of those in
    /// ``WebSocketServer/Limits``.
    public struct Limits: Sendable, Hashable {
        /// The largest head of a request of the extended handshake in bytes. It carries no cookies, so less than an
        /// opening's.
        public var extendedHeadBytes = 16 * 1024
        /// The largest body of an extended request in bytes.
        public var bodyBytes = 64 * 1024
        /// Wrong answers to challenges that one connection may give before it gets 403.
        public var wrongAnswers = 3
        /// Bounds on received messages and frames.
        public var messages = MessageLimits()
        /// Received messages that wait for the application before the server stops reading.
        public var inboundQueueMessages = 64
        /// Bytes of received messages that wait for the application before the server stops reading.
        public var inboundQueueBytes = 1024 * 1024

        /// The defaults.
        public init() {}

        /// The limits of a server, to change some of them for an endpoint.
        public init(_ server: WebSocketServer.Limits) {
            self.extendedHeadBytes = server.extendedHeadBytes
            self.bodyBytes = server.bodyBytes
            self.wrongAnswers = server.wrongAnswers
            self.messages = server.messages
            self.inboundQueueMessages = server.inboundQueueMessages
            self.inboundQueueBytes = server.inboundQueueBytes
        }

        /// The server's limits with those of an endpoint.
        func applied(to server: KHPProtocol.Limits) -> KHPProtocol.Limits {
            var limits = server
            limits.extendedHeadBytes = self.extendedHeadBytes
            limits.bodyBytes = self.bodyBytes
            limits.wrongAnswers = self.wrongAnswers
            limits.messages = self.messages
            limits.inboundQueueMessages = self.inboundQueueMessages
            limits.inboundQueueBytes = self.inboundQueueBytes
            return limits
        }
    }
}

extension Endpoint {
    /// Bounds on the time that a handshake and a connection at an endpoint take, instead of those in
    /// ``WebSocketServer/Timeouts``.
    public struct Timeouts: Sendable, Hashable {
        /// The extended handshake: from the 101 of the opening to the complete request. Absolute: data, pings and
        /// fragments do not extend it.
        public var extended: Duration = .seconds(10)
        /// The wait for the endpoint's final response, from its first 202 on; 503 goes out when it is over.
        public var processing: Duration = .seconds(30)
        /// The wait for the client's answer to a 401. A person may have to type.
        public var replay: Duration = .seconds(60)
        /// One message from its first byte to its last, where it is delivered whole; stands still while the peer is not read
        /// from. `nil` sets no bound.
        public var message: Duration? = .seconds(180)
        /// The answer to the client's close frame waits this long for the application to take, and perhaps answer, the
        /// messages before it. It goes out as soon as the application has.
        public var closeHold: Duration = .seconds(2)
        /// The closing handshake: the wait for the client's close frame and the end of its stream.
        public var close: Duration = .seconds(10)

        /// The defaults.
        public init() {}

        /// The times of a server, to change some of them for an endpoint.
        public init(_ server: WebSocketServer.Timeouts) {
            self.extended = server.extended
            self.processing = server.processing
            self.replay = server.replay
            self.message = server.message
            self.closeHold = server.closeHold
            self.close = server.close
        }

        /// The server's times with those of an endpoint.
        func applied(to server: KHPProtocol.Timeouts) -> KHPProtocol.Timeouts {
            var timeouts = server
            timeouts.extended = self.extended
            timeouts.wait = self.processing
            timeouts.replay = self.replay
            timeouts.message = self.message
            timeouts.closeHold = self.closeHold
            timeouts.close = self.close
            return timeouts
        }
    }
}
