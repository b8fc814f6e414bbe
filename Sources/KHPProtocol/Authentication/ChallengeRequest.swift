/// What a server or proxy asks for before it goes on (KHP-E17).
public struct ChallengeRequest: Sendable, Hashable {
    /// Where the challenge came from.
    public enum Layer: String, Sendable, Hashable, CaseIterable, CustomStringConvertible {
        /// A 401 to the opening handshake.
        case opening
        /// A 401 inside the WebSocket.
        case extended
        /// A 407 of a proxy.
        case proxy

        /// The layer's name.
        public var description: String { rawValue }
    }

    /// The URL that is being connected to: of this hop, after the redirects so far.
    public var url: WebSocketURL
    /// The URL that the connection was asked for, before any redirect.
    public var originalURL: WebSocketURL
    /// Where the challenge came from.
    public var layer: Layer
    /// The scheme as it was sent, such as `Basic`, without Kaazing's prefix "Application ".
    public var scheme: String
    /// The realm, where the challenge names one.
    public var realm: String?
    /// All parameters, the realm among them; names in lower case.
    public var parameters: [String: String]
    /// What some schemes send in place of parameters.
    public var token68: String?
    /// 1 for the first challenge of the connection attempt, then 2, and so on.
    public var round: Int

    /// A request made of these parts; without an `originalURL` nothing was redirected.
    public init(
        url: WebSocketURL,
        originalURL: WebSocketURL? = nil,
        layer: Layer,
        scheme: String,
        realm: String? = nil,
        parameters: [String: String] = [:],
        token68: String? = nil,
        round: Int = 1
    ) {
        self.url = url
        self.originalURL = originalURL ?? url
        self.layer = layer
        self.scheme = scheme
        self.realm = realm
        self.parameters = parameters
        self.token68 = token68
        self.round = round
    }

    package init(_ challenge: Challenge, url: WebSocketURL, originalURL: WebSocketURL, layer: Layer, round: Int) {
        self.init(
            url: url,
            originalURL: originalURL,
            layer: layer,
            scheme: challenge.scheme,
            realm: challenge.realm,
            parameters: Dictionary(challenge.parameters.map { ($0.name, $0.value) }) { first, _ in first },
            token68: challenge.token68,
            round: round
        )
    }

    /// Whether a redirect led to another origin, so that credentials of the original one must not be given (D12).
    public var isRedirectedToAnotherOrigin: Bool {
        !url.isSameOrigin(as: originalURL)
    }
}
