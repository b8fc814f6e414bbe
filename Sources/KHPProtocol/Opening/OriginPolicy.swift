// Which pages may open WebSockets here: the only defence against cross-site WebSocket hijacking (D23, threat A13), and
// the host names that a server answers to (threat A14).

/// Which origins an endpoint serves.
///
/// A browser names the page that opens a WebSocket in the Origin field. Requests without it come from no browser and
/// pass every policy.
public struct OriginPolicy: Sendable, Hashable {
    private enum Rule: Sendable, Hashable {
        case any
        case same
        case listed([Origin])
    }

    private let rule: Rule

    /// Every origin, the default of an endpoint. For services that depend on no cookie and no network address.
    public static let any = OriginPolicy(rule: .any)

    /// Only pages of the same host and port as the request's Host field.
    public static let sameOrigin = OriginPolicy(rule: .same)

    /// Only these origins, each written as `https://example.com` or `http://example.com:8080`.
    ///
    /// Scheme and host compare without regard to case, and a default port equals none. `null` never passes.
    ///
    /// - Throws: ``WebSocketError/Code/invalidArgument`` for one that is no origin.
    public static func allowing(_ origins: [String]) throws(WebSocketError) -> OriginPolicy {
        var listed: [Origin] = []
        for text in origins {
            guard let origin = Origin(text) else {
                throw WebSocketError(
                    .invalidArgument,
                    "\(quoted(text)) is not an origin; write scheme, host and port, as in https://example.com:8443."
                )
            }
            listed.append(origin)
        }
        return OriginPolicy(rule: .listed(listed))
    }

    /// Returns `true` when a request passes.
    ///
    /// - Parameters:
    ///   - origin: the Origin field.
    ///   - authority: the host and port that its Host field names.
    ///   - isSecure: `true` when it came over TLS; a page without TLS is then no page of the same origin.
    package func allows(_ origin: @autoclosure () -> String?, at authority: Authority, isSecure: Bool) -> Bool {
        if case .any = self.rule { return true }
        guard let origin = origin() else { return true }
        switch self.rule {
        case .any:
            return true
        case .same:
            guard let origin = Origin(origin), origin.authority.isSame(as: authority) else { return false }
            // A port that is left once the scheme's default is taken away is the default of another scheme.
            guard origin.authority.port == nil || authority.port != nil else { return false }
            return origin.scheme == "https" || origin.scheme == "http" && !isSecure
        case .listed(let list):
            guard let origin = Origin(origin) else { return false }
            return list.contains(origin)
        }
    }
}

/// Scheme, host and port of a page (RFC 6454). The opaque origin `null` has none.
private struct Origin: Sendable, Hashable {
    let scheme: String
    /// Without the scheme's default port.
    let authority: Authority

    init?(_ text: String) {
        guard let colon = text.utf8.firstIndex(of: Bytes.colon) else { return nil }
        let rest = text[colon...]
        guard rest.hasPrefix("://"), Token.isToken(text[..<colon]) else { return nil }
        guard var authority = try? Authority(rest.dropFirst(3)) else { return nil }
        self.scheme = Bytes.lowercasedASCII(text[..<colon])
        switch (self.scheme, authority.port) {
        case ("http", 80), ("ws", 80), ("https", 443), ("wss", 443): authority.port = nil
        default: break
        }
        self.authority = authority
    }
}

/// Which Host values a server answers to: a defence against DNS rebinding.
public struct HostPolicy: Sendable, Hashable {
    private let hosts: [Authority]?

    /// Whatever the client calls the server.
    public static let any = HostPolicy(hosts: nil)

    /// Only these, each a host with or without a port; without one, any port passes. Names compare without regard to
    /// case and to a dot at their end, addresses by what they mean.
    ///
    /// - Throws: ``WebSocketError/Code/invalidArgument`` for one that is no host.
    public static func allowing(_ hosts: [String]) throws(WebSocketError) -> HostPolicy {
        var listed: [Authority] = []
        for text in hosts {
            guard var authority = try? Authority(text) else {
                throw WebSocketError(
                    .invalidArgument,
                    "\(quoted(text)) is not a host; write example.com, 192.0.2.7 or [2001:db8::7], with a port or without."
                )
            }
            authority.host = withoutRoot(authority.host)
            listed.append(authority)
        }
        return HostPolicy(hosts: listed)
    }

    /// - Parameter authority: the authority that a request names; `nil` for none, which no list holds.
    package func allows(_ authority: Authority?) -> Bool {
        // D37
        guard let hosts else { return true }
        guard var authority else { return false }
        authority.host = Self.withoutRoot(authority.host)
        return hosts.contains { $0.host == authority.host && ($0.port == nil || $0.isSame(as: authority)) }
    }

    /// `example.com.` is `example.com`, said in full.
    private static func withoutRoot(_ host: String) -> String {
        host.utf8.last == 0x2E ? String(host.dropLast()) : host
    }
}
