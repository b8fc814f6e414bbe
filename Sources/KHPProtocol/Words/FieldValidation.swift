package import HTTPTypes

/// Checks texts of the public interface before they are written into a head (threats A7, A15).
package enum FieldValidation {
    /// The name must be a token, the value free of control characters other than HTAB.
    package static func validate(name: String, value: String) throws(WebSocketError) {
        guard Token.isToken(name) else {
            let bytes = name.utf8
            let bad = bytes.enumerated().first { !Token.isTokenByte($0.element) }
            let what = bad.map { "holds \(Bytes.shown($0.element)) at position \($0.offset)" } ?? "is empty"
            throw WebSocketError(.invalidArgument, "A header field name \(what); it must be a token of RFC 9110.")
        }
        try validate(value, what: "the header field \(name)")
    }

    /// Refuses control characters in `value`; `what` names it in the error, the value itself is not repeated.
    package static func validate(_ value: String, what: @autoclosure () -> String) throws(WebSocketError) {
        var position = 0
        for byte in value.utf8 {
            if (byte < 0x20 && byte != Bytes.tab) || byte == 0x7F {
                throw WebSocketError(
                    .invalidArgument,
                    "The value of \(what()) holds the control character 0x\(Bytes.hex(byte)) at position \(position)."
                )
            }
            position += 1
        }
    }

    /// A token such as a subprotocol's or an extension's name.
    package static func validate(token: String, what: @autoclosure () -> String) throws(WebSocketError) {
        guard Token.isToken(token) else {
            throw WebSocketError(
                .invalidArgument,
                token.isEmpty
                    ? "\(what()) is empty." : "\(what()) holds a character that a token of RFC 9110 does not allow."
            )
        }
    }

    package static func validate(_ fields: HTTPFields) throws(WebSocketError) {
        for field in fields {
            try validate(name: field.name.rawName, value: field.value)
        }
    }
}
