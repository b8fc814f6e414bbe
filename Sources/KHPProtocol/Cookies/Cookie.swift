/// A cookie that a server set in a handshake: RFC 6265 section 5.3.
///
/// Its value is as good as a password: neither ``description`` nor `dump` shows it.
public struct Cookie: Sendable, Hashable {
    /// The name; never empty.
    public let name: String
    /// The value; printable ASCII.
    public let value: String
    /// The host that it goes to; where ``isHostOnly`` is not set also the hosts below.
    public let domain: String
    /// `true` when the cookie goes to that very host alone, because the server gave no Domain.
    public let isHostOnly: Bool
    /// The path that a request's must be, or be below.
    public let path: String
    /// `true` when the cookie was set with Secure. Cookies that came over wss go back over wss only, with or without
    /// it.
    public let isSecure: Bool
    /// `true` when scripts of a page must not see the cookie. Nothing follows from that here.
    public let isHTTPOnly: Bool
    /// When it ends, in seconds since 1970 UTC; `nil`: with its store.
    public let expires: Int64?
    /// The origin that set it, such as `https://example.com:8443`. It goes to no other scheme and port.
    public let origin: String

    let isOverTLS: Bool
    let port: Int

    /// The longest life of a cookie in seconds: 400 days, as RFC 6265bis has it.
    static let longestLife: Int64 = 400 * 86_400

    /// The cookie of a Set-Cookie field that `url` sent at `now`, in seconds since 1970; `nil` when it has to be
    /// ignored.
    package init?(_ field: SetCookie, from url: WebSocketURL, now: Int64) {
        // Secure counts as a promise about the way here too (threat G15).
        guard !field.isSecure || url.isSecure else { return nil }
        if let domain = field.domain, domain != url.host {
            // Without a list of public suffixes: one label is always one. An address has nothing above it.
            guard domain.contains("."), Self.matches(url.host, domain: domain) else { return nil }
            self.domain = domain
            self.isHostOnly = false
        } else {
            // One label, and an address, name no more than themselves.
            self.domain = url.host
            self.isHostOnly = field.domain == nil || !url.host.contains(".") || Host.isAddress(url.host)
        }
        self.name = field.name
        self.value = field.value
        self.path = field.path ?? Self.defaultPath(of: url.path)
        self.isSecure = field.isSecure
        self.isHTTPOnly = field.isHTTPOnly
        self.origin = url.origin
        self.isOverTLS = url.isSecure
        self.port = url.port
        let latest = now.addingReportingOverflow(Self.longestLife).partialValue
        if let maxAge = field.maxAge {
            let end = now.addingReportingOverflow(maxAge)
            self.expires = maxAge <= 0 ? Int64.min : min(end.overflow ? latest : end.partialValue, latest)
        } else {
            self.expires = field.expires.map { min($0, latest) }
        }
    }

    /// Returns `true` when the cookie has expired at `now`.
    func isExpired(at now: Int64) -> Bool { self.expires.map { $0 <= now } ?? false }

    /// Returns `true` when the cookie goes with a request to that URL (RFC 6265 section 5.4).
    func goes(to url: WebSocketURL) -> Bool {
        guard url.isSecure == self.isOverTLS, url.port == self.port else { return false }
        guard url.host == self.domain || !self.isHostOnly && Self.matches(url.host, domain: self.domain) else {
            return false
        }
        return Self.matches(path: url.path, self.path)
    }

    /// Returns `true` when a host is a domain or lies below it (section 5.1.3). Both are in lower case.
    static func matches(_ host: String, domain: String) -> Bool {
        if host == domain { return true }
        return host.hasSuffix(".\(domain)") && !Host.isAddress(host)
    }

    /// Returns `true` when a request's path is the cookie's, or lies below it (section 5.1.4).
    static func matches(path: String, _ cookiePath: String) -> Bool {
        guard path.hasPrefix(cookiePath) else { return false }
        return path.utf8.count == cookiePath.utf8.count || cookiePath.hasSuffix("/")
            || path.utf8.dropFirst(cookiePath.utf8.count).first == Bytes.slash
    }

    /// The path of the request without what is behind its last slash (section 5.1.4).
    static func defaultPath(of path: String) -> String {
        guard path.hasPrefix("/"), let slash = path.lastIndex(of: "/"), slash > path.startIndex else { return "/" }
        return String(path[..<slash])
    }

    /// Returns `true` when the cookie replaces another one (section 5.3, step 11).
    func replaces(_ other: Cookie) -> Bool {
        self.name == other.name && self.domain == other.domain && self.path == other.path
            && self.isHostOnly == other.isHostOnly && self.port == other.port && self.isOverTLS == other.isOverTLS
    }
}

extension Cookie: CustomStringConvertible, CustomReflectable {
    /// Name and where it goes to.
    public var description: String { "\(self.name)=••• for \(self.isHostOnly ? "" : ".")\(self.domain)\(self.path)" }

    /// Shows no more than ``description`` does.
    public var customMirror: Mirror { Mirror(self, children: ["cookie": self.description]) }
}
