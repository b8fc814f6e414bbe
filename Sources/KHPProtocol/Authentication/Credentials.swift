/// The answer to a challenge. Never shows itself in a description.
public enum Credentials: Sendable, Hashable {
    /// User and password for the Basic scheme (RFC 7617), sent as UTF-8. The user holds no colon, neither holds
    /// control characters.
    case basic(user: String, password: String)
    /// User and password for the Digest scheme (RFC 7616); the password itself is not sent. The user holds no colon,
    /// neither holds control characters.
    case digest(user: String, password: String)
    /// User and password for whichever of Digest and Basic is asked for.
    case login(user: String, password: String)
    /// A token for the Bearer scheme (RFC 6750): letters, digits, `-._~+/`, and `=` at the end.
    case bearer(String)
    /// A token for the scheme Token: not empty, no control characters.
    case token(String)
    /// A whole value of Authorization for any scheme, such as `Bearer mF_9.B5f-4.1JqM`.
    case authorization(String)

    /// Checks that these credentials can be sent.
    ///
    /// - Throws: ``WebSocketError/Code/invalidArgument`` for a user with a colon, for control characters, and for a token
    ///   that is empty or that the scheme Bearer cannot carry. The message repeats nothing of the credentials.
    public func validate() throws(WebSocketError) {
        switch self {
        case .basic(let user, let password), .digest(let user, let password), .login(let user, let password):
            _ = try BasicCredentials(user: user, password: password)
        case .bearer, .token, .authorization:
            _ = try self.authorizationValue()
        }
    }

    /// User and password, where these are the credentials.
    package var login: (user: String, password: String)? {
        switch self {
        case .basic(let user, let password), .digest(let user, let password), .login(let user, let password):
            (user, password)
        case .bearer, .token, .authorization: nil
        }
    }

    /// A value that all ways of sending the same secret share. Refused credentials are found by it.
    package var identity: Credentials {
        switch self {
        case .basic(let user, let password), .digest(let user, let password), .login(let user, let password):
            return .login(user: user, password: password)
        case .bearer(let token): return .authorization("Bearer " + token)
        case .token(let token): return .authorization("Token " + token)
        case .authorization(let value):
            guard let login = BasicCredentials(authorization: value) else { return self }
            return .login(user: login.user, password: login.password)
        }
    }

    /// The scheme in lower case that these credentials are for; `nil` where there are several.
    package var scheme: String? {
        switch self {
        case .basic: "basic"
        case .digest: "digest"
        case .login: nil
        case .bearer: "bearer"
        case .token: "token"
        case .authorization(let value): Bytes.lowercasedASCII(String(value.prefix { $0 != " " }))
        }
    }

    /// The value of Authorization, for schemes whose answer depends on nothing but the credentials.
    ///
    /// Throws ``WebSocketError/Code/invalidArgument`` for what cannot be sent, or not without a challenge.
    package func authorizationValue() throws(WebSocketError) -> String {
        switch self {
        case .basic(let user, let password):
            return try BasicCredentials(user: user, password: password).authorization
        case .bearer(let token):
            var scanner = FieldScanner(token)
            guard scanner.token68() != nil, scanner.isAtEnd else {
                throw WebSocketError(
                    .invalidArgument,
                    "A token for the Bearer scheme is empty or holds a character that RFC 6750 does not allow."
                )
            }
            return "Bearer " + token
        case .token(let token):
            try FieldValidation.validate(token, what: "the token")
            guard !token.isEmpty else { throw WebSocketError(.invalidArgument, "The token is empty.") }
            return "Token " + token
        case .authorization(let value):
            try FieldValidation.validate(value, what: "the credentials")
            guard !value.isEmpty else { throw WebSocketError(.invalidArgument, "The credentials are empty.") }
            return value
        case .digest, .login:
            throw WebSocketError(.invalidArgument, "Credentials for Digest can only answer a challenge.")
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
