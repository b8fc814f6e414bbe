// The body of a server's own 4xx and 5xx, in either handshake: the code with its phrase, which every HTTP tool shows,
// then the fault for people, and whether trying again can help (D39).

package import HTTPTypes
package import NIOCore

package enum Explanation {
    /// The entity of a refusal.
    ///
    /// - Parameters:
    ///   - phrase: the reason phrase; may be empty.
    ///   - sentence: the description of the problem; `nil` takes the usual sentence for the status.
    ///   - fields: the headers of the answer. A Retry-After among them says that the trouble passes.
    package static func entity(
        for status: Int,
        phrase: String,
        sentence: String? = nil,
        fields: HTTPFields = [:]
    ) -> ByteBuffer {
        let outlook = fields.contains(.retryAfter) ? Self.temporary : Self.outlook(for: status)
        let title = phrase.isEmpty ? "\(status)" : "\(status) \(phrase)"
        return ByteBuffer(string: "\(title)\n\(sentence ?? Self.sentence(for: status)) \(outlook)\n")
    }

    private static let temporary = "Trying again later can help."

    private static func outlook(for status: Int) -> String {
        switch status {
        case 401, 407, 511: "Trying again with credentials can help."
        case 408, 423, 425, 429, 500, 502, 503, 504, 507, 509, 598, 599: temporary
        default: "Trying the same again does not help."
        }
    }

    private static func sentence(for status: Int) -> String {
        status < 500 ? clientSentence(for: status) : serverSentence(for: status)
    }

    private static func clientSentence(for status: Int) -> String {
        switch status {
        case 401: "The request has no credentials that are valid here."
        case 402: "Access to this path has to be paid for."
        case 403: "The server does not allow this request."
        case 404: "The server has nothing at this path."
        case 405: "The server does not take this method here."
        case 406: "The server has no form of the answer that the request accepts."
        case 407: "The proxy needs credentials."
        case 408: "The request was not complete in time."
        case 409: "The request is in conflict with the state of the server."
        case 410: "What was at this path is gone for good."
        case 411: "The request has no Content-Length."
        case 412: "A condition of the request does not hold."
        case 413: "The content of the request is too large."
        case 414: "The target of the request is too long."
        case 415: "The server does not take content of this type."
        case 416: "The server does not have the range that the request names."
        case 417: "The server cannot do what the request expects of it."
        case 418: "The server is a teapot."
        case 421: "The request was meant for another server."
        case 422: "The content of the request makes no sense here."
        case 423: "What the request asks for is locked."
        case 425: "The request came too early."
        case 426: "The server wants another protocol, which its Upgrade field names."
        case 428: "The server wants a condition in the request."
        case 429: "Too many requests came in too short a time."
        case 431: "The header fields of the request are too large."
        default: "The server cannot serve the request as it is."
        }
    }

    private static func serverSentence(for status: Int) -> String {
        switch status {
        case 501: "The server has no such function."
        case 502: "A server behind this one gave an answer that is invalid."
        case 503: "The server cannot serve the request now."
        case 504: "A server behind this one did not answer in time."
        case 505: "The server does not take this version of HTTP."
        case 507: "The server has no room for what the request asks."
        case 511: "The network lets nobody pass without credentials."
        default: "The server failed while it served the request."
        }
    }
}
