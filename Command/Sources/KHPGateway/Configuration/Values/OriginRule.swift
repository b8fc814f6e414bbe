// The origins of pages that may open sessions (RFC 6454): exact ones, or all below a domain.

/// An entry of `origins`.
package enum OriginRule: Sendable, Hashable, CustomStringConvertible {
    /// Every page.
    case any
    /// `https://example.com` or `http://example.com:8080`.
    case exact(scheme: String, host: String, port: Int)
    /// `https://*.example.com`: hosts one label below or more, never `example.com` itself.
    case below(scheme: String, domain: String, port: Int)

    /// - Parameter text: as in the file; `nil` for one that is no origin, such as one with a path.
    package init?(_ text: String) {
        if text == "*" {
            self = .any
            return
        }
        let lower = text.lowercased()
        let star = lower.firstRange(of: "://*.")
        let plain = star.map { lower[..<$0.lowerBound] + "://" + lower[$0.upperBound...] }
        guard let origin = WebOrigin(plain.map { String($0) } ?? lower) else { return nil }
        self =
            star != nil
            ? .below(scheme: origin.scheme, domain: origin.host, port: origin.port)
            : .exact(scheme: origin.scheme, host: origin.host, port: origin.port)
    }

    package var description: String {
        switch self {
        case .any: "*"
        case .exact(let scheme, let host, let port): "\(WebOrigin(scheme: scheme, host: host, port: port))"
        case .below(let scheme, let domain, let port): "\(WebOrigin(scheme: scheme, host: "*." + domain, port: port))"
        }
    }

    /// Returns `true` where the value of an Origin field is of this rule.
    package func allows(_ origin: String) -> Bool {
        if case .any = self { return true }
        guard let origin = WebOrigin(origin.lowercased()) else { return false }
        switch self {
        case .any: return true
        case .exact(let scheme, let host, let port):
            return origin == WebOrigin(scheme: scheme, host: host, port: port)
        case .below(let scheme, let domain, let port):
            return origin.scheme == scheme && origin.port == port && origin.host.hasSuffix("." + domain)
        }
    }
}

/// Scheme, host and port of a page.
package struct WebOrigin: Sendable, Hashable, CustomStringConvertible {
    package var scheme: String
    /// With brackets around an IPv6 address.
    package var host: String
    package var port: Int

    package init(scheme: String, host: String, port: Int) {
        self.scheme = scheme
        self.host = host
        self.port = port
    }

    /// - Parameter text: in lower case.
    package init?(_ text: String) {
        guard let (scheme, usual) = [("https", 443), ("http", 80)].first(where: { text.hasPrefix($0.0 + "://") }) else {
            return nil
        }
        let authority = text.dropFirst(scheme.count + 3)
        var host = authority
        var port = usual
        let end = authority.lastIndex(of: "]") ?? authority.startIndex
        if let colon = authority[end...].lastIndex(of: ":") {
            host = authority[..<colon]
            let digits = authority[authority.index(after: colon)...]
            guard let given = Int(digits), (1...65_535).contains(given), digits.allSatisfy(\.isNumber) else {
                return nil
            }
            port = given
        }
        let isAddress = host.hasPrefix("[") && host.hasSuffix("]")
        let allowed: (UInt8) -> Bool = { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
                UInt8(ascii: "."), UInt8(ascii: "_"):
                true
            case UInt8(ascii: ":"), UInt8(ascii: "["), UInt8(ascii: "]"): isAddress
            default: false
            }
        }
        guard !host.isEmpty, host.utf8.allSatisfy(allowed) else { return nil }
        self.init(scheme: scheme, host: String(host), port: port)
    }

    package var description: String {
        let usual = self.scheme == "https" ? 443 : 80
        return "\(self.scheme)://\(self.host)\(self.port == usual ? "" : ":\(self.port)")"
    }
}
