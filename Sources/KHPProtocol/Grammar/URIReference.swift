/// A URI reference cut into its five parts (RFC 3986 appendix B), and the steps of resolving one against another. Only
/// the cuts are right here; ``WebSocketURL`` checks the parts that it takes.
struct URIReference {
    /// In lower case.
    var scheme: String?
    var authority: ArraySlice<UInt8>?
    var path: ArraySlice<UInt8>
    var query: ArraySlice<UInt8>?
    var fragment: ArraySlice<UInt8>?

    init(_ text: String) {
        var rest = FieldText.bytes(of: text)[...]
        if let hash = rest.firstIndex(of: 0x23) {
            self.fragment = rest[(hash + 1)...]
            rest = rest[..<hash]
        }
        if let colon = Self.schemeEnd(rest) {
            self.scheme = String(decoding: rest[..<colon].map(Bytes.lowercased), as: UTF8.self)
            rest = rest[(colon + 1)...]
        }
        if let mark = rest.firstIndex(of: 0x3F) {
            self.query = rest[(mark + 1)...]
            rest = rest[..<mark]
        }
        if rest.starts(with: [Bytes.slash, Bytes.slash]) {
            let start = rest.startIndex + 2
            let end = rest[start...].firstIndex(of: Bytes.slash) ?? rest.endIndex
            self.authority = rest[start..<end]
            rest = rest[end...]
        }
        self.path = rest
    }

    /// `scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )`; the offset of the colon that ends it.
    private static func schemeEnd(_ text: ArraySlice<UInt8>) -> Int? {
        guard let first = text.first, Bytes.isLetter(first) else { return nil }
        for (index, byte) in zip(text.indices, text) {
            if byte == Bytes.colon { return index }
            guard Bytes.isLetter(byte) || Bytes.isDigit(byte) || byte == 0x2B || byte == 0x2D || byte == 0x2E else {
                return nil
            }
        }
        return nil
    }

    /// RFC 3986 section 5.2.3, for a base that has an authority and a path that is never empty.
    static func merge(base: String, reference: [UInt8]) -> [UInt8] {
        let base = Array(base.utf8)
        let end = (base.lastIndex(of: Bytes.slash) ?? -1) + 1
        return Array(base[..<end]) + reference
    }

    /// RFC 3986 section 5.2.4 for an absolute path; linear in its length.
    static func removingDotSegments(_ path: [UInt8]) -> [UInt8] {
        var segments: [ArraySlice<UInt8>] = []
        let parts = path.split(separator: Bytes.slash, omittingEmptySubsequences: false).dropFirst()
        for (index, part) in zip(parts.indices, parts) {
            let isLast = index == parts.endIndex - 1
            if part.elementsEqual([0x2E]) {
                if isLast { segments.append([]) }
            } else if part.elementsEqual([0x2E, 0x2E]) {
                _ = segments.popLast()
                if isLast { segments.append([]) }
            } else {
                segments.append(part)
            }
        }
        var output: [UInt8] = []
        output.reserveCapacity(path.count)
        for segment in segments {
            output.append(Bytes.slash)
            output.append(contentsOf: segment)
        }
        return output.isEmpty ? [Bytes.slash] : output
    }
}
