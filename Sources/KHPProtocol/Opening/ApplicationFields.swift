// Which header fields an application may add to a handshake: those that neither frame the HTTP message nor belong to
// the handshake itself.

package import HTTPTypes

package enum ApplicationFields {
    /// Throws `invalidArgument` for a field that an application may not set in a request of either handshake (A7, D9).
    package static func validate(_ fields: HTTPFields) throws(WebSocketError) {
        for field in fields {
            guard !isReservedInRequest(field.name) else {
                throw WebSocketError(
                    .invalidArgument,
                    "The field \(field.name.rawName) belongs to the handshake and cannot be set."
                )
            }
            try FieldValidation.validate(name: field.name.rawName, value: field.value)
        }
    }

    private static func isReservedInRequest(_ name: HTTPField.Name) -> Bool {
        switch name.canonicalName {
        case "host", "upgrade", "connection", "content-length", "transfer-encoding", "expect", "keep-alive", "te",
            "trailer", "proxy-authorization", "proxy-connection":
            return true
        case let name:
            return name.hasPrefix("sec-websocket-")
        }
    }

    /// Whether a field of a server's answer is the handshake's own, and so is left out when the application gives it.
    ///
    /// `Upgrade` may stand in a refusal: 426 says there what to change to.
    package static func isReservedInAnswer(_ name: HTTPField.Name, status: Int) -> Bool {
        switch name.canonicalName {
        case "connection", "content-length", "date", "keep-alive", "te", "trailer", "transfer-encoding":
            return true
        case "upgrade", "server":
            return status == 101
        case let name:
            return name.hasPrefix("sec-websocket-") && (200...299 ~= status || status == 101) || name.hasPrefix(":")
        }
    }
}
