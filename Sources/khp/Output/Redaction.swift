/// Credentials never reach an output: what the command shows of a URL or of a field is passed through here.
///
/// The library hides credentials in the heads that it shows; this is for what was typed.
enum Redaction {
    /// What stands in the place of a credential.
    static let mark = "•••"

    /// A URL with its userinfo replaced.
    static func url(_ text: String) -> String {
        guard let scheme = text.range(of: "://") else { return text }
        let rest = text[scheme.upperBound...]
        let end = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        guard let at = rest[..<end].lastIndex(of: "@") else { return text }
        return String(text[..<scheme.upperBound]) + mark + String(rest[at...])
    }
}

extension StringProtocol {
    /// The first range of a substring; enough for short texts.
    fileprivate func range(of needle: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(needle) {
                return start..<index(start, offsetBy: needle.count)
            }
            start = index(after: start)
        }
        return nil
    }
}
