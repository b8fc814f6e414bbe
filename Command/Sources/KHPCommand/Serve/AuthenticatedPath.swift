import ArgumentParser

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

    init(path: String, scheme: Scheme, realm: String?) {
        self.path = path
        self.scheme = scheme
        self.realm = realm
    }

    init(argument: String) throws {
        guard argument.hasPrefix("/"), let equals = argument.firstIndex(of: "=") else {
            throw ValidationError("it is not PATH=SCHEME[:REALM] with a path that begins with `/`")
        }
        let parts = argument[argument.index(after: equals)...].split(separator: ":", maxSplits: 1)
        guard let scheme = parts.first.flatMap({ Scheme(rawValue: String($0)) }) else {
            throw ValidationError("it names no scheme; there are basic, digest, bearer and token")
        }
        let realm = parts.count > 1 ? String(parts[1]) : nil
        guard realm?.isPrintable ?? true else { throw ValidationError("the realm holds a control character") }
        self.init(path: String(argument[..<equals]), scheme: scheme, realm: realm)
    }
}
