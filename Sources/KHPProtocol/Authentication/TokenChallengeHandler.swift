/// Answers challenges of the schemes Bearer (RFC 6750) and Token with a token.
///
/// Parameters of a Bearer challenge, such as `scope` and `error`, are in ``ChallengeRequest/parameters``.
public struct TokenChallengeHandler: ChallengeHandler {
    private let token: @Sendable (ChallengeRequest) async -> String?

    /// Always the same token: for the origin of `origin`, or when `nil` for the origin that the connection was asked
    /// for. Neither a proxy nor an origin that a redirect leads to gets it.
    public init(token: String, origin: WebSocketURL? = nil) {
        self.token = { request in
            guard request.layer != .proxy, request.url.isSameOrigin(as: origin ?? request.originalURL) else {
                return nil
            }
            return token
        }
    }

    /// Whatever `token` returns; `nil` gives up. It is asked for every origin and for proxies too: look at the request
    /// before giving a token away.
    public init(_ token: @escaping @Sendable (_ request: ChallengeRequest) async -> String?) {
        self.token = token
    }

    /// `nil` for other schemes than Bearer and Token.
    public func respond(to request: ChallengeRequest) async -> Credentials? {
        switch Bytes.lowercasedASCII(request.scheme) {
        case "bearer": await self.token(request).map { .bearer($0) }
        case "token": await self.token(request).map { .token($0) }
        default: nil
        }
    }
}
