/// All that both handshakes agreed on, known once the socket is open.
public struct HandshakeSummary: Sendable {
    private struct Values {
        var url: WebSocketURL
        var dialect: Dialect
        var subprotocol: String?
        var extensions: [NegotiatedExtension]
        var status: Int?
        var response: HandshakeResponse?
        var redirects: [RedirectStep]
        var challenges: Int
        var cookies: [Cookie] = []
        var setCookies: [SetCookie]
        var principal: Principal?
    }

    /// In an object, as a summary is handed on from where it is made to where it is asked for, and that may be nowhere.
    ///
    /// Unchecked: changed only while one summary alone holds it.
    private final class Shared: @unchecked Sendable {
        var values: Values

        init(_ values: Values) {
            self.values = values
        }
    }

    private var shared: Shared

    private var values: Values {
        get { self.shared.values }
        set {
            if isKnownUniquelyReferenced(&self.shared) {
                self.shared.values = newValue
            } else {
                self.shared = Shared(newValue)
            }
        }
    }

    /// Where the socket was opened in the end: after all redirects, for a client; as the request named it, for a
    /// server.
    public var url: WebSocketURL {
        get { self.shared.values.url }
        set { self.values.url = newValue }
    }

    /// The wire dialect in use.
    public var dialect: Dialect {
        get { self.shared.values.dialect }
        set { self.values.dialect = newValue }
    }

    /// The application's subprotocol (RFC 6455 section 1.9), whichever handshake chose it. Never `x-kaazing-handshake`.
    public var subprotocol: String? {
        get { self.shared.values.subprotocol }
        set { self.values.subprotocol = newValue }
    }

    /// The extensions in use, in negotiated order, each with the handshake that negotiated it.
    public var extensions: [NegotiatedExtension] {
        get { self.shared.values.extensions }
        set { self.values.extensions = newValue }
    }

    /// The status that completed the extended handshake: 101, 201, 204 or 205. `nil` on a plain WebSocket.
    public var status: Int? {
        get { self.shared.values.status }
        set { self.values.status = newValue }
    }

    /// The completing response of the extended handshake with its fields and content (201); of the opening handshake
    /// on a plain WebSocket.
    public var response: HandshakeResponse? {
        get { self.shared.values.response }
        set { self.values.response = newValue }
    }

    /// The redirects that were followed, in order. Empty on a server.
    public var redirects: [RedirectStep] {
        get { self.shared.values.redirects }
        set { self.values.redirects = newValue }
    }

    /// How many challenges were answered on the way.
    public var challenges: Int {
        get { self.shared.values.challenges }
        set { self.values.challenges = newValue }
    }

    /// The cookies that the handshakes which opened the socket set, on a client; see `WebSocketClient.CookiePolicy`.
    /// Their values are secrets.
    public var cookies: [Cookie] {
        get { self.shared.values.cookies }
        set { self.values.cookies = newValue }
    }

    /// The same as fields, before they are dated.
    package var setCookies: [SetCookie] {
        get { self.shared.values.setCookies }
        set { self.values.setCookies = newValue }
    }

    /// The user that the peer proved to be, on a server whose endpoint asks for credentials.
    public var principal: Principal? {
        get { self.shared.values.principal }
        set { self.values.principal = newValue }
    }

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
        let values = Values(
            url: url,
            dialect: dialect,
            subprotocol: subprotocol,
            extensions: extensions,
            status: status,
            response: response,
            redirects: redirects,
            challenges: challenges,
            setCookies: setCookies,
            principal: principal.map { Principal($0) }
        )
        self.shared = Shared(values)
    }
}
