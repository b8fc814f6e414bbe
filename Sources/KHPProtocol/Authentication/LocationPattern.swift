// Which URLs a challenge handler is for, as people write it.

/// A set of locations: `[scheme://]host[:port][/path]`, with wildcards.
///
/// | part | matches |
/// |---|---|
/// | scheme | `ws` and `http` the ones without TLS, `wss` and `https` those with; left out: both |
/// | host | `example.com` itself; `*.example.com` all names below it; `*` every host |
/// | port | a number; `*` every port; left out: the default of the URL's scheme, 80 or 443 |
/// | path | `/a/b` itself; `/a/*` itself and all below it; left out: every path |
///
/// `*` alone is every location. Queries do not count. Of several patterns that match, the most specific one counts:
/// compared by host, then port, then path, then scheme.
public struct LocationPattern: Sendable, Hashable {
    private enum HostPattern: Hashable {
        case any
        /// With its leading dot.
        case below(String)
        case exactly(String)
    }

    private enum PortPattern: Hashable {
        case any
        case ofScheme
        case exactly(Int)
    }

    private enum PathPattern: Hashable {
        case any
        /// Ends with a slash.
        case below(String)
        case exactly(String)
    }

    private let text: String
    private let isSecure: Bool?
    private let host: HostPattern
    private let port: PortPattern
    private let path: PathPattern

    /// Reads a pattern.
    ///
    /// - Throws: ``WebSocketError/Code/invalidArgument`` for what is none. User information, a query and a fragment are
    ///   not allowed.
    public init(_ pattern: String) throws(WebSocketError) {
        self.text = pattern
        if pattern == "*" {
            (self.isSecure, self.host, self.port, self.path) = (nil, .any, .any, .any)
            return
        }
        var rest = Array(pattern.utf8)[...]
        guard !rest.contains(where: { $0 <= 0x20 || $0 == 0x7F || $0 == Bytes.backslash }) else {
            throw Self.invalid("it holds a space, a backslash or a control character")
        }
        guard !rest.contains(0x40) else { throw Self.invalid("user and password do not belong there") }
        guard !rest.contains(0x3F), !rest.contains(0x23) else {
            throw Self.invalid("a query or a fragment does not belong there")
        }
        if let separator = pattern.firstRange(of: "://") {
            let scheme = Bytes.lowercasedASCII(pattern[..<separator.lowerBound])
            switch scheme {
            case "ws", "http": self.isSecure = false
            case "wss", "https": self.isSecure = true
            default: throw Self.invalid("its scheme is none of ws, wss, http and https")
            }
            rest = rest.dropFirst(pattern.utf8.distance(from: pattern.startIndex, to: separator.upperBound))
        } else {
            self.isSecure = nil
        }
        let slash = rest.firstIndex(of: Bytes.slash) ?? rest.endIndex
        (self.host, self.port) = try Self.authority(rest[..<slash])
        self.path = try Self.path(rest[slash...])
    }

    private static func authority(
        _ text: ArraySlice<UInt8>
    ) throws(WebSocketError) -> (HostPattern, PortPattern) {
        var host = text
        var port = PortPattern.ofScheme
        if let colon = text.lastIndex(of: Bytes.colon), !text[colon...].contains(0x5D) {
            host = text[..<colon]
            let digits = text[(colon + 1)...]
            if digits.elementsEqual("*".utf8) {
                port = .any
            } else {
                guard let number = Int(String(decoding: digits, as: UTF8.self)), digits.allSatisfy(Bytes.isDigit),
                    (1...65535).contains(number)
                else { throw Self.invalid("its port is neither a number up to 65535 nor *") }
                port = .exactly(number)
            }
        }
        if host.elementsEqual("*".utf8) { return (.any, port) }
        let isBelow = host.starts(with: "*.".utf8)
        do throws(GrammarError) {
            let name = try Host.normalised(isBelow ? host.dropFirst(2) : host)
            guard isBelow else { return (.exactly(name), port) }
            guard !Host.isAddress(name) else { throw GrammarError("nothing is below an address", at: 0) }
            return (.below("." + name), port)
        } catch {
            throw Self.invalid(error.message)
        }
    }

    private static func path(_ text: ArraySlice<UInt8>) throws(WebSocketError) -> PathPattern {
        if text.isEmpty || text.elementsEqual("/*".utf8) { return .any }
        let isBelow = text.suffix(2).elementsEqual("/*".utf8)
        let prefix = isBelow ? text.dropLast() : text
        guard !prefix.contains(0x2A) else { throw Self.invalid("a * in the path can only be its last segment") }
        do throws(GrammarError) {
            let checked = try PercentEncoding.checked(prefix, isQuery: false, invalid: .refused, what: "path")
            let path = PercentEncoding.normalised(
                String(decoding: URIReference.removingDotSegments(checked), as: UTF8.self)
            )
            return isBelow ? .below(path) : .exactly(path)
        } catch {
            throw Self.invalid(error.message)
        }
    }

    /// Returns `true` when the URL is one of these locations.
    public func matches(_ url: WebSocketURL) -> Bool {
        if let isSecure, isSecure != url.isSecure { return false }
        switch self.host {
        case .any: break
        case .below(let suffix): guard !Host.isAddress(url.host), url.host.hasSuffix(suffix) else { return false }
        case .exactly(let host): guard url.host == host else { return false }
        }
        switch self.port {
        case .any: break
        case .ofScheme: guard url.port == url.defaultPort else { return false }
        case .exactly(let port): guard url.port == port else { return false }
        }
        let path = PercentEncoding.normalised(url.path)
        switch self.path {
        case .any: return true
        case .below(let prefix): return path.hasPrefix(prefix) || path + "/" == prefix
        case .exactly(let expected): return path == expected
        }
    }

    /// Compared member by member; larger is more specific.
    var specificity: [Int] {
        let host =
            switch self.host {
            case .any: 0
            case .below(let suffix): suffix.utf8.count
            case .exactly: Int.max
            }
        let port =
            switch self.port {
            case .any: 0
            case .ofScheme: 1
            case .exactly: 2
            }
        let path =
            switch self.path {
            case .any: 0
            case .below(let prefix): prefix.utf8.count
            case .exactly: Int.max
            }
        return [host, port, path, self.isSecure == nil ? 0 : 1]
    }

    private static func invalid(_ what: String) -> WebSocketError {
        WebSocketError(.invalidArgument, "The location pattern cannot be used: \(what).")
    }
}

extension LocationPattern: CustomStringConvertible {
    /// As it was written.
    public var description: String { self.text }
}
