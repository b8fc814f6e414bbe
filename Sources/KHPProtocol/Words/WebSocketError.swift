/// The one error of this package: what went wrong, where, and what the peer said about it.
///
/// Switch on ``code``, and on ``detail`` where a code has several reasons; show ``message`` to people. It never holds
/// credentials.
public struct WebSocketError: Error, Sendable {
    /// The kind of failure.
    public var code: Code
    /// The reason within ``code``, where there are several to act on.
    public var detail: Detail?
    /// One sentence on the failure and, where it helps, the advice.
    public var message: String
    /// The URL of the hop that failed.
    public var url: WebSocketURL? {
        get { self.context?.url }
        set { self.context = Context(url: newValue, response: self.response, redirects: self.redirects) }
    }
    /// The response that refused, with its content, where there was one.
    public var response: HandshakeResponse? {
        get { self.context?.response }
        set { self.context = Context(url: self.url, response: newValue, redirects: self.redirects) }
    }
    /// The redirects that a connect had followed before it failed, in order.
    public var redirects: [RedirectStep] {
        get { self.context?.redirects ?? [] }
        set { self.context = Context(url: self.url, response: self.response, redirects: newValue) }
    }
    /// The close code that was sent or received, where there was one.
    public var closeCode: WebSocketCloseCode?
    /// How far the connection had come.
    public var phase: Phase?

    /// Holds the large parts, which most errors do not have: every connection ends with an error that is copied several
    /// times.
    private final class Context: Sendable {
        let url: WebSocketURL?
        let response: HandshakeResponse?
        let redirects: [RedirectStep]

        init(url: WebSocketURL?, response: HandshakeResponse?, redirects: [RedirectStep] = []) {
            self.url = url
            self.response = response
            self.redirects = redirects
        }
    }

    private var context: Context?

    /// An error made of these parts.
    public init(
        _ code: Code,
        _ message: String,
        detail: Detail? = nil,
        url: WebSocketURL? = nil,
        response: HandshakeResponse? = nil,
        closeCode: WebSocketCloseCode? = nil,
        phase: Phase? = nil
    ) {
        self.code = code
        self.detail = detail
        self.message = message
        self.closeCode = closeCode
        self.phase = phase
        if url != nil || response != nil { self.context = Context(url: url, response: response) }
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
        public var description: String { self.rawValue }
    }
}

extension WebSocketError: CustomStringConvertible, CustomReflectable {
    /// The code, message, stage, URL, response status, close code, and the redirects on the way; URLs as
    /// ``WebSocketURL/redacted`` has them.
    public var description: String {
        var text = "\(self.code): \(self.message)"
        var details: [String] = []
        if let phase = self.phase { details.append("during \(phase)") }
        if let url = self.url { details.append("at \(url.redacted)") }
        if let response = self.response { details.append("status \(response)") }
        if let closeCode = self.closeCode { details.append("close code \(closeCode)") }
        if !self.redirects.isEmpty {
            details.append("after " + self.redirects.map(\.description).joined(separator: ", "))
        }
        if !details.isEmpty { text += " (\(details.joined(separator: ", ")))" }
        return text
    }

    /// Shows no more than ``description`` does.
    public var customMirror: Mirror { Mirror(self, children: ["error": self.description]) }
}

extension WebSocketError {
    /// The error of a call on a socket that has ended.
    package static func closed(_ info: CloseInfo) -> WebSocketError {
        info.error ?? WebSocketError(.closed, "The socket is closed.", closeCode: info.code, phase: .closing)
    }
}
