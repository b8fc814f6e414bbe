/// All that both handshakes agreed on, known once the socket is open.
public struct HandshakeSummary: Sendable {
    /// Where the socket was opened in the end: after all redirects, for a client; as the request named it, for a
    /// server.
    public var url: WebSocketURL
    /// The wire dialect in use.
    public var dialect: Dialect
    /// The application's subprotocol (RFC 6455 section 1.9), whichever handshake chose it. Never `x-kaazing-handshake`.
    public var subprotocol: String?
    /// The extensions in use, in negotiated order, each with the handshake that negotiated it.
    public var extensions: [NegotiatedExtension]
    /// The status that completed the extended handshake: 101, 201, 204 or 205. `nil` on a plain WebSocket.
    public var status: Int?
    /// The completing response of the extended handshake with its fields and content (201); of the opening handshake
    /// on a plain WebSocket.
    public var response: HandshakeResponse?
    /// The redirects that were followed, in order. Empty on a server.
    public var redirects: [RedirectStep]
    /// How many challenges were answered on the way.
    public var challenges: Int
    /// The cookies that the handshakes which opened the socket set, on a client; see `WebSocketClient.CookiePolicy`.
    /// Their values are secrets.
    public var cookies: [Cookie] = []
    /// The same as fields, before they are dated.
    package var setCookies: [SetCookie] = []
    /// The user that the peer proved to be, on a server whose endpoint asks for credentials.
    public var principal: Principal?

    // Inlined, so that it is made where it goes and not copied there.
    @inline(__always)
    package init(
        url: WebSocketURL,
        dialect: Dialect,
        subprotocol: String?,
        extensions: [NegotiatedExtension],
        status: Int?,
        response: HandshakeResponse?,
        redirects: [RedirectStep] = [],
        challenges: Int = 0,
        principal: String? = nil,
        setCookies: [SetCookie] = []
    ) {
        self.url = url
        self.dialect = dialect
        self.subprotocol = subprotocol
        self.extensions = extensions
        self.status = status
        self.response = response
        self.redirects = redirects
        self.challenges = challenges
        self.principal = principal.map { Principal($0) }
        self.setCookies = setCookies
    }
}
