/// Answers challenges. It may take its time, such as for asking a person; the connection waits, within limits.
public protocol ChallengeHandler: Sendable {
    /// Credentials for `request`, or nil when there are none: then the connection fails with
    /// ``WebSocketError/Code/authenticationFailed``.
    ///
    /// Asked once for each challenge until one gets an answer: first for schemes that cannot be ranked, such as Bearer
    /// or one's own, in the order in which the server sent them; then for Digest, the strongest algorithm first; then
    /// for Basic. Credentials that were refused once are not sent again: see
    /// ``ChallengeRequest/previousWasRefused``. After a redirect to another origin the handler is asked afresh: see
    /// ``ChallengeRequest/isRedirectedToAnotherOrigin``.
    func respond(to request: ChallengeRequest) async -> Credentials?
}

/// Answers challenges of the scheme Basic.
public struct BasicChallengeHandler: ChallengeHandler {
    private let login: @Sendable (ChallengeRequest) async -> Credentials?

    /// Always the same user and password: for the origin of `origin`, or when nil for the origin that the connection
    /// was asked for. Neither a proxy nor an origin that a redirect leads to gets them.
    public init(user: String, password: String, origin: WebSocketURL? = nil) {
        self.login = { request in
            guard request.layer != .proxy, request.url.isSameOrigin(as: origin ?? request.originalURL) else {
                return nil
            }
            return .basic(user: user, password: password)
        }
    }

    /// Whatever `login` returns for a realm; nil gives up. It is asked for every origin and for proxies too: look at
    /// the request before giving credentials away.
    public init(_ login: @escaping @Sendable (_ request: ChallengeRequest) async -> Credentials?) {
        self.login = login
    }

    /// Nil for other schemes than Basic.
    public func respond(to request: ChallengeRequest) async -> Credentials? {
        guard Bytes.lowercasedASCII(request.scheme) == "basic" else { return nil }
        return await self.login(request)
    }
}
