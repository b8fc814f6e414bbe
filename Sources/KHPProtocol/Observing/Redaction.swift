// Heads as text for observers, with every credential hidden. The one place where a head becomes a trace, so that
// none gets past it (threat E18).

import HTTPTypes
import NIOCore

package enum Redaction {
    /// The mark in the place of a credential.
    package static let mark = "•••"

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
    var redactedText: String {
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
    static func head(of bytes: ByteBuffer) -> String {
        var bytes = bytes
        var decoder = ResponseHeadDecoder(limits: Self.unlimited)
        guard let head = try? decoder.decode(&bytes) else { return "" }
        return head.redactedText
    }
}
