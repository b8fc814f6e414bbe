// One Set-Cookie field, read strictly as RFC 6265 section 5.2 has it. A cookie that cannot be sent back unchanged is
// refused.

/// A Set-Cookie field, before it is decided whether and for how long its cookie is kept.
package struct SetCookie: Sendable, Equatable {
    package var name: String
    package var value: String
    /// The domain in lower case, without a leading dot; `nil` when it is missing or empty.
    package var domain: String?
    /// The path; `nil` unless it begins with a slash.
    package var path: String?
    /// Seconds since 1970, of a valid Expires.
    package var expires: Int64?
    /// Seconds, of a valid Max-Age; goes before `expires`.
    package var maxAge: Int64?
    package var isSecure = false
    package var isHTTPOnly = false

    /// The largest name and value together, in bytes.
    package static let maximumBytes = 4096
    /// The largest value of an attribute, in bytes. A longer one is skipped.
    package static let maximumAttributeBytes = 1024

    /// nil for a field that is to be ignored.
    package init?(_ field: String) {
        // Only printable ASCII can be sent back unchanged (threat A7).
        let bytes = Array(field.utf8)
        guard bytes.allSatisfy({ $0 == Bytes.tab || (0x20...0x7E).contains($0) }) else { return nil }
        let parts = bytes.split(separator: Bytes.semicolon, omittingEmptySubsequences: false)
        guard let pair = parts.first, let equals = pair.firstIndex(of: Bytes.equals) else { return nil }
        self.name = String(decoding: Self.trimmed(pair[..<equals]), as: UTF8.self)
        self.value = String(decoding: Self.trimmed(pair[(equals + 1)...]), as: UTF8.self)
        guard !self.name.isEmpty, self.name.utf8.count + self.value.utf8.count <= Self.maximumBytes else { return nil }
        for attribute in parts.dropFirst() {
            let equals = attribute.firstIndex(of: Bytes.equals) ?? attribute.endIndex
            // A server may send thousands of attributes: only known ones are made into text.
            guard let known = Attribute(Self.trimmed(attribute[..<equals])) else { continue }
            let value = Self.trimmed(attribute[equals...].dropFirst())
            guard value.count <= Self.maximumAttributeBytes else { continue }
            self.take(known, String(decoding: value, as: UTF8.self))
        }
        guard self.keepsItsPrefix else { return nil }
    }

    /// The attributes that count. SameSite is not among them: a client that shows no pages has no sites.
    private enum Attribute: String, CaseIterable {
        case expires
        case maxAge = "max-age"
        case domain
        case path
        case secure
        case isHTTPOnly = "httponly"

        /// `nil` for names that mean nothing here; in any case of letters.
        init?(_ name: ArraySlice<UInt8>) {
            // The shortest and the longest of them.
            guard (4...8).contains(name.count) else { return nil }
            let match = Self.allCases.first { attribute in
                attribute.rawValue.utf8.count == name.count
                    && zip(attribute.rawValue.utf8, name).allSatisfy { $0 == Bytes.lowercased($1) }
            }
            guard let match else { return nil }
            self = match
        }
    }

    /// Of an attribute that is there more than once the last one counts.
    private mutating func take(_ attribute: Attribute, _ value: String) {
        switch attribute {
        case .expires:
            if let date = CookieDate.parse(value) { self.expires = date }
        case .maxAge:
            if let seconds = Self.maxAge(value) { self.maxAge = seconds }
        case .domain:
            let domain = Bytes.lowercasedASCII(value.hasPrefix(".") ? String(value.dropFirst()) : value)
            self.domain = domain.isEmpty ? nil : domain
        case .path: self.path = value.hasPrefix("/") ? value : nil
        case .secure: self.isSecure = true
        case .isHTTPOnly: self.isHTTPOnly = true
        }
    }

    /// Digits, perhaps behind a minus. A number that is too large means for ever.
    private static func maxAge(_ text: String) -> Int64? {
        let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
        guard !digits.isEmpty, digits.utf8.allSatisfy(Bytes.isDigit) else { return nil }
        if text.hasPrefix("-") { return 0 }
        return Int64(digits) ?? .max
    }

    /// `true` when the cookie keeps the promise of its name (RFC 6265bis section 4.1.3); that the origin is secure is
    /// checked with Secure.
    private var keepsItsPrefix: Bool {
        let name = Bytes.lowercasedASCII(self.name)
        if name.hasPrefix("__secure-") { return self.isSecure }
        if name.hasPrefix("__host-") { return self.isSecure && self.domain == nil && self.path == "/" }
        return true
    }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var (start, end) = (bytes.startIndex, bytes.endIndex)
        while start < end, Bytes.isWhitespace(bytes[start]) { start += 1 }
        while end > start, Bytes.isWhitespace(bytes[end - 1]) { end -= 1 }
        return bytes[start..<end]
    }
}

extension SetCookie: CustomStringConvertible, CustomReflectable {
    package var description: String { "\(self.name)=•••" }

    package var customMirror: Mirror { Mirror(self, children: ["cookie": self.description]) }
}

/// The cookies that an answer sets. Fields beyond a domain's maximum are skipped.
package func setCookies(in head: ResponseHead) -> [SetCookie] {
    guard head.fields.contains("Set-Cookie") else { return [] }
    return head.fields.all("Set-Cookie").prefix(CookieJar.maximumPerDomain).compactMap { SetCookie($0) }
}
