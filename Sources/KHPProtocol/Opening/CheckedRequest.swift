// HTTP itself asks every request on the wire for one host, one target and one end of its content, whatever the request
// wants (RFC 9112 sections 3.2 and 6.3). A proxy in front of us may read anything else differently than we do, so
// nothing else gets any further (threats A3, A12).
//
// - the client's violation: 400, then the connection is closed;
// - ignored: the content itself. A connection ends behind its first answer, so that it need not be read.

/// A request that names its host and its resource, and where its content ends, in one way only.
package struct CheckedRequest: Sendable {
    package let head: RequestHead
    let known: KnownFields
    /// The host that the request names; `nil` for one of HTTP/1.0 without Host.
    package let authority: Authority?
    /// Of the target; it begins with a slash, save for CONNECT and `OPTIONS *`.
    package let path: String
    /// The target's query without the question mark; `nil` without a query.
    package let query: String?

    /// Throws the 400 that the request is owed.
    package init(_ head: RequestHead) throws(Refusal) {
        do throws(Refusal) {
            self = try Self(checking: head)
        } catch {
            throw Refusal(error.status, error.explanation, method: head.method)
        }
    }

    private init(checking head: RequestHead) throws(Refusal) {
        self.head = head
        known = KnownFields(in: head.fields)
        self.authority = known.contains(.host) ? try OpeningServer.authority(of: head) : nil
        guard self.authority != nil || head.minorVersion == 0 else { throw .badRequest("There is no Host field.") }
        if known.contains(.transferEncoding) { try Self.checkTransferEncoding(of: head, known) }
        guard !known.contains(.contentLength) || head.fields.contentLength != .invalid else {
            throw .badRequest("Content-Length is not a number.")
        }
        switch head.method {
        case "CONNECT":
            (self.path, self.query) = (head.target, nil)
            guard let target = try? Authority(head.target), target.port != nil else {
                throw .badRequest("The target of CONNECT is not a host with a port.")
            }
        case "OPTIONS" where head.target == "*":
            (self.path, self.query) = ("*", nil)
        default:
            (self.path, self.query) = try RequestTarget.resource(head.target, at: self.authority)
        }
    }

    /// RFC 9112 section 6.1: HTTP/1.0 has no Transfer-Encoding. Beside a Content-Length it smuggles requests. The
    /// content has an end only when chunked is the last coding, and stands there once.
    private static func checkTransferEncoding(of head: RequestHead, _ known: KnownFields) throws(Refusal) {
        guard head.minorVersion == 1 else { throw .badRequest("Transfer-Encoding is not allowed in HTTP/1.0.") }
        guard !known.contains(.contentLength) else {
            throw .badRequest("Content-Length is not allowed beside Transfer-Encoding.")
        }
        let chunked = head.fields.list("Transfer-Encoding").map { Bytes.lowercasedASCII($0) == "chunked" }
        guard chunked.last == true, chunked.count(where: { $0 }) == 1 else {
            throw .badRequest("The last Transfer-Encoding is not chunked.")
        }
    }
}
