// The faults of an application's answer, in either handshake. Its texts go into lines of HTTP, and a client must be
// able to read them and must have asked for them. A faulty answer becomes 500, and the application is told.

package import HTTPTypes

package enum AnswerFault {
    /// The fault of a response, or `nil`.
    ///
    /// - Parameters:
    ///   - isFinal: `true` when the response ends an HTTP exchange: a 1xx does not.
    ///   - isHandshake: `true` when it answers a handshake, where clients answer a challenge.
    package static func of(
        status: Int,
        reason: String? = nil,
        fields: HTTPFields,
        isFinal: Bool,
        isHandshake: Bool = true
    ) -> String? {
        guard (isFinal ? 200 : 100)...999 ~= status else { return "The status \(status) is none that can stand here." }
        if let reason, let fault = invalid(reason, "the reason") { return fault }
        if let fault = of(fields: fields) { return fault }
        // KHP-E19, RFC 9110 section 15.5.2
        if isHandshake, status == 401, !fields.contains(where: { $0.name == .wwwAuthenticate && !$0.value.isEmpty }) {
            return "The answer is a 401 without a challenge."
        }
        return nil
    }

    /// The fault of a 101 that names `subprotocol`, or `nil`.
    ///
    /// - Parameters:
    ///   - subprotocol: chosen by the application.
    ///   - offered: the application's subprotocols of the request (R-S1). They have been read, so they can be written.
    package static func of(subprotocol: String?, offered: [String], fields: HTTPFields) -> String? {
        if let subprotocol, !offered.contains(subprotocol) {
            return "The subprotocol \(quoted(subprotocol)) is not one that the client asks for."
        }
        return of(fields: fields)
    }

    private static func of(fields: HTTPFields) -> String? {
        for field in fields {
            if let fault = invalid(field.value, "the header field \(field.name.rawName)") { return fault }
            // A URI holds no blank; a line break has become one.
            if field.name == .location, field.value.isEmpty || field.value.utf8.contains(where: { $0 <= 0x20 }) {
                return "The Location is empty or holds a blank."
            }
        }
        return nil
    }

    /// The fault of a text that goes into a header field, or `nil`.
    package static func of(_ text: String, _ what: String) -> String? { invalid(text, what) }

    private static func invalid(_ value: String, _ what: String) -> String? {
        do throws(WebSocketError) {
            try FieldValidation.validate(value, what: what)
            return nil
        } catch {
            return error.message
        }
    }
}
