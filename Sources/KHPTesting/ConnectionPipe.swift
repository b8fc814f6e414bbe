public import HTTPTypes
public import KHPProtocol
import NIOCore

/// A client's and a server's connection joined in memory: both handshakes, extensions, messages and closing, without
/// sockets, threads or waiting.
///
/// For tests of extensions and of what two sides agree on:
///
/// ```swift
/// let pipe = try ConnectionPipe(
///     client: .init(extensions: [Numbering(from: 100)]),
///     server: .init(extensions: [Numbering()])
/// )
/// let agreed = try pipe.open().server.extensions
/// #expect(agreed.map(\.description) == ["x-number; from=100"])
/// #expect(agreed.map(\.layer) == [.extended])
///
/// try pipe.send(.text("hello"), from: .client)
/// #expect(pipe.takeMessages(at: .server) == [.text("hello")])
/// ```
public final class ConnectionPipe {
    /// The client's wishes.
    public struct Client: Sendable {
        /// Where it connects to.
        public var url = "ws://example.com/"
        /// The wire dialect that both sides speak.
        public var dialect = Dialect.rfc6455
        /// The application's subprotocols.
        public var subprotocols: [String]
        /// The extensions that it asks for.
        public var extensions: [any WebSocketExtension]
        /// The names of those among them without which it does not open.
        public var requiredExtensions: Set<String> = []
        /// The client's policy on the extended handshake.
        public var extendedHandshake: ExtendedHandshakePolicy
        /// Further fields of its extended request.
        public var extendedHeaders: HTTPFields {
            get { self.callerFields.fields }
            set { self.callerFields.fields = newValue }
        }
        /// Kept so that a dump shows no credentials.
        private var callerFields = CallerFields()
        /// Bounds on the messages that it receives.
        public var messages = MessageLimits()
        /// The delivery of messages: whole, or in chunks that the pipe puts together again.
        public var delivery = MessageDelivery.messages

        /// A client that asks for these.
        public init(
            subprotocols: [String] = [],
            extensions: [any WebSocketExtension] = [],
            extendedHandshake: ExtendedHandshakePolicy = .preferred
        ) {
            self.subprotocols = subprotocols
            self.extensions = extensions
            self.extendedHandshake = extendedHandshake
        }
    }

    /// The server's offers. It accepts every request.
    public struct Server: Sendable {
        /// The subprotocols that it speaks, in order of preference.
        public var subprotocols: [String]
        /// The extensions that it supports.
        public var extensions: [any WebSocketExtension]
        /// The part it takes in the extended handshake.
        public var extendedHandshake: ServerExtendedHandshake
        /// Bounds on the messages that it receives.
        public var messages = MessageLimits()
        /// The delivery of messages: whole, or in chunks that the pipe puts together again.
        public var delivery = MessageDelivery.messages

        /// A server that offers these.
        public init(
            subprotocols: [String] = [],
            extensions: [any WebSocketExtension] = [],
            extendedHandshake: ServerExtendedHandshake = .optional
        ) {
            self.subprotocols = subprotocols
            self.extensions = extensions
            self.extendedHandshake = extendedHandshake
        }
    }

    /// The largest read on either side in bytes; `nil` hands over all that there is at once.
    public var readBytes: Int?
    /// Bytes that have gone from the client to the server.
    public private(set) var bytesFromClient = 0
    /// Bytes that have gone from the server to the client.
    public private(set) var bytesFromServer = 0

    private var decisions: ServerDecisions
    private let clientSide: DrivenConnection
    private let serverSide: DrivenConnection
    private var clientIsTold = false
    private var serverIsTold = false

    /// Joins the two; nothing is exchanged before ``open()``.
    /// - Throws: ``WebSocketError/Code/invalidURL`` and ``WebSocketError/Code/invalidArgument`` for what the client
    ///   cannot ask for.
    public init(client: Client = Client(), server: Server = Server()) throws(WebSocketError) {
        let now = NIODeadline.uptimeNanoseconds(1_000_000_000)
        var plan = ClientPlan(url: try WebSocketURL(client.url))
        plan.dialect = client.dialect
        plan.keys = HixieKeys(
            key1: Transcript.Constants.key1,
            key2: Transcript.Constants.key2,
            key3: Array(Transcript.Constants.key3.utf8)
        )
        plan.subprotocols = client.subprotocols
        plan.extensions = client.extensions
        plan.requiredExtensions = client.requiredExtensions
        plan.extended.policy = client.extendedHandshake
        plan.extended.headers = client.extendedHeaders
        var settings = ConnectionSettings()
        settings.date = { Transcript.Constants.date }
        settings.limits.messages = client.messages
        settings.delivery = client.delivery
        let connection = try Connection(
            client: plan,
            configuration: ConnectionConfiguration(settings),
            key: Transcript.Constants.key,
            masks: FixedMask(),
            deadline: nil,
            now: now
        )
        settings.dialects = [client.dialect]
        settings.limits.messages = server.messages
        settings.delivery = server.delivery
        let endpoint = try EndpointConfiguration(server.values(in: client.dialect), index: 0)
        let endpoints = try EndpointSet([endpoint])
        self.decisions = ServerDecisions(endpoints)
        self.clientSide = DrivenConnection(connection, now: now)
        let isSecure = plan.url.isSecure
        self.serverSide = DrivenConnection(
            Connection(server: ConnectionConfiguration(settings), isSecure: isSecure, now: now),
            now: now
        )
    }

    // MARK: Actions

    /// Completes both handshakes.
    /// - Returns: the summary of each side's handshakes.
    /// - Throws: the client's error, or else the server's, where they cannot be completed.
    public func open() throws(WebSocketError) -> (client: HandshakeSummary, server: HandshakeSummary) {
        self.pump()
        guard let client = self.clientSide.opened, let server = self.serverSide.opened else {
            throw self.clientSide.failure ?? self.serverSide.failure
                ?? WebSocketError(.closed, "The connection did not open.", response: self.clientSide.hop?.response)
        }
        return (client, server)
    }

    /// Sends a message and hands it over.
    /// - Throws: ``WebSocketError/Code/closed`` when that side is closing or closed, and what an extension refuses.
    public func send(_ message: WebSocketMessage, from role: Role) throws(WebSocketError) {
        let side = role == .client ? self.clientSide : self.serverSide
        try side.connection.send(message, now: side.now)
        side.run()
        self.pump()
    }

    /// The messages that have reached one side since the last call.
    public func takeMessages(at role: Role) -> [WebSocketMessage] {
        let side = role == .client ? self.clientSide : self.serverSide
        defer { side.received = [] }
        return side.received.map { message in
            switch message.kind {
            case .text: .text(String(buffer: message.payload))
            case .binary: .binary(message.payload)
            }
        }
    }

    /// Begins the closing handshake and lets it run to its end.
    public func close(
        from role: Role,
        code: WebSocketCloseCode = .normalClosure,
        reason: String = ""
    ) {
        let side = role == .client ? self.clientSide : self.serverSide
        side.connection.close(code: code, reason: reason, now: side.now)
        side.run()
        self.pump()
    }

    /// How one side has closed; `nil` while it has not.
    public func closeInfo(at role: Role) -> CloseInfo? {
        role == .client ? self.clientSide.closed : self.serverSide.closed
    }

    /// Lets time pass on both sides: deadlines, pings, idle times.
    public func advance(by duration: Duration) {
        self.clientSide.advance(by: TimeAmount(duration))
        self.serverSide.advance(by: TimeAmount(duration))
        self.pump()
    }

    // MARK: Handing over

    private func pump() {
        repeat {
            self.decide()
            self.bytesFromClient += Self.move(from: self.clientSide, to: self.serverSide, by: self.readBytes)
            self.decide()
            self.bytesFromServer += Self.move(from: self.serverSide, to: self.clientSide, by: self.readBytes)
            if self.clientSide.hasEnded, !self.serverIsTold {
                self.serverIsTold = true
                self.serverSide.endInput()
            }
            if self.serverSide.hasEnded, !self.clientIsTold {
                self.clientIsTold = true
                self.clientSide.endInput()
            }
        } while self.clientSide.output.readableBytes > 0 || self.serverSide.output.readableBytes > 0
    }

    private static func move(
        from one: DrivenConnection,
        to other: DrivenConnection,
        by size: Int?
    ) -> Int {
        var bytes = one.output
        one.output = ByteBuffer()
        let count = bytes.readableBytes
        while bytes.readableBytes > 0,
            let piece = bytes.readSlice(length: min(max(size ?? .max, 1), bytes.readableBytes))
        {
            other.feed(piece)
        }
        return count
    }

    private func decide() {
        let now = self.serverSide.now
        if let request = self.serverSide.openingRequest {
            self.serverSide.openingRequest = nil
            _ = self.decisions.decide(request, on: &self.serverSide.connection, now: now)
            self.serverSide.run()
        }
        if let request = self.serverSide.extendedRequest {
            self.serverSide.extendedRequest = nil
            if case .completeAfterRead = self.decisions.decide(request) {
                self.decisions.completeExtended(on: &self.serverSide.connection, now: now)
            }
            self.serverSide.run()
        }
    }
}

extension ConnectionPipe.Server {
    fileprivate func values(in dialect: Dialect) -> EndpointConfiguration.Values {
        var values = EndpointConfiguration.Values(path: "/{path...}")
        values.plan.dialects = [dialect]
        values.plan.subprotocols = self.subprotocols
        values.plan.extensions = self.extensions
        values.extendedHandshake = self.extendedHandshake
        return values
    }
}
