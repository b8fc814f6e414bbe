public import NIOCore

/// An event for an observer of connections. Logs, metrics, traces and the command are all made of these.
///
/// Heads are text as sent or received with every credential replaced by `•••`, those in targets, URLs and lists of
/// subprotocols too; a byte that is no UTF-8 stands there as U+10FF00 plus its value. Payloads of the extended
/// handshake are never shown as frames. A URL in an event is whole, and shows its credentials only where it is printed
/// by itself: ``WebSocketURL/redacted`` never does. Called on the connection's event loop: be quick, never block.
public enum ConnectionEvent: Sendable {
    /// A client is about to connect, through `proxy` where there is one; `attempt` counts from 1 over redirects and
    /// reconnects.
    case connecting(url: WebSocketURL, attempt: Int, proxy: Proxy? = nil)
    /// The transport is up: TCP, the tunnel of a proxy, and TLS to the server where it is used. Through a proxy `peer`
    /// is the proxy's address.
    case connected(peer: String, tls: TLSInfo?)
    /// The request of the opening handshake was sent (client) or received (server).
    case openingRequest(head: String)
    /// A server has found the endpoint of a request of the opening handshake: its path as the application wrote it, such
    /// as `/rooms/{id}`.
    case routed(endpoint: String)
    /// The response of the opening handshake.
    case openingResponse(head: String, status: Int)
    /// The request of the extended handshake.
    case extendedRequest(head: String)
    /// A response of the extended handshake, with the action that the status table gives it.
    case extendedResponse(head: String, status: Int, action: StatusAction, body: ByteBuffer)
    /// A message that the Kaazing legacy exchange adds to the extended handshake, from the server.
    case kaazingLegacy(KaazingLegacyMessage)
    /// A challenge arrived; `round` counts from 1 in one connect.
    case challenge(scheme: String, realm: String?, layer: HandshakeLayer, round: Int)
    /// A redirect is being followed.
    case redirect(from: WebSocketURL, to: WebSocketURL, status: Int, layer: HandshakeLayer)
    /// The socket is open for the application.
    case open(HandshakeSummary)
    /// A frame after completion.
    case frameReceived(FrameInfo)
    /// A frame after completion.
    case frameSent(FrameInfo)
    /// The peer broke a rule that the connection survives: an unknown frame in ``Dialect/whatwg2010``.
    case violation(WebSocketError)
    /// A pong answered a ping of ours.
    case pong(roundTrip: Duration)
    /// The socket was open and has closed: the last event of its connection. Messages that the application had not
    /// taken when a peer left can still be read, but are not reported.
    case closed(CloseInfo)
    /// The connection, or the whole connect, failed before it was open.
    case failed(WebSocketError)
    /// A client that reconnects pauses for `delay` and connects again then; told of the connection that failed or was
    /// lost, with the error that this retry is for. `attempt` counts from 1 since the last stable connection.
    case reconnecting(attempt: Int, delay: Duration, cause: WebSocketError)
}

extension ConnectionEvent {
    /// `true` for a frame, of which there may be very many.
    public var isFrame: Bool {
        switch self {
        case .frameReceived, .frameSent: true
        default: false
        }
    }
}

/// A frame, a whole message, or a piece of one that is sent or delivered in pieces, as an observer sees it.
public struct FrameInfo: Sendable {
    /// The kinds of frames (RFC 6455 section 11.8). An older dialect's frames have the kind that means the same.
    public enum Kind: String, Sendable, Hashable, CaseIterable, CustomStringConvertible {
        /// A text message, or its first piece.
        case text
        /// A binary message, or its first piece.
        case binary
        /// Each piece of a message but the first.
        case continuation
        /// A ping.
        case ping
        /// A pong.
        case pong
        /// A close frame.
        case close

        package init(_ kind: MessageKind) {
            self = kind == .text ? .text : .binary
        }

        /// The kind's name.
        public var description: String { self.rawValue }
    }

    /// The kind of frame.
    public var kind: Kind
    /// The payload's length in bytes.
    public var bytes: Int
    /// The unmasked payload, before compression and the like (sent) or after (received).
    public var payload: ByteBuffer
    /// How many bytes it takes in frames: fewer than `bytes` where it is compressed.
    public var wireBytes: Int

    /// Creates a frame that took as many bytes on the wire as its payload has, as a test of an observer does.
    public init(kind: Kind, payload: ByteBuffer) {
        self.kind = kind
        self.bytes = payload.readableBytes
        self.payload = payload
        self.wireBytes = payload.readableBytes
    }
}

/// The outcome of a TLS handshake.
public struct TLSInfo: Sendable {
    /// The protocol version, such as `TLSv1.3`.
    public var version: String
    /// The ALPN protocol, where one was negotiated.
    public var alpn: String?

    /// Creates a description.
    public init(version: String, alpn: String?) {
        self.version = version
        self.alpn = alpn
    }
}

/// Which connection an event belongs to.
public struct ConnectionInfo: Sendable {
    /// Counts the connections of one server, or of all clients of the process, from 1. 0 for a connect that fails before
    /// its first connection.
    public var id: UInt64
    /// Which side we are.
    public var role: Role
    /// The peer's address, as `host:port`; empty before there is one.
    public var peer: String
    /// `true` where TLS is up already: for the later requests of a connection that is kept. Otherwise
    /// ``ConnectionEvent/connected(peer:tls:)`` tells of it.
    public var usesTLS = false

    /// Creates the description of a connection, as a test of an observer does.
    public init(id: UInt64, role: Role, peer: String) {
        self.id = id
        self.role = role
        self.peer = peer
    }
}
