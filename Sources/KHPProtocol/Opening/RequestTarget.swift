// The target of a request as a path and a query, whether it is written as such or as the whole URI (RFC 9112 section
// 3.2): on the wire and in the extended handshake.

enum RequestTarget {
    /// Path and query of an origin-form target, or of an absolute URI of the same authority.
    ///
    /// - Parameters:
    ///   - authority: the authority that Host names; `nil` where nothing does.
    ///   - schemes: the schemes that an absolute URI may have.
    static func resource(
        _ text: String,
        at authority: Authority?,
        schemes: [String] = ["http", "https"]
    ) throws(Refusal) -> (path: String, query: String?) {
        if Self.isPlainPath(text) { return (text, nil) }
        var target = Substring(text)
        if target.utf8.first == UInt8(ascii: "?"), KaazingLegacy(query: String(target.dropFirst())) != .off {
            // Kaazing's Java client leaves an empty path out (D7).
            target = "/" + target
        }
        if target.utf8.first != Bytes.slash {
            guard let start = schemes.lazy.compactMap({ Self.end(ofScheme: $0, in: target) }).first else {
                throw .badRequest("The request target is neither a path nor a URI of this service.")
            }
            let rest = target[start...]
            let end = endOfAuthority(in: rest)
            guard let named = try? Authority(rest[..<end]), let authority, named.isSame(as: authority) else {
                throw .badRequest("The request target names another authority than the Host field.")
            }
            target = rest[end...]
            if target.utf8.first != Bytes.slash { target = "/" + target }
        }
        guard !target.utf8.contains(UInt8(ascii: "#")) else {
            throw .badRequest("The request target has a fragment.")
        }
        return splitTarget(target)
    }

    /// `true` for a path without query and fragment, as most targets are.
    static func isPlainPath(_ text: String) -> Bool {
        Bytes.withUTF8(of: text) { bytes in
            guard bytes.first == Bytes.slash else { return false }
            for byte in bytes where byte == UInt8(ascii: "?") || byte == UInt8(ascii: "#") { return false }
            return true
        }
    }

    /// A checked target as a path with its query, without the scheme and authority that it may begin with; every other
    /// target as it is.
    static func originForm(of target: String) -> String {
        guard target.utf8.first != Bytes.slash, let colon = target.firstRange(of: "://") else { return target }
        let rest = target[colon.upperBound...]
        let behind = rest[endOfAuthority(in: rest)...]
        return behind.utf8.first == Bytes.slash ? String(behind) : "/" + behind
    }

    private static func endOfAuthority(in text: Substring) -> Substring.Index {
        text.utf8.firstIndex { $0 == Bytes.slash || $0 == UInt8(ascii: "?") } ?? text.endIndex
    }

    /// Where the authority begins, if `text` begins with that scheme in any case.
    private static func end(ofScheme scheme: String, in text: Substring) -> Substring.Index? {
        var index = text.utf8.startIndex
        for byte in (scheme + "://").utf8 {
            guard index < text.utf8.endIndex, Bytes.lowercased(text.utf8[index]) == byte else { return nil }
            index = text.utf8.index(after: index)
        }
        return index
    }
}

/// An origin-form target as path and query.
func splitTarget(_ target: Substring) -> (path: String, query: String?) {
    guard let mark = target.utf8.firstIndex(of: UInt8(ascii: "?")) else { return (String(target), nil) }
    return (String(target[..<mark]), String(target[target.utf8.index(after: mark)...]))
}

extension RequestHead {
    /// The target as a path with its query, where it may have been the whole URI.
    package var originForm: String { RequestTarget.originForm(of: self.target) }
}
