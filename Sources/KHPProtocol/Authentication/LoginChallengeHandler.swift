/// Answers challenges of the schemes Digest and Basic with a user and a password.
///
/// Of several challenges the strongest is answered: Digest with SHA-512-256, SHA-256, MD5, then Basic.
///
/// ```swift
/// let login = LoginChallengeHandler { request in
///     guard !request.isRedirectedToAnotherOrigin else { return nil }
///     return (user: "joe", password: await ask(request.realm ?? "the server"))
/// }
/// configuration.authentication.challengeHandler = login
/// ```
public struct LoginChallengeHandler: ChallengeHandler {
    private let login: @Sendable (ChallengeRequest) async -> (user: String, password: String)?

    /// Always the same user and password: for the origin of `origin`, or when `nil` for the origin that the connection
    /// was asked for. Neither a proxy nor an origin that a redirect leads to gets them.
    public init(user: String, password: String, origin: WebSocketURL? = nil) {
        self.login = { request in
            guard request.layer != .proxy, request.url.isSameOrigin(as: origin ?? request.originalURL) else {
                return nil
            }
            return (user, password)
        }
    }

    /// Whatever `login` returns; `nil` gives up. It is asked for every origin and for proxies too: look at the request
    /// before giving credentials away.
    public init(
        _ login: @escaping @Sendable (_ request: ChallengeRequest) async -> (user: String, password: String)?
    ) {
        self.login = login
    }

    /// `nil` for other schemes than Digest and Basic.
    public func respond(to request: ChallengeRequest) async -> Credentials? {
        switch Bytes.lowercasedASCII(request.scheme) {
        case "digest", "basic":
            guard let (user, password) = await self.login(request) else { return nil }
            return .login(user: user, password: password)
        default:
            return nil
        }
    }
}
