/// A field in which proxies name the address that a request came to them from.
///
/// A proxy that is trusted appends to what it got, so the field is read from its end: nothing that a client has put
/// before that, however malformed, changes what the last proxy said.
public enum ForwardingField: String, Sendable, Hashable, CaseIterable {
    /// `X-Forwarded-For: 203.0.113.9, 192.0.2.7`, of no standard and in general use.
    case xForwardedFor = "x-forwarded-for"
    /// `Forwarded: for=203.0.113.9, for="[2001:db8::7]:4711"` (RFC 7239).
    case forwarded = "forwarded"

    package var name: String {
        switch self {
        case .xForwardedFor: "X-Forwarded-For"
        case .forwarded: "Forwarded"
        }
    }

    /// The addresses that the values of the field name, without ports, the last first; `nil` for one that is unknown or
    /// hidden.
    package func nodesFromLast(_ values: [String]) -> [String?] {
        values.reversed().flatMap { value in
            // An address holds no comma; a comma within the quotes of another parameter only spoils the client's own
            // field.
            value.utf8.split(separator: UInt8(ascii: ",")).reversed().map { element in
                switch self {
                case .xForwardedFor: Self.address(element)
                case .forwarded: Self.parameter(element).flatMap { Self.address($0) }
                }
            }
        }
    }

    private typealias Text = Substring.UTF8View

    /// The value of `for` in an element of Forwarded (RFC 7239 section 4).
    private static func parameter(_ element: Text) -> Text? {
        for pair in element.split(separator: UInt8(ascii: ";")) {
            let pair = trimmed(pair)
            guard let equals = pair.firstIndex(of: Bytes.equals) else { continue }
            if Bytes.lowercasedASCII(Substring(pair[..<equals])) == "for" { return pair[pair.index(after: equals)...] }
        }
        return nil
    }

    /// The address in a node (RFC 7239 section 6), which may be quoted, bracketed and followed by a port.
    private static func address(_ node: Text) -> String? {
        var text = trimmed(node)
        if text.count >= 2, text.first == Bytes.quote, text.last == Bytes.quote { text = text.dropFirst().dropLast() }
        if text.first == UInt8(ascii: "[") {
            guard let end = text.firstIndex(of: UInt8(ascii: "]")) else { return nil }
            text = text[..<end].dropFirst()
        } else if let colon = text.firstIndex(of: Bytes.colon),
            text[text.index(after: colon)...].firstIndex(of: Bytes.colon) == nil
        {
            text = text[..<colon]
        }
        return text.isEmpty ? nil : String(Substring(text))
    }

    private static func trimmed(_ text: Text) -> Text {
        var text = text
        while let first = text.first, Bytes.isWhitespace(first) { text = text.dropFirst() }
        while let last = text.last, Bytes.isWhitespace(last) { text = text.dropLast() }
        return text
    }
}
