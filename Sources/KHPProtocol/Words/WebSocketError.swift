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
        get { self.context?.parts.url }
        set { self.change { $0.url = newValue } }
    }
    /// The response that refused, with its content, where there was one.
    public var response: HandshakeResponse? {
        get { self.context?.parts.response }
        set { self.change { $0.response = newValue } }
    }
    /// The redirects that a connect had followed before it failed, in order.
    public var redirects: [RedirectStep] {
        get { self.context?.parts.redirects ?? [] }
        set { self.change { $0.redirects = newValue } }
    }
    /// The server has done nothing with the request, and has said so on a stream of HTTP/2.
    package var streamRefusal: StreamRefusal? {
        get { self.context?.parts.streamRefusal }
        set { self.change { $0.streamRefusal = newValue } }
    }
    /// The close code that was sent or received, where there was one.
    public var closeCode: WebSocketCloseCode?
    /// How far the connection had come.
    public var phase: Phase?

    /// Holds the large parts, which most errors do not have: every connection ends with an error that is copied several
    /// times.
    private final class Context: Sendable {
        let parts: Parts

        init(_ parts: Parts) { self.parts = parts }
    }

    private struct Parts {
        var url: WebSocketURL?
        var response: HandshakeResponse?
        var redirects: [RedirectStep] = []
        var streamRefusal: StreamRefusal?
    }

    private var context: Context?

    private mutating func change(_ body: (inout Parts) -> Void) {
        var parts = self.context?.parts ?? Parts()
        body(&parts)
        self.context = Context(parts)
    }

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
        if url != nil || response != nil { self.context = Context(Parts(url: url, response: response)) }
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

/// The word of a server of HTTP/2 that has done nothing with a request, so that it may be made once more.
package enum StreamRefusal: Sendable, Hashable {
    /// HTTP/1.1 is to be used instead (HTTP_1_1_REQUIRED, RFC 9113 section 7).
    case wantsHTTP1
    /// The stream was refused, lies behind the last that the server takes, or found no room (RFC 9113 section 8.7).
    case unprocessed
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
