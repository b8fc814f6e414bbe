// The types of values that name places: addresses, networks, URLs, paths, origins.

import KHPProtocol
import KHPServer

extension ValueType where Value == ListenAddress {
    static var listenAddress: ValueType {
        var type = ValueType("address", refused: ["8443", "localhost", "::1:8443", "host:99999", "unix:", ":80"]) {
            text throws(Wrong) in
            let example = "write HOST:PORT, [V6]:PORT or unix:PATH"
            guard let place = HostAndPort(text, defaultPort: nil) else {
                let isHost = HostAndPort(text, defaultPort: 0) != nil && !text.utf8.allSatisfy(\.isDigit)
                throw Wrong(isHost ? "has no port; \(example)" : "is no address; \(example)")
            }
            return .host(place.host, port: place.port)
        } write: {
            "\($0)"
        }
        let host = type.read
        type.read = { text, path throws(Wrong) in
            guard text.hasPrefix("unix:") else { return try host(text, path) }
            let socket = path(String(text.dropFirst(5)))
            guard text.utf8.count > 5 else { throw Wrong("names no path behind unix:") }
            guard socket.utf8.count <= 103 else { throw Wrong("is too long a path for a socket: 103 bytes at most") }
            return .unix(path: socket)
        }
        return type
    }
}

extension HostAndPort {
    /// - Parameter defaultPort: for a text without one; `nil` refuses it.
    init?(_ text: String, defaultPort: Int?) {
        var host = text[...]
        var port = defaultPort
        let end = text.lastIndex(of: "]") ?? text.startIndex
        if let colon = text[end...].lastIndex(of: ":") {
            let digits = text[text.index(after: colon)...]
            guard digits.utf8.allSatisfy(\.isDigit), let given = Int(digits), (0...65_535).contains(given) else {
                return nil
            }
            host = text[..<colon]
            port = given
        }
        guard let port, !host.isEmpty else { return nil }
        if host.hasPrefix("["), host.hasSuffix("]") {
            let inside = String(host.dropFirst().dropLast())
            guard inside.contains(":"), AddressRange(inside) != nil, !inside.contains("/") else { return nil }
            self.init(inside, port)
            return
        }
        guard host.utf8.allSatisfy(Self.isNameByte) else { return nil }
        self.init(String(host), port)
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}

extension ValueType where Value == AddressRange {
    static var network: ValueType {
        ValueType("network", refused: ["10.0.0.0/33", "10.0.0", "example.com"]) { text throws(Wrong) in
            guard let network = AddressRange(text) else {
                throw Wrong("is no network, such as 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7")
            }
            return network
        } write: {
            $0.description
        }
    }
}

extension ValueType where Value == GatewayConfiguration.TrustedProxy {
    static var trustedProxy: ValueType {
        ValueType("network or unix", refused: ["10.0.0.0/33", "10.0.0", "example.com", "unix:/run/khp.sock"]) {
            text throws(Wrong) in
            guard let proxy = GatewayConfiguration.TrustedProxy(text) else {
                throw Wrong("is no network, such as 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7, nor unix")
            }
            return proxy
        } write: {
            $0.description
        }
    }
}

extension ValueType where Value == OriginRule {
    static var origin: ValueType {
        ValueType("origin", refused: ["app.example.com", "https://a/path", "https://a*.b"]) { text throws(Wrong) in
            guard let rule = OriginRule(text) else {
                throw Wrong("is no origin; write scheme://host[:port], with *. before a domain, or * for any")
            }
            return rule
        } write: {
            $0.description
        }
    }
}

extension ValueType where Value == String {
    /// `wss://gw.example.com`: a place, no resource.
    static var publicURL: ValueType {
        ValueType(
            "ws or wss URL without a path",
            refused: ["gw.example.com", "http://gw", "wss://gw/path", "wss://gw?q"]
        ) {
            text throws(Wrong) in
            let url = try Self.url(text, schemes: ["ws", "wss"])
            guard url.path == "/", url.query == nil, !text.hasSuffix("/") else {
                throw Wrong("has a path; it names the host and port alone")
            }
            return text
        } write: {
            $0
        }
    }

    /// The WebSocket URL of another gateway.
    static var webSocketURL: ValueType {
        ValueType("ws or wss URL", refused: ["gw.example.com", "http://gw/", "wss://"]) { text throws(Wrong) in
            _ = try Self.url(text, schemes: ["ws", "wss"])
            return text
        } write: {
            $0
        }
    }

    /// The place that clients are sent to.
    static var redirectURL: ValueType {
        ValueType("URL", refused: ["gw.example.com", "ftp://a/", "wss://"]) { text throws(Wrong) in
            _ = try Self.url(text, schemes: ["ws", "wss", "http", "https"])
            return text
        } write: {
            $0
        }
    }

    /// `https://{host}:9443/load`
    static var loadURL: ValueType {
        ValueType("http or https URL", refused: ["{host}:9443", "wss://{host}/"]) { text throws(Wrong) in
            let plain = text.split(separator: "{host}", omittingEmptySubsequences: false).joined(separator: "host")
            _ = try Self.url(plain, schemes: ["http", "https"])
            return text
        } write: {
            $0
        }
    }

    private static func url(_ text: String, schemes: [String]) throws(Wrong) -> WebSocketURL {
        guard schemes.contains(where: { text.lowercased().hasPrefix("\($0)://") }) else {
            throw Wrong("is no URL that begins with " + schemes.map { "\($0)://" }.joined(separator: ", "))
        }
        do throws(WebSocketError) {
            return try WebSocketURL(text)
        } catch {
            throw Wrong("is no URL: \(error.message)")
        }
    }

    /// RFC 9110 section 5.6.2.
    static func token(_ name: String) -> ValueType {
        ValueType(name, refused: ["", "a b", "a;b"]) { text throws(Wrong) in
            guard !text.isEmpty, text.utf8.allSatisfy(\.isTokenByte) else { throw Wrong("is no \(name)") }
            return text
        } write: {
            $0
        }
    }
}

extension ValueType where Value == PathPattern {
    static var pathPattern: ValueType {
        ValueType("path", refused: ["amqp", "/a b", "/a?b", "/a//b", "/a/../b", "/a*", "/%61", "/*/a"]) {
            text throws(Wrong) in
            guard text.hasPrefix("/") else { throw Wrong("does not begin with /") }
            let isPrefix = text.hasSuffix("/*")
            let path = isPrefix ? String(text.dropLast()) : text
            guard path.utf8.allSatisfy(\.isPathByte) else {
                throw Wrong("holds a character that a path here cannot have; /* at the end takes all below")
            }
            let parts = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
            guard !parts.dropLast().contains(""), !parts.contains("."), !parts.contains("..") else {
                throw Wrong("has an empty step or one of dots")
            }
            return PathPattern(path: path, isPrefix: isPrefix)
        } write: {
            $0.description
        }
    }
}

extension ValueType where Value == GatewayConfiguration.Backend {
    static var backend: ValueType {
        var type = ValueType(
            "URL [weight=N] [backup]",
            refused: [
                "mq1:5671", "http://a:80", "tcp://a", "tcp://a:1/x", "tcp://a:0", "tcp://a:1 weight=-1",
                "tcp://a:1 weight=257", "tcp://a:1 spare", "unix:", "ws://",
            ]
        ) { _ throws(Wrong) in
            Value(scheme: .tcp)
        } write: { backend in
            backend.url + (backend.weight == 1 ? "" : " weight=\(backend.weight)") + (backend.isBackup ? " backup" : "")
        }
        type.read = { text, path throws(Wrong) in
            var words = text.split(separator: " ").map(String.init)
            guard !words.isEmpty else { throw Wrong("names no backend") }
            var backend = try Self.place(words.removeFirst(), path)
            for word in words {
                if word == "backup" {
                    backend.isBackup = true
                } else if word.hasPrefix("weight=") {
                    let digits = word.dropFirst(7)
                    guard digits.utf8.allSatisfy(\.isDigit), let weight = Int(digits), (0...256).contains(weight) else {
                        throw Wrong("has a weight that is not from 0 to 256")
                    }
                    backend.weight = weight
                } else {
                    throw Wrong("has \(word.shown) behind its URL; there are weight=N and backup")
                }
            }
            return backend
        }
        return type
    }

    private static func place(_ url: String, _ path: (String) -> String) throws(Wrong) -> Value {
        let schemes = Value.Scheme.allCases.map(\.rawValue).joined(separator: ", ")
        if url.hasPrefix("unix:") {
            let socket = String(url.dropFirst(url.hasPrefix("unix://") ? 7 : 5))
            guard !socket.isEmpty else { throw Wrong("names no path behind unix:") }
            return Value(scheme: .unix, path: path(socket))
        }
        guard let end = url.firstRange(of: "://"), let scheme = Value.Scheme(rawValue: String(url[..<end.lowerBound]))
        else { throw Wrong("is no URL of a backend; there are \(schemes)") }
        if scheme == .ws || scheme == .wss {
            let target: WebSocketURL
            do throws(WebSocketError) { target = try WebSocketURL(url) } catch {
                throw Wrong("is no URL: \(error.message)")
            }
            return Value(
                scheme: scheme,
                host: target.host,
                port: target.port,
                path: target.path + (target.query.map { "?\($0)" } ?? "")
            )
        }
        guard let place = HostAndPort(String(url[end.upperBound...]), defaultPort: nil), place.port > 0 else {
            let isHost = HostAndPort(String(url[end.upperBound...]), defaultPort: 1).map { $0.port == 1 } ?? false
            throw Wrong("has no \(isHost ? "port" : "host and port"); write \(scheme.rawValue)://HOST:PORT")
        }
        return Value(scheme: scheme, host: place.host, port: place.port)
    }
}

extension ValueType where Value == [UInt8] {
    /// Each character is the byte of its number: `"\x00"` in double quotes is one, and so is `"\xff"`.
    static var bytes: ValueType {
        ValueType("bytes", refused: ["\u{20AC}", #"\xzz"#]) { text throws(Wrong) in
            // Single quotes, and none, leave an escape as it is.
            guard !text.contains(#"\x"#) else {
                throw Wrong(#"has \x as it stands; double quotes make a byte of it, as in "\x00""#)
            }
            var bytes: [UInt8] = []
            for scalar in text.unicodeScalars {
                guard let byte = UInt8(exactly: scalar.value) else {
                    throw Wrong("holds a character that is no byte; write \\x00 to \\xff in double quotes")
                }
                bytes.append(byte)
            }
            guard bytes.count <= 4096 else { throw Wrong("is longer than 4096 bytes") }
            return bytes
        } write: { bytes in
            bytes.isEmpty ? nil : String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) }))
        }
    }
}

extension ValueType where Value == GatewayConfiguration.TokenPlace {
    static var tokenPlace: ValueType {
        ValueType("header, cookie:NAME or query:NAME", refused: ["body", "cookie", "cookie:", "query:a b"]) {
            text throws(Wrong) in
            if text == "header" { return .header }
            let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, ["cookie", "query"].contains(parts[0]), !parts[1].isEmpty,
                parts[1].utf8.allSatisfy(\.isTokenByte)
            else { throw Wrong("is none of header, cookie:NAME, query:NAME") }
            return parts[0] == "cookie" ? .cookie(String(parts[1])) : .query(String(parts[1]))
        } write: { place in
            switch place {
            case .header: "header"
            case .cookie(let name): "cookie:\(name)"
            case .query(let name): "query:\(name)"
            }
        }
    }
}

extension UInt8 {
    private var isLetterOrDigit: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        default: self.isDigit
        }
    }

    /// tchar of RFC 9110 section 5.6.2.
    var isTokenByte: Bool { self.isLetterOrDigit || "!#$%&'*+-.^_`|~".utf8.contains(self) }

    /// True for a byte of a path that is written in one way only: no percent, since `/%61` and `/a` are one path.
    var isPathByte: Bool { self.isLetterOrDigit || "/-._~!$&'()+,;=:@".utf8.contains(self) }

    /// True for a byte of a name that stands in logs, metrics and URLs.
    var isEntryNameByte: Bool { self.isLetterOrDigit || self == UInt8(ascii: "-") || self == UInt8(ascii: "_") }
}
