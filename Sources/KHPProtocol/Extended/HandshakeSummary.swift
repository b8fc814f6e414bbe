/// All that both handshakes agreed on, known once the socket is open.
public struct HandshakeSummary: Sendable {
    /// In an object, as a summary is handed on from where it is made to where it is asked for, and that may be nowhere.
    ///
    /// Unchecked: changed only while one summary alone holds it.
    private final class Values: @unchecked Sendable {
        var url: WebSocketURL
        var dialect: Dialect
        var subprotocol: String?
        var extensions: [NegotiatedExtension]
        var status: Int?
        var response: HandshakeResponse?
        var redirects: [RedirectStep]
        var challenges: Int
        var cookies: [Cookie]
        var setCookies: [SetCookie]
        var principal: Principal?

        init(
            url: WebSocketURL,
            dialect: Dialect,
            subprotocol: String?,
            extensions: [NegotiatedExtension],
            status: Int?,
            response: HandshakeResponse?,
            redirects: [RedirectStep],
            challenges: Int,
            cookies: [Cookie] = [],
            setCookies: [SetCookie],
            principal: Principal?
        ) {
            self.url = url
            self.dialect = dialect
            self.subprotocol = subprotocol
            self.extensions = extensions
            self.status = status
            self.response = response
            self.redirects = redirects
            self.challenges = challenges
            self.cookies = cookies
            self.setCookies = setCookies
            self.principal = principal
        }

        func copy() -> Values {
            Values(
                url: self.url,
                dialect: self.dialect,
                subprotocol: self.subprotocol,
                extensions: self.extensions,
                status: self.status,
                response: self.response,
                redirects: self.redirects,
                challenges: self.challenges,
                cookies: self.cookies,
                setCookies: self.setCookies,
                principal: self.principal
            )
        }
    }

    private var values: Values

    /// The values, to be changed.
    private mutating func own() -> Values {
        if !isKnownUniquelyReferenced(&self.values) { self.values = self.values.copy() }
        return self.values
    }

    /// Where the socket was opened in the end: after all redirects, for a client; as the request named it, for a
    /// server.
    public var url: WebSocketURL {
        get { self.values.url }
        set { self.own().url = newValue }
    }

    /// The wire dialect in use.
    public var dialect: Dialect {
        get { self.values.dialect }
        set { self.own().dialect = newValue }
    }

    /// The application's subprotocol (RFC 6455 section 1.9), whichever handshake chose it. Never `x-kaazing-handshake`.
    public var subprotocol: String? {
        get { self.values.subprotocol }
        set { self.own().subprotocol = newValue }
    }

    /// The extensions in use, in negotiated order, each with the handshake that negotiated it.
    public var extensions: [NegotiatedExtension] {
        get { self.values.extensions }
        set { self.own().extensions = newValue }
    }

    /// The status that completed the extended handshake: 101, 201, 204 or 205. `nil` on a plain WebSocket.
    public var status: Int? {
        get { self.values.status }
        set { self.own().status = newValue }
    }

    /// The completing response of the extended handshake with its fields and content (201); of the opening handshake
    /// on a plain WebSocket.
    public var response: HandshakeResponse? {
        get { self.values.response }
        set { self.own().response = newValue }
    }

    /// The redirects that were followed, in order. Empty on a server.
    public var redirects: [RedirectStep] {
        get { self.values.redirects }
        set { self.own().redirects = newValue }
    }

    /// How many challenges were answered on the way.
    public var challenges: Int {
        get { self.values.challenges }
        set { self.own().challenges = newValue }
    }

    /// The cookies that the handshakes which opened the socket set, on a client; see `WebSocketClient.CookiePolicy`.
    /// Their values are secrets.
    public var cookies: [Cookie] {
        get { self.values.cookies }
        set { self.own().cookies = newValue }
    }

    /// The same as fields, before they are dated.
    package var setCookies: [SetCookie] {
        get { self.values.setCookies }
        set { self.own().setCookies = newValue }
    }

    /// The user that the peer proved to be, on a server whose endpoint asks for credentials.
    public var principal: Principal? {
        get { self.values.principal }
        set { self.own().principal = newValue }
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
        self.values = Values(
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
    }
}
