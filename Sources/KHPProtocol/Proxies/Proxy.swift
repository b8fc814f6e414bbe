/// A proxy that tunnels to servers: HTTP with CONNECT, over TLS or not, or SOCKS.
///
/// ```swift
/// var configuration = WebSocketClient.Configuration()
/// configuration.proxy = .proxy(
///     try Proxy("http://joe:welcome@proxy.example:3128"),
///     except: "localhost, 10.0.0.0/8"
/// )
/// ```
///
/// Names of servers are resolved by the proxy, with each kind. User and password go to the proxy alone, and only when
/// it asks for them; nothing of a description or a dump shows them.
public struct Proxy: Sendable, Hashable {
    /// The protocol of a proxy.
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        /// CONNECT of HTTP/1.1 (RFC 9110 section 9.3.6). Port 80 unless given.
        case http
        /// The same inside TLS to the proxy. Port 443 unless given.
        case https
        /// SOCKS 5 (RFC 1928), with user and password where the proxy wants them (RFC 1929). Port 1080 unless given.
        case socks5
        /// SOCKS 4, with its extension 4a for names. It knows a user and no password. Port 1080 unless given.
        case socks4

        var defaultPort: Int {
            switch self {
            case .http: 80
            case .https: 443
            case .socks5, .socks4: 1080
            }
        }
    }

    /// The protocol that the proxy speaks.
    public let kind: Kind
    /// The proxy's host in lower case; an IPv6 address without its brackets.
    public let host: String
    /// The proxy's port, 1…65535.
    public let port: Int
    package private(set) var user: String?
    package private(set) var password: String?

    /// Parses `http://user:password@proxy.example:3128`. Schemes: http, https, socks5, socks5h, socks, which is SOCKS
    /// 5, socks4, socks4a (with and without the last letter they mean the same here); without a scheme it is http. User
    /// and password are percent-decoded.
    ///
    /// - Throws: ``WebSocketError/Code/invalidArgument`` with what is wrong; the URL itself is not repeated.
    public init(_ url: String) throws(WebSocketError) {
        let parts = URIReference(url.contains("://") ? url : "http://" + url)
        switch parts.scheme {
        case "http": self.kind = .http
        case "https": self.kind = .https
        // GNOME writes `socks://HOST:PORT/` into `all_proxy`, and means SOCKS 5.
        case "socks5", "socks5h", "socks": self.kind = .socks5
        case "socks4", "socks4a": self.kind = .socks4
        default: throw Self.invalid("its scheme is none of http, https, socks5, socks5h, socks4 and socks4a")
        }
        guard parts.query == nil, parts.fragment == nil, parts.path.isEmpty || parts.path.elementsEqual([Bytes.slash])
        else {
            throw Self.invalid("there is more behind the port; in a password write / as %2F, ? as %3F, # as %23")
        }
        var authority = parts.authority ?? []
        if let at = authority.lastIndex(of: 0x40) {
            let information = authority[..<at]
            authority = authority[(at + 1)...]
            let colon = information.firstIndex(of: Bytes.colon)
            self.user = try Self.decoded(information[..<(colon ?? information.endIndex)], what: "user")
            self.password = try colon.map { colon throws(WebSocketError) in
                try Self.decoded(information[(colon + 1)...], what: "password")
            }
            if self.user?.isEmpty == true, self.password?.isEmpty ?? true { (self.user, self.password) = (nil, nil) }
        }
        do throws(GrammarError) {
            let place = try Authority(bytes: authority)
            self.host = place.host
            self.port = place.port ?? self.kind.defaultPort
        } catch {
            // Without the position, which would tell how long the password is.
            throw Self.invalid(error.message)
        }
    }

    /// The same proxy with these credentials in place of those of its URL.
    ///
    /// - Throws: ``WebSocketError/Code/invalidArgument`` when one of them holds a control character.
    public func authenticated(user: String, password: String) throws(WebSocketError) -> Proxy {
        try Self.check(user, what: "user")
        try Self.check(password, what: "password")
        var proxy = self
        proxy.user = user
        proxy.password = password
        return proxy
    }

    /// `true` when there are a user and a password for the proxy.
    public var hasCredentials: Bool { self.user != nil }

    /// Host and port, to which its challenges and credentials are bound (threat G8).
    package var authority: String { "\(Host.bracketed(self.host)):\(self.port)" }

    private static func decoded(_ text: ArraySlice<UInt8>, what: String) throws(WebSocketError) -> String {
        var bytes: [UInt8] = []
        var index = text.startIndex
        while index < text.endIndex {
            guard text[index] == Bytes.percent else {
                bytes.append(text[index])
                index += 1
                continue
            }
            guard text.endIndex - index > 2, let high = Bytes.hexValue(text[index + 1]),
                let low = Bytes.hexValue(text[index + 2])
            else { throw Self.invalid("a % in its \(what) is not followed by two hexadecimal digits; write % as %25") }
            bytes.append(high << 4 | low)
            index += 3
        }
        guard let decoded = String(validating: bytes, as: UTF8.self) else {
            throw Self.invalid("its \(what) is not UTF-8")
        }
        try Self.check(decoded, what: what)
        return decoded
    }

    private static func check(_ text: String, what: String) throws(WebSocketError) {
        guard !text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
            throw Self.invalid("its \(what) holds a control character")
        }
    }

    private static func invalid(_ what: String) -> WebSocketError {
        WebSocketError(.invalidArgument, "The proxy cannot be used: \(what).", phase: .connect)
    }
}

extension Proxy: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Kind, host and port: `http://proxy.example:3128`. Credentials are shown as bullets.
    public var description: String {
        "\(self.kind.rawValue)://\(self.hasCredentials ? "•••@" : "")\(self.authority)"
    }

    /// Shows no more than ``description`` does.
    public var debugDescription: String { self.description }

    /// Shows no more than ``description`` does.
    public var customMirror: Mirror { Mirror(self, children: ["proxy": self.description]) }
}
