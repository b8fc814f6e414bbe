/// What answers a challenge. Never shows itself in a description.
public enum Credentials: Sendable, Hashable {
    /// User and password for the Basic scheme (RFC 7617), sent as UTF-8. The user holds no colon, neither holds
    /// control characters.
    case basic(user: String, password: String)
    /// A whole value of Authorization for any scheme, such as `Bearer mF_9.B5f-4.1JqM`.
    case authorization(String)

    /// The value of Authorization.
    ///
    /// Throws ``WebSocketError/Code/invalidArgument`` for what cannot be sent.
    package func authorizationValue() throws(WebSocketError) -> String {
        switch self {
        case .basic(let user, let password):
            return try BasicCredentials(user: user, password: password).authorization
        case .authorization(let value):
            try FieldValidation.validate(value, what: "the credentials")
            guard !value.isEmpty else { throw WebSocketError(.invalidArgument, "The credentials are empty.") }
            return value
        }
    }
}

extension Credentials: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Bullets.
    public var description: String { "•••" }

    /// Bullets.
    public var debugDescription: String { "•••" }

    /// Bullets.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
