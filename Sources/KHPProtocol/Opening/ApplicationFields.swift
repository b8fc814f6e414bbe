// The header fields that an application may add to a handshake. They neither frame the HTTP message nor belong to the
// handshake itself.

package import HTTPTypes

package enum ApplicationFields {
    /// Throws `invalidArgument` for a field that an application may not set in a request of either handshake (threat
    /// A7, D9).
    /// - Parameter url: for an extended request, whose application may set Host, once and to the same authority (D25).
    package static func validate(_ fields: HTTPFields, inside url: WebSocketURL? = nil) throws(WebSocketError) {
        var hosts = 0
        for field in fields {
            if let url, field.name.canonicalName == "host" {
                hosts += 1
                try validate(host: field.value, url, isSecond: hosts > 1)
                continue
            }
            guard !isReservedInRequest(field.name) else {
                throw WebSocketError(
                    .invalidArgument,
                    "The field \(field.name.rawName) belongs to the handshake and cannot be set."
                )
            }
            try FieldValidation.validate(name: field.name.rawName, value: field.value)
        }
    }

    private static func validate(host: String, _ url: WebSocketURL, isSecond: Bool) throws(WebSocketError) {
        guard !isSecond else {
            throw WebSocketError(.invalidArgument, "The extended request can have one Host field, not two.")
        }
        try FieldValidation.validate(name: "Host", value: host)
        guard let authority = try? Authority(host), authority.host == url.host,
            (authority.port ?? (url.isSecure ? 443 : 80)) == url.port
        else {
            throw WebSocketError(
                .invalidArgument,
                "The Host field of the extended request has to name \(url.authority), the authority of the URL."
            )
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

    /// Returns `true` when a field of a server's answer is the handshake's own. The application's is left out then.
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
