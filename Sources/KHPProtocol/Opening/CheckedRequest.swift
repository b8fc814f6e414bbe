// HTTP itself asks every request on the wire for one host, one target and one end of its content, whatever the request
// wants (RFC 9112 sections 3.2 and 6.3). A proxy in front of us may read anything else differently than we do, so
// nothing else gets any further (threats A3, A12).
//
// - the client's violation: 400, then the connection is closed;
// - ignored: the content itself. The connection of a handshake ends behind the answer that refuses it, so that no content
//   need be read; ordinary requests that are served have theirs read behind this check.

/// A request that names its host and its resource, and where its content ends, in one way only.
///
/// A class because it goes with the connection through every stage of a handshake; nothing in it ever changes.
package final class CheckedRequest: Sendable {
    package let head: RequestHead
    /// The host that the request names; `nil` for one of HTTP/1.0 without Host.
    package let authority: Authority?
    /// Of the target; it begins with a slash, save for CONNECT and `OPTIONS *`.
    package let path: String
    /// The target's query without the question mark; `nil` without a query.
    package let query: String?

    /// Throws the 400 that the request is owed.
    package init(_ head: RequestHead) throws(Refusal) {
        do throws(Refusal) {
            self.authority = try Self.authority(of: head)
            try Self.checkContent(of: head)
            (self.path, self.query) = try Self.resource(of: head, at: self.authority)
            self.head = head
        } catch {
            throw Refusal(error.status, error.explanation, method: head.method)
        }
    }

    private static func authority(of head: RequestHead) throws(Refusal) -> Authority? {
        guard head.fields.contains(.host) || head.minorVersion > 0 else { return nil }
        return try OpeningServer.authority(of: head)
    }

    private static func resource(
        of head: RequestHead,
        at authority: Authority?
    ) throws(Refusal) -> (path: String, query: String?) {
        switch head.method {
        case "CONNECT":
            guard let target = try? Authority(head.target), target.port != nil else {
                throw .badRequest("The target of CONNECT is not a host with a port.")
            }
            return (head.target, nil)
        case "OPTIONS" where head.target == "*":
            return ("*", nil)
        default:
            if RequestTarget.isPlainPath(head.target) { return (head.target, nil) }
            return try RequestTarget.resource(head.target, at: authority)
        }
    }

    private static func checkContent(of head: RequestHead) throws(Refusal) {
        let fields = head.fields
        if fields.contains(.transferEncoding) { try Self.checkTransferEncoding(of: head) }
        guard !fields.contains(.contentLength) || fields.contentLength != .invalid else {
            throw .badRequest("Content-Length is not a number.")
        }
    }

    /// RFC 9112 section 6.1: HTTP/1.0 has no Transfer-Encoding. Beside a Content-Length it smuggles requests. The
    /// content has an end only when chunked is the last coding, and stands there once.
    private static func checkTransferEncoding(of head: RequestHead) throws(Refusal) {
        guard head.minorVersion == 1 else { throw .badRequest("Transfer-Encoding is not allowed in HTTP/1.0.") }
        guard !head.fields.contains(.contentLength) else {
            throw .badRequest("Content-Length is not allowed beside Transfer-Encoding.")
        }
        let chunked = head.fields.list("Transfer-Encoding").map { Bytes.lowercasedASCII($0) == "chunked" }
        guard chunked.last == true, chunked.count(where: { $0 }) == 1 else {
            throw .badRequest("The last Transfer-Encoding is not chunked.")
        }
    }
}
