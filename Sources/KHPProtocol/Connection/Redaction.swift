// Heads as text for observers, with every credential hidden. The one place where a head becomes a trace, so that
// none gets past it (threat E18).

import HTTPTypes
import NIOCore

enum Redaction {
    static let mark = "•••"

    static func line(_ name: String, _ value: String) -> String {
        guard HeadFields.isSecret(name) else {
            let shown = name.lowercased() == "location" ? Self.withoutUserinfo(value) : value
            return "\(name): \(shown)\r\n"
        }
        // The scheme is no secret and says what was tried.
        if let space = value.firstIndex(of: " "), name.lowercased().hasSuffix("authorization") {
            return "\(name): \(value[..<space]) \(Self.mark)\r\n"
        }
        return "\(name): \(Self.mark)\r\n"
    }

    /// A URL that somebody wrote a password into.
    private static func withoutUserinfo(_ url: String) -> String {
        guard let start = url.firstRange(of: "//")?.upperBound else { return url }
        let end = url[start...].firstIndex { "/?#".contains($0) } ?? url.endIndex
        guard let at = url[start..<end].lastIndex(of: "@") else { return url }
        return url[..<start] + Self.mark + url[at...]
    }
}

extension RequestHead {
    /// The head as sent or received, credentials hidden.
    var redactedText: String {
        var text = "\(self.method) \(self.target) HTTP/1.\(self.minorVersion)\r\n"
        self.fields.forEach { text += Redaction.line($0, $1) }
        return text + "\r\n"
    }
}

extension ResponseHead {
    /// The head as sent or received, credentials hidden.
    var redactedText: String {
        var text = "HTTP/1.\(self.minorVersion) \(self.status) \(self.reason)\r\n"
        self.fields.forEach { text += Redaction.line($0, $1) }
        return text + "\r\n"
    }
}

extension HandshakeResponse {
    /// The head, credentials hidden.
    var redactedHead: String {
        var text = "HTTP/1.1 \(self.status) \(self.reason)\r\n"
        for field in self.fields { text += Redaction.line(field.name.rawName, field.value) }
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
