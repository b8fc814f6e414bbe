/// The URL of a WebSocket: RFC 6455 section 3.
///
/// Always valid and in one spelling: host in lower case, path never empty and without dot segments, non-ASCII
/// characters percent-encoded. Never holds user information.
public struct WebSocketURL: Sendable, Hashable {
    /// `true` when the scheme is `wss`.
    public let isSecure: Bool
    /// The host in lower case; an IPv6 address without its brackets.
    public let host: String
    /// The port, 1…65535; the scheme's default (80 or 443) where none was written.
    public let port: Int
    /// The path; `/` at least.
    public let path: String
    /// The query without its question mark; `nil` without a query, empty when the mark stands alone.
    public let query: String?

    /// From parts that are known to be valid.
    package init(isSecure: Bool, authority: Authority, path: String, query: String?) {
        self.isSecure = isSecure
        self.host = authority.host
        self.port = authority.port ?? (isSecure ? 443 : 80)
        self.path = path
        self.query = query
    }

    private init(_ other: WebSocketURL, query: String?) {
        isSecure = other.isSecure
        self.host = other.host
        self.port = other.port
        self.path = other.path
        self.query = query
    }

    /// The same resource with another query, which is known to be valid.
    package func replacing(query: String?) -> WebSocketURL { WebSocketURL(self, query: query) }

    /// Parses an absolute URL. `http` is read as `ws` and `https` as `wss`.
    ///
    /// - Throws: ``WebSocketError/Code/invalidURL`` with what is wrong, where, and what to write instead.
    public init(_ string: String) throws(WebSocketError) {
        let parts = URIReference(string)
        guard let scheme = parts.scheme else {
            throw Self.invalid("it has no scheme: write ws:// or wss:// before the host")
        }
        // R-U1
        guard let isSecure = Self.isSecure(scheme) else {
            throw Self.invalid(
                "the scheme \(scheme) is none of ws, wss, http and https; if it is a host, write ws:// before it"
            )
        }
        guard let text = parts.authority else {
            throw Self.invalid("there is no // after the scheme")
        }
        if let hash = parts.fragment {
            throw Self.invalid(
                GrammarError("a fragment is not allowed: write # as %23", at: hash.startIndex - 1)
            )
        }
        if let at = text.firstIndex(of: 0x40) {
            throw Self.invalid(
                GrammarError(
                    "user and password are not allowed here: give them to a challenge handler, or to --user",
                    at: at
                )
            )
        }
        do throws(GrammarError) {
            self = try Self(parts, isSecure: isSecure, authority: Authority(bytes: text), invalid: .refused)
        } catch {
            throw Self.invalid(error)
        }
    }

    private init(
        _ parts: URIReference,
        isSecure: Bool,
        authority: Authority,
        invalid: PercentEncoding.Invalid
    ) throws(GrammarError) {
        let path = try PercentEncoding.checked(parts.path, isQuery: false, invalid: invalid, what: "path")
        let query = try Self.checkedQuery(parts, invalid: invalid)
        self.init(
            isSecure: isSecure,
            authority: authority,
            path: String(decoding: URIReference.removingDotSegments(path), as: UTF8.self),
            query: query
        )
    }

    private static func checkedQuery(
        _ parts: URIReference,
        invalid: PercentEncoding.Invalid
    ) throws(GrammarError) -> String? {
        guard let query = parts.query else { return nil }
        let bytes = try PercentEncoding.checked(query, isQuery: true, invalid: invalid, what: "query")
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Path and query, as the request line holds them.
    public var resource: String {
        self.query.map { "\(self.path)?\($0)" } ?? self.path
    }

    /// The value of Host: the port only where it is not the default, brackets around an IPv6 address.
    public var authority: String {
        let host = Host.bracketed(host)
        return self.port == (isSecure ? 443 : 80) ? host : "\(host):\(self.port)"
    }

    /// The origin in the form of a browser: `http://` or `https://` and the authority.
    public var origin: String {
        (isSecure ? "https://" : "http://") + self.authority
    }

    /// The port that goes without saying.
    package var defaultPort: Int { isSecure ? 443 : 80 }

    /// Returns `true` when scheme, host and port are the same.
    public func isSameOrigin(as other: WebSocketURL) -> Bool {
        isSecure == other.isSecure && self.port == other.port && self.host == other.host
    }

    /// Resolves a reference, such as the value of Location, at this URL: RFC 3986 section 5.
    ///
    /// `http` is read as `ws` and `https` as `wss`. User information and fragment of the reference are dropped.
    /// - Throws: ``WebSocketError/Code/invalidURL`` when the result is no WebSocket URL.
    public func resolving(_ reference: String) throws(WebSocketError) -> WebSocketURL {
        let parts = URIReference(reference)
        do throws(GrammarError) {
            return try self.resolving(parts)
        } catch {
            throw Self.invalid(error, what: "The reference")
        }
    }

    private func resolving(_ parts: URIReference) throws(GrammarError) -> WebSocketURL {
        var isSecure = self.isSecure
        if let scheme = parts.scheme {
            guard let secure = Self.isSecure(scheme) else {
                throw GrammarError("the scheme is none of ws, wss, http and https", at: 0)
            }
            guard parts.authority != nil else { throw GrammarError("there is no // after the scheme", at: 0) }
            isSecure = secure
        }
        if var text = parts.authority {
            if let at = text.firstIndex(of: 0x40) { text = text[(at + 1)...] }
            let authority = try Authority(bytes: text)
            return try WebSocketURL(parts, isSecure: isSecure, authority: authority, invalid: .encoded)
        }
        let authority = try Authority(bytes: Array(self.authority.utf8)[...])
        let path = try PercentEncoding.checked(parts.path, isQuery: false, invalid: .encoded, what: "path")
        var query = try Self.checkedQuery(parts, invalid: .encoded)
        let target: String
        if path.isEmpty {
            target = self.path
            query = query ?? self.query
        } else {
            let merged = path.first == Bytes.slash ? path : URIReference.merge(base: self.path, reference: path)
            target = String(decoding: URIReference.removingDotSegments(merged), as: UTF8.self)
        }
        return WebSocketURL(isSecure: isSecure, authority: authority, path: target, query: query)
    }

    /// A key that all spellings of one resource share. Redirect loops are found by it (KHP-E16).
    package var loopKey: String {
        // Dots may have been encoded, and so segments of them.
        let path = String(
            decoding: URIReference.removingDotSegments(Array(PercentEncoding.normalised(path).utf8)),
            as: UTF8.self
        )
        let query = query.map { "?" + PercentEncoding.normalised($0) } ?? ""
        return "\(isSecure ? "wss" : "ws")://\(Host.bracketed(self.host)):\(self.port)\(path)\(query)"
    }

    private static func isSecure(_ scheme: String) -> Bool? {
        switch scheme {
        case "ws", "http": false
        case "wss", "https": true
        default: nil
        }
    }

    private static func invalid(_ message: String) -> WebSocketError {
        WebSocketError(.invalidURL, "The URL cannot be used: \(message).")
    }

    private static func invalid(_ error: GrammarError, what: String = "The URL") -> WebSocketError {
        WebSocketError(.invalidURL, "\(what) cannot be used: \(error.message) (position \(error.position)).")
    }
}

extension WebSocketURL: CustomStringConvertible {
    /// The URL in its one spelling. It has no user information, but its query may hold a secret: see ``redacted``.
    public var description: String {
        (isSecure ? "wss://" : "ws://") + self.authority + self.resource
    }

    /// The URL as it may be shown, in logs and errors: a parameter of the query or of the path whose name means a
    /// credential, such as `token`, `api_key` or `signature`, has `•••` in place of its value. All else is readable.
    public var redacted: String { Redaction.shown(self.description) }
}

extension WebSocketURL: CustomDebugStringConvertible, CustomReflectable {
    /// As ``redacted``: a value that holds a URL does not show its secrets when it is printed.
    public var debugDescription: String { self.redacted }

    /// Shows no more than ``redacted`` does.
    public var customMirror: Mirror { Mirror(self, children: ["url": self.redacted]) }
}

extension WebSocketURL {
    /// The ports of other protocols that a redirect never leads to: the "bad ports" of the Fetch standard.
    package static let blockedPorts: Set<Int> = [
        1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
        110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530,
        531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190,
        5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
    ]
}
