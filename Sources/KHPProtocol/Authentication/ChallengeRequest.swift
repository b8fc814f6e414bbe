/// A challenge: the credentials that a server or proxy asks for before it goes on.
public struct ChallengeRequest: Sendable, Hashable {
    /// The URL that is being connected to: of this hop, after the redirects so far.
    public var url: WebSocketURL
    /// The URL that the connection was asked for, before any redirect.
    public var originalURL: WebSocketURL
    /// The source of the challenge: a 401 to the opening handshake, a 401 inside the WebSocket, or a 407 of a proxy.
    public var layer: HandshakeLayer
    /// The scheme as it was sent, such as `Basic`, without Kaazing's prefix "Application ".
    public var scheme: String
    /// The realm, if the challenge names one. Bytes that are not UTF-8 are read as ISO-8859-1, as old servers mean
    /// them; an answer repeats the realm's own bytes.
    public var realm: String?
    /// All parameters, the realm among them; names in lower case.
    public var parameters: [String: String]
    /// The parameters with each of their bytes, as ``FieldText`` has them. An answer is made from these.
    package var sent: [String: String]
    /// The value that some schemes send in place of parameters.
    public var token68: String?
    /// 1 for the first challenge of the connection attempt, then 2, and so on.
    public var round: Int
    /// Host and port of the proxy that asks, where ``layer`` is ``HandshakeLayer/proxy``.
    public var proxy: String?
    /// `true` when credentials were sent there before and refused: the same ones are not sent again.
    public var previousWasRefused: Bool

    /// A request made of these parts; without an `originalURL` nothing was redirected.
    public init(
        url: WebSocketURL,
        originalURL: WebSocketURL? = nil,
        layer: HandshakeLayer,
        scheme: String,
        realm: String? = nil,
        parameters: [String: String] = [:],
        token68: String? = nil,
        round: Int = 1,
        proxy: String? = nil,
        previousWasRefused: Bool = false
    ) {
        self.url = url
        self.originalURL = originalURL ?? url
        self.layer = layer
        self.scheme = scheme
        self.realm = realm
        self.parameters = parameters
        self.token68 = token68
        self.round = round
        self.proxy = proxy
        self.previousWasRefused = previousWasRefused
        self.sent = parameters
        if let realm { self.sent["realm"] = realm }
    }

    package init(
        _ challenge: Challenge,
        url: WebSocketURL,
        originalURL: WebSocketURL,
        layer: HandshakeLayer,
        round: Int,
        proxy: String? = nil,
        previousWasRefused: Bool = false
    ) {
        let values = challenge.values
        self.init(
            url: url,
            originalURL: originalURL,
            layer: layer,
            scheme: challenge.scheme,
            realm: challenge.realm.map { FieldText.readable($0) },
            parameters: values.mapValues { FieldText.readable($0) },
            token68: challenge.token68,
            round: round,
            proxy: proxy,
            previousWasRefused: previousWasRefused
        )
        self.sent = values
    }

    /// `true` when a redirect led to another origin, so that credentials of the original one must not be given.
    public var isRedirectedToAnotherOrigin: Bool {
        !self.url.isSameOrigin(as: self.originalURL)
    }
}
