/// A scheme for a path of `khp serve`: one `--auth PATH=SCHEME[:REALM]`.
struct AuthenticatedPath: Sendable, Equatable {
    enum Scheme: String, Sendable, CaseIterable {
        case basic
        case digest
        case bearer
        case token
    }

    var path: String
    var scheme: Scheme
    /// `nil` where none was typed.
    var realm: String?

    /// The realm of credentials when none was given.
    static let defaultRealm = "khp"

    static func parse(_ text: String) -> Result<AuthenticatedPath, CommandFailure> {
        guard text.hasPrefix("/"), let equals = text.firstIndex(of: "=") else {
            return .failure(.usage("`--auth \(text)` is not PATH=SCHEME[:REALM] with a path that begins with `/`"))
        }
        let parts = text[text.index(after: equals)...].split(separator: ":", maxSplits: 1)
        guard let scheme = parts.first.flatMap({ Scheme(rawValue: String($0)) }) else {
            return .failure(.usage("`--auth \(text)` names no scheme; there are basic, digest, bearer and token"))
        }
        let realm = parts.count > 1 ? String(parts[1]) : nil
        guard realm?.isPrintable ?? true else {
            return .failure(.usage("the realm of `--auth` holds a control character"))
        }
        return .success(AuthenticatedPath(path: String(text[..<equals]), scheme: scheme, realm: realm))
    }
}
