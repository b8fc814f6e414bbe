// One Set-Cookie field read as RFC 6265 section 5.2 has it, strictly: what cannot be sent back as it came is refused.

/// A Set-Cookie field, before it is decided whether and for how long its cookie is kept.
package struct SetCookie: Sendable, Equatable {
    package var name: String
    package var value: String
    /// In lower case, without a leading dot; nil where there is none, or an empty one.
    package var domain: String?
    /// nil where there is none that begins with a slash.
    package var path: String?
    /// Seconds since 1970, of a valid Expires.
    package var expires: Int64?
    /// Seconds, of a valid Max-Age; goes before `expires`.
    package var maxAge: Int64?
    package var isSecure = false
    package var isHTTPOnly = false

    /// The largest name and value together, in bytes.
    package static let maximumBytes = 4096
    /// The largest value of an attribute, in bytes; a longer one is passed over.
    package static let maximumAttributeBytes = 1024

    /// nil for a field that is to be ignored.
    package init?(_ field: String) {
        // What is not printable ASCII could not be sent back unchanged (threat A7).
        guard field.utf8.allSatisfy({ $0 == Bytes.tab || (0x20...0x7E).contains($0) }) else { return nil }
        let parts = field.utf8.split(separator: Bytes.semicolon, omittingEmptySubsequences: false)
        guard let pair = parts.first, let equals = pair.firstIndex(of: Bytes.equals) else { return nil }
        self.name = Self.trimmed(pair[..<equals])
        self.value = Self.trimmed(pair[pair.index(after: equals)...])
        guard !self.name.isEmpty, self.name.utf8.count + self.value.utf8.count <= Self.maximumBytes else { return nil }
        for attribute in parts.dropFirst() {
            let equals = attribute.firstIndex(of: Bytes.equals) ?? attribute.endIndex
            let value = Self.trimmed(attribute[equals...].dropFirst())
            guard value.utf8.count <= Self.maximumAttributeBytes else { continue }
            self.take(Bytes.lowercasedASCII(Self.trimmed(attribute[..<equals])), value)
        }
        guard self.keepsItsPrefix else { return nil }
    }

    /// Of an attribute that is there more than once the last one counts.
    private mutating func take(_ name: String, _ value: String) {
        switch name {
        case "expires":
            if let date = CookieDate.parse(value) { self.expires = date }
        case "max-age":
            if let seconds = Self.maxAge(value) { self.maxAge = seconds }
        case "domain":
            let domain = Bytes.lowercasedASCII(value.hasPrefix(".") ? String(value.dropFirst()) : value)
            self.domain = domain.isEmpty ? nil : domain
        case "path": self.path = value.hasPrefix("/") ? value : nil
        case "secure": self.isSecure = true
        case "httponly": self.isHTTPOnly = true
        default: break  // SameSite among them: a client that shows no pages has no sites.
        }
    }

    /// Digits, perhaps behind a minus; what is too large is as good as for ever.
    private static func maxAge(_ text: String) -> Int64? {
        let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
        guard !digits.isEmpty, digits.utf8.allSatisfy(Bytes.isDigit) else { return nil }
        if text.hasPrefix("-") { return 0 }
        return Int64(digits) ?? .max
    }

    /// What the name promises (RFC 6265bis section 4.1.3); that the origin is secure is checked with Secure.
    private var keepsItsPrefix: Bool {
        let name = Bytes.lowercasedASCII(self.name)
        if name.hasPrefix("__secure-") { return self.isSecure }
        if name.hasPrefix("__host-") { return self.isSecure && self.domain == nil && self.path == "/" }
        return true
    }

    private static func trimmed(_ bytes: Substring.UTF8View.SubSequence) -> String {
        var bytes = bytes
        while let first = bytes.first, Bytes.isWhitespace(first) { bytes = bytes.dropFirst() }
        while let last = bytes.last, Bytes.isWhitespace(last) { bytes = bytes.dropLast() }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension SetCookie: CustomStringConvertible, CustomReflectable {
    package var description: String { "\(self.name)=•••" }

    package var customMirror: Mirror { Mirror(self, children: ["cookie": self.description]) }
}

/// The cookies that an answer sets. More fields than a domain may have cookies are passed over.
package func setCookies(in head: ResponseHead) -> [SetCookie] {
    guard head.fields.contains("Set-Cookie") else { return [] }
    return head.fields.all("Set-Cookie").prefix(CookieJar.maximumPerDomain).compactMap { SetCookie($0) }
}
