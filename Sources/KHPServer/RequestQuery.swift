import KHPProtocol

/// The query of a request: whole, or value by value as HTML forms write them.
public struct RequestQuery: Sendable, Hashable {
    /// The query without its question mark, as sent; `nil` where the request has none.
    public let text: String?

    package init(_ text: String?) { self.text = text }

    /// The first value of a name, percent-encoding undone and `+` read as a blank; `nil` where there is none, or none
    /// that is UTF-8. A name without `=` has an empty value.
    public subscript(name: String) -> String? { self.values(of: name).first }

    /// All values of a name, in order.
    public func values(of name: String) -> [String] {
        guard let text else { return [] }
        return text.split(separator: "&").compactMap { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let key = parts.first, Self.decoded(key) == name else { return nil }
            return parts.count > 1 ? Self.decoded(parts[1]) : ""
        }
    }

    private static func decoded(_ text: Substring) -> String? {
        let isPlain = !text.utf8.contains(UInt8(ascii: "+"))
        return PercentEncoding.decoded(isPlain ? text : Substring(String(text.map { $0 == "+" ? " " : $0 })))
    }
}

/// The cookies of a request.
public struct RequestCookies: Sendable, Hashable {
    private let fields: [String]

    package init(_ fields: [String]) { self.fields = fields }

    /// The first cookie of a name, as sent: cookies have no encoding of their own. A secret more often than not.
    public subscript(name: String) -> String? {
        for field in self.fields {
            for pair in field.split(separator: ";") {
                let pair = pair.drop { $0 == " " }
                guard let equals = pair.firstIndex(of: "="), pair[..<equals] == name else { continue }
                return String(pair[pair.index(after: equals)...])
            }
        }
        return nil
    }
}

extension RequestCookies: CustomReflectable {
    /// Shows nothing: cookies are secrets.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
