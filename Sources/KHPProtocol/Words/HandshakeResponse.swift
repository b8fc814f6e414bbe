public import HTTPTypes
public import NIOCore

/// An HTTP response of a handshake, in the opening or inside the WebSocket: a server's `respond` closure makes it, a
/// client finds it in ``WebSocketError/response`` and ``HandshakeSummary/response``.
///
/// Given to a client that takes part in the extended handshake it is the extended response; everyone else gets it as
/// the response of the opening handshake, where one that completes opens the plain WebSocket.
///
/// A server's response that cannot be sent becomes a 500, and a line of the log says why: a status outside 100 to 999,
/// control characters in headers, a Location with a blank, a 401 without a challenge, a subprotocol that the client did
/// not ask for.
public struct HandshakeResponse: Error, CustomStringConvertible {
    /// The largest ``body`` that a client keeps, in bytes; what is longer is cut.
    public static let maximumBodyBytes = 65536

    /// The status code, 100…999. The statuses 101, 201, 204 and 205 complete a handshake.
    public var status: Int
    /// The reason phrase as sent; often empty. An empty one is sent as the usual phrase of the status.
    public var reason: String
    /// The header fields.
    ///
    /// Received: with each byte of their values. Those of old servers may be ISO-8859-1, which
    /// `withUnsafeBytesOfValue` of a field gives as it came and `value` with U+FFFD in its place.
    ///
    /// To be sent: those of the handshake itself are the server's and left out here (Connection, Content-Length, Date,
    /// in a completing response Sec-WebSocket-* too).
    public var headers: HTTPFields
    /// The body; `nil` where a server's response sets none.
    package var ownBody: ByteBuffer?
    /// The part of a server's response that is not sent; few have one, so it lies in a box.
    private var asideBox: AsideBox?

    /// A response made of these parts.
    ///
    /// - Parameters:
    ///   - status: the status code.
    ///   - reason: the reason phrase; empty takes the usual one of the status.
    ///   - headers: the header fields.
    ///   - body: the body. Without one, a server sends a short readable text, except for statuses that have no body.
    public init(status: Int, reason: String = "", headers: HTTPFields = [:], body: ByteBuffer? = nil) {
        self.status = status
        self.reason = reason
        self.headers = headers
        self.ownBody = body
    }

    package init(head: ResponseHead, body: ByteBuffer = ByteBuffer()) {
        self.init(status: head.status, reason: head.reason, headers: head.fields.httpFields, body: body)
    }

    /// The body. A client keeps at most ``maximumBodyBytes`` of it. A refusal's is an explanation for people.
    ///
    /// A response that is to be sent and sets none gets a short readable text instead; set an empty buffer to send an
    /// empty body. Statuses 101, 204 and 205 are sent without one.
    public var body: ByteBuffer {
        get { self.ownBody ?? ByteBuffer() }
        set { self.ownBody = newValue }
    }

    /// The status line without the version, such as "403 Forbidden". Neither headers nor body: they may hold secrets.
    public var description: String {
        self.reason.isEmpty ? String(self.status) : "\(self.status) \(self.reason)"
    }
}

extension HandshakeResponse: CustomReflectable {
    /// Shows no more than ``description`` does.
    public var customMirror: Mirror { Mirror(self, children: ["status": self.description]) }
}

// MARK: The server's own part

extension HandshakeResponse {
    private struct Aside {
        var subprotocol: String?
        var next: (@Sendable () async throws -> HandshakeResponse)?
        var isStale = false
        var fault: String?
    }

    private final class AsideBox: Sendable {
        let aside: Aside

        init(_ aside: Aside) { self.aside = aside }
    }

    private var aside: Aside {
        get { self.asideBox?.aside ?? Aside() }
        set { self.asideBox = AsideBox(newValue) }
    }

    /// The subprotocol that a server's completing response chooses; `nil` leaves the choice to the endpoint's list.
    /// Always `nil` in a response that was received.
    public var subprotocol: String? {
        get { self.asideBox?.aside.subprotocol }
        set { self.aside.subprotocol = newValue }
    }

    /// Makes the response that follows a 202.
    package var next: (@Sendable () async throws -> HandshakeResponse)? {
        get { self.asideBox?.aside.next }
        set { self.aside.next = newValue }
    }

    /// A 401 to right credentials whose nonce has expired (`stale=true`).
    package var isStale: Bool {
        get { self.asideBox?.aside.isStale ?? false }
        set { self.aside.isStale = newValue }
    }

    /// The reason why it cannot be sent, where whoever made it has found one: a header would hide it, as it makes blanks
    /// of line breaks.
    package var fault: String? {
        get { self.asideBox?.aside.fault }
        set { self.aside.fault = newValue }
    }
}
