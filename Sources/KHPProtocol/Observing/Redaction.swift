// Heads as text for observers, with every credential hidden. The one place where a head becomes a trace, so that
// none gets past it (threat E18).

import HTTPTypes
package import NIOCore

/// Hides credentials in text that is logged or shown.
///
/// The library passes all that it shows through it: descriptions, errors, the heads that observers get. An application that
/// logs a URL or a peer's text itself does the same, with ``redacted(_:)``.
public enum Redaction {
    /// Stands in the place of a credential.
    public static let mark = "•••"

    /// The text with the user information of each URL in it hidden, and the value of each parameter whose name says that it
    /// is a credential, such as `token`, `password` or `api_key`: in queries, and in paths behind a semicolon. In queries,
    /// a long value without a name is hidden too. All else stays readable.
    ///
    /// - Parameter text: a URL, a request target, or any text with such in it.
    public static func redacted(_ text: String) -> String { Self.shown(text) }

    static func line(_ name: String, _ value: String) -> String {
        "\(name): \(Self.value(of: name, value))\r\n"
    }

    /// The value of a field as it may be shown.
    static func value(of name: String, _ value: String) -> String {
        guard SecretName.isSecret(name) else {
            // Clients that cannot set a field put their tokens there.
            let isSubprotocol = Bytes.lowercasedASCII(name).hasSuffix("websocket-protocol")
            return isSubprotocol ? Self.subprotocols(value) : Self.shown(value)
        }
        // The scheme is not secret, and tells which login was tried.
        if let space = value.firstIndex(of: " "), name.lowercased().hasSuffix("authorization") {
            return "\(value[..<space]) \(Self.mark)"
        }
        return Self.mark
    }
}

extension RequestHead {
    /// The head as sent or received, credentials hidden.
    package var redactedText: String {
        var text = "\(self.method) \(Redaction.shown(self.target)) HTTP/1.\(self.minorVersion)\r\n"
        self.fields.forEach { text += Redaction.line($0, $1) }
        return text + "\r\n"
    }
}

extension ResponseHead {
    /// The head as sent or received, credentials hidden.
    var redactedText: String {
        var text = "HTTP/1.\(self.minorVersion) \(self.status) \(Redaction.shown(self.reason))\r\n"
        self.fields.forEach { text += Redaction.line($0, $1) }
        return text + "\r\n"
    }
}

extension HandshakeResponse {
    /// The head, credentials hidden.
    var redactedHead: String {
        var text = "HTTP/1.1 \(self.status) \(Redaction.shown(self.reason))\r\n"
        for field in self.headers { text += Redaction.line(field.name.rawName, field.text) }
        return text + "\r\n"
    }
}

extension Redaction {
    /// For heads that we wrote ourselves.
    static let unlimited = HeadLimits(lineBytes: .max / 4, headBytes: .max / 4, fieldCount: .max / 4)

    /// The head of a request as it was written.
    static func requestHead(of bytes: ByteBuffer) -> String {
        var bytes = bytes
        var decoder = RequestHeadDecoder(limits: Self.unlimited)
        guard let head = try? decoder.decode(&bytes) else { return "" }
        return head.redactedText
    }

    /// The head of a response as it was written.
    package static func head(of bytes: ByteBuffer) -> String {
        var bytes = bytes
        var decoder = ResponseHeadDecoder(limits: Self.unlimited)
        guard let head = try? decoder.decode(&bytes) else { return "" }
        return head.redactedText
    }
}
