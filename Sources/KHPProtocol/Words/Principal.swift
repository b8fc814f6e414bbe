/// The user, device or program that a client has proved to be, whichever scheme it took.
///
/// A server's authentication makes it; ``HandshakeSummary/principal`` and the request that a handler sees hold it.
///
/// ```swift
/// AuthenticationScheme.bearer { token in
///     guard let session = await sessions.find(token) else { return nil }
///     return Principal(
///         session.user,
///         roles: ["trader"],
///         expires: session.endsAt
///     )
/// }
/// ```
public struct Principal: Sendable, Hashable {
    private struct Parts: Sendable, Hashable {
        var name: String
        var realm: String?
        var roles: Set<String>
        var claims: [String: String]
        var expires: Int64?
    }

    /// A principal lies in each open connection, so it is one word.
    private final class Box: Sendable {
        let parts: Parts

        init(_ parts: Parts) { self.parts = parts }
    }

    private var box: Box

    /// A principal made of these parts.
    ///
    /// - Parameters:
    ///   - name: the name of the user, device or program.
    ///   - realm: the realm that the name belongs to; `nil` takes that of the authentication.
    ///   - roles: the roles that it has.
    ///   - claims: further statements about it, such as the claims of a token, as texts.
    ///   - expires: the second since 1970 at which the proof ends; `nil` for never.
    public init(
        _ name: String,
        realm: String? = nil,
        roles: Set<String> = [],
        claims: [String: String] = [:],
        expires: Int64? = nil
    ) {
        self.box = Box(Parts(name: name, realm: realm, roles: roles, claims: claims, expires: expires))
    }

    private var parts: Parts {
        get { self.box.parts }
        set { self.box = Box(newValue) }
    }

    /// The name of the user, device or program.
    public var name: String {
        get { self.box.parts.name }
        set { self.parts.name = newValue }
    }

    /// The realm that the name belongs to. A server fills in the realm of its authentication where a verifier sets none.
    public var realm: String? {
        get { self.box.parts.realm }
        set { self.parts.realm = newValue }
    }

    /// The roles that it has.
    public var roles: Set<String> {
        get { self.box.parts.roles }
        set { self.parts.roles = newValue }
    }

    /// Further statements about it, such as the claims of a token, as texts. They may be secret, and are not shown where
    /// a principal is printed.
    public var claims: [String: String] {
        get { self.box.parts.claims }
        set { self.parts.claims = newValue }
    }

    /// The second since 1970 at which the proof ends; `nil` for never. The server then closes the socket with 1008, as
    /// it does at the end of a session's lifetime; the earlier of the two counts. A proof that has ended is none.
    public var expires: Int64? {
        get { self.box.parts.expires }
        set { self.parts.expires = newValue }
    }

    /// Returns `true` when both have the same parts.
    public static func == (one: Principal, other: Principal) -> Bool {
        one.box === other.box || one.box.parts == other.box.parts
    }

    /// Hashes all parts.
    public func hash(into hasher: inout Hasher) { self.box.parts.hash(into: &hasher) }
}

extension Principal: ExpressibleByStringLiteral {
    /// A principal with a name alone.
    public init(stringLiteral name: String) { self.init(name) }
}

extension Principal: CustomStringConvertible, CustomReflectable {
    /// The name.
    public var description: String { self.name }

    /// Shows name and realm; roles and claims are not for logs.
    public var customMirror: Mirror { Mirror(self, children: ["name": self.name, "realm": self.realm ?? ""]) }
}
