/// The one error of this package: what went wrong, where, and what the peer said about it.
///
/// Switch on ``code``; show ``message`` to people. It never holds credentials.
public struct WebSocketError: Error, Sendable {
    /// The kind of failure.
    public var code: Code
    /// One sentence that says what happened and, where that helps, what to do.
    public var message: String
    /// The URL of the hop that failed.
    public var url: WebSocketURL? {
        get { details?.url }
        set { details = Details(url: newValue, response: response, redirects: redirects, isPassing: isPassing) }
    }
    /// The response that refused, with its content, where there was one (KHP-E20).
    public var response: HandshakeResponse? {
        get { details?.response }
        set { details = Details(url: url, response: newValue, redirects: redirects, isPassing: isPassing) }
    }
    /// The redirects that a connect had followed before it failed, in order.
    public var redirects: [RedirectStep] {
        get { details?.redirects ?? [] }
        set { details = Details(url: url, response: response, redirects: newValue, isPassing: isPassing) }
    }
    /// Whether what a SOCKS proxy refused for may pass: it has no status that tells.
    package var isPassing: Bool {
        get { details?.isPassing ?? false }
        set { details = Details(url: url, response: response, redirects: redirects, isPassing: newValue) }
    }
    /// The close code that was sent or received, where there was one.
    public var closeCode: WebSocketCloseCode?
    /// How far the connection had come.
    public var phase: Phase?

    /// What is large and most errors have not: every connection ends with an error that is handed on several times.
    private final class Details: Sendable {
        let url: WebSocketURL?
        let response: HandshakeResponse?
        let redirects: [RedirectStep]
        let isPassing: Bool

        init(
            url: WebSocketURL?,
            response: HandshakeResponse?,
            redirects: [RedirectStep] = [],
            isPassing: Bool = false
        ) {
            self.url = url
            self.response = response
            self.redirects = redirects
            self.isPassing = isPassing
        }
    }

    private var details: Details?

    /// An error made of these parts.
    public init(
        _ code: Code,
        _ message: String,
        url: WebSocketURL? = nil,
        response: HandshakeResponse? = nil,
        closeCode: WebSocketCloseCode? = nil,
        phase: Phase? = nil
    ) {
        self.code = code
        self.message = message
        self.closeCode = closeCode
        self.phase = phase
        if url != nil || response != nil { self.details = Details(url: url, response: response) }
    }

    /// The stages of a connection, in their order.
    public enum Phase: String, Sendable, Hashable, CaseIterable, CustomStringConvertible {
        /// Resolving the name, connecting over TCP, tunnelling through a proxy.
        case connect
        /// The TLS handshake.
        case tls
        /// The opening handshake.
        case opening
        /// The extended handshake, inside the WebSocket.
        case extended
        /// Messages flow.
        case open
        /// The closing handshake.
        case closing

        /// The stage's name.
        public var description: String { rawValue }
    }
}

extension WebSocketError: CustomStringConvertible, CustomReflectable {
    /// Code, message, stage, URL, response status, close code, and the redirects on the way; URLs as
    /// ``WebSocketURL/redacted`` has them.
    public var description: String {
        var text = "\(code): \(message)"
        var details: [String] = []
        if let phase { details.append("during \(phase)") }
        if let url { details.append("at \(url.redacted)") }
        if let response { details.append("status \(response)") }
        if let closeCode { details.append("close code \(closeCode)") }
        if !redirects.isEmpty {
            details.append("after " + redirects.map(\.description).joined(separator: ", "))
        }
        if !details.isEmpty { text += " (\(details.joined(separator: ", ")))" }
        return text
    }

    /// Shows no more than ``description`` does.
    public var customMirror: Mirror { Mirror(self, children: ["error": description]) }
}
