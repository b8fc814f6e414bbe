/// A fault of text that has a grammar: a field value, a URL, a body.
package struct GrammarError: Error, Equatable, Sendable {
    /// One sentence without a final stop.
    package var message: String
    /// The offset in bytes where it shows.
    package var position: Int

    package init(_ message: String, at position: Int) {
        self.message = message
        self.position = position
    }
}

/// Walks over one field value: the building blocks of RFC 9110 section 5.6, in linear time (threat A11).
package struct FieldScanner {
    private let bytes: [UInt8]
    package private(set) var position = 0

    package init(_ value: some StringProtocol) {
        self.bytes = Array(value.utf8)
    }

    package var isAtEnd: Bool { self.position == self.bytes.count }

    /// All that has not been consumed, without white space at its end.
    package var rest: String { self.text(self.position..<self.bytes.count) }

    /// The next byte, not consumed.
    package var peek: UInt8? { self.position < self.bytes.count ? self.bytes[self.position] : nil }

    /// Where to come back to with ``back(to:)``.
    package mutating func back(to earlier: Int) {
        self.position = min(max(earlier, 0), self.position)
    }

    /// OWS.
    package mutating func skipWhitespace() {
        while self.position < self.bytes.count, Bytes.isWhitespace(self.bytes[self.position]) { self.position += 1 }
    }

    /// Consumes `byte` if it is next.
    package mutating func take(_ byte: UInt8) -> Bool {
        guard self.peek == byte else { return false }
        self.position += 1
        return true
    }

    /// A token, if one is next.
    package mutating func token() -> String? {
        self.take(while: Token.isTokenByte)
    }

    /// `token68` of RFC 9110 section 11.2 with its padding, if one is next.
    package mutating func token68() -> String? {
        let start = self.position
        while self.position < self.bytes.count, Self.isToken68Byte(self.bytes[self.position]) { self.position += 1 }
        guard self.position > start else { return nil }
        while self.take(Bytes.equals) {}
        return String(decoding: self.bytes[start..<self.position], as: UTF8.self)
    }

    /// The content of a quoted string, escapes resolved; `nil` unless the next byte is a quote.
    package mutating func quotedString() throws(GrammarError) -> String? {
        guard self.peek == Bytes.quote else { return nil }
        let start = self.position
        self.position += 1
        var content: [UInt8] = []
        while self.position < self.bytes.count {
            var byte = self.bytes[self.position]
            self.position += 1
            if byte == Bytes.quote { return String(decoding: content, as: UTF8.self) }
            if byte == Bytes.backslash {
                guard self.position < self.bytes.count else { break }
                byte = self.bytes[self.position]
                self.position += 1
            }
            guard byte >= 0x20 && byte != 0x7F || byte == Bytes.tab else {
                throw GrammarError("a quoted string holds a control character", at: self.position - 1)
            }
            content.append(byte)
        }
        throw GrammarError("a quoted string has no end", at: start)
    }

    /// A token or a quoted string, as parameters have them; nil when neither is next.
    package mutating func tokenOrQuotedString() throws(GrammarError) -> String? {
        if let string = try self.quotedString() { return string }
        return self.token()
    }

    /// Takes everything up to `byte` or the end. A `byte` within a quoted string does not count.
    mutating func takeElement(until byte: UInt8) throws(GrammarError) -> Range<Int> {
        let start = self.position
        while self.position < self.bytes.count, self.bytes[self.position] != byte {
            if self.bytes[self.position] == Bytes.quote {
                _ = try self.quotedString()
            } else {
                self.position += 1
            }
        }
        return start..<self.position
    }

    func text(_ range: Range<Int>) -> String {
        self.bytes[range].withUnsafeBytes { String(decoding: Bytes.trimmed($0), as: UTF8.self) }
    }

    private mutating func take(while isIncluded: (UInt8) -> Bool) -> String? {
        let start = self.position
        while self.position < self.bytes.count, isIncluded(self.bytes[self.position]) { self.position += 1 }
        return self.position > start ? String(decoding: self.bytes[start..<self.position], as: UTF8.self) : nil
    }

    private static func isToken68Byte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x2D, 0x2E, 0x5F, 0x7E, 0x2B, 0x2F: true
        default: Bytes.isLetter(byte) || Bytes.isDigit(byte)
        }
    }
}

/// The elements of a comma list, white space around them removed, empty ones left out; a comma inside a quoted string
/// separates nothing (RFC 9110 section 5.6.1).
package struct ListScanner {
    private var scanner: FieldScanner

    package init(_ value: some StringProtocol) {
        self.scanner = FieldScanner(value)
    }

    /// The next element as it was written, quotes included; nil at the end.
    package mutating func next() throws(GrammarError) -> String? {
        while !self.scanner.isAtEnd {
            let range = try self.scanner.takeElement(until: Bytes.comma)
            _ = self.scanner.take(Bytes.comma)
            let element = self.scanner.text(range)
            if !element.isEmpty { return element }
        }
        return nil
    }
}

/// The content of `string` where all of it is one quoted string; nil otherwise.
package func parseQuotedString(_ string: some StringProtocol) -> String? {
    var scanner = FieldScanner(string)
    guard let content = try? scanner.quotedString(), scanner.isAtEnd else { return nil }
    return content
}

/// `value` as a token where it is one, as a quoted string otherwise.
package func tokenOrQuoted(_ value: String) -> String {
    Token.isToken(value) ? value : quoted(value)
}

/// `value` as a quoted string: quotes and backslashes escaped, control characters left out (threats A15, G10).
package func quoted(_ value: String) -> String {
    var bytes: [UInt8] = [Bytes.quote]
    for byte in value.utf8 {
        if byte < 0x20 && byte != Bytes.tab || byte == 0x7F { continue }
        if byte == Bytes.quote || byte == Bytes.backslash { bytes.append(Bytes.backslash) }
        bytes.append(byte)
    }
    bytes.append(Bytes.quote)
    return String(decoding: bytes, as: UTF8.self)
}
