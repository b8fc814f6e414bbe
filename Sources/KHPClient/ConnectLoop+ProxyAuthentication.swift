// Challenges of a proxy (407): what it gets, and from whom. What it is given is bound to it and goes nowhere else (threats
// G8, G11).

import KHPProtocol

extension ConnectLoop {
    private func place(_ proxy: Proxy) -> Authenticator.Place { .proxy(authority: proxy.authority) }

    /// What Digest signs of a CONNECT: the URI is host and port (RFC 7616 section 3.4.6, RFC 9112 section 3.2.3).
    private func target(_ url: WebSocketURL) -> Authenticator.Target {
        Authenticator.Target(method: "CONNECT", uri: Tunnel.target(of: url))
    }

    /// What a fresh request to the proxy takes along, where it has asked before in this connect. Counts a nonce on.
    mutating func authorization(for proxy: Proxy, _ url: WebSocketURL) -> String? {
        guard proxy.kind == .http || proxy.kind == .https else { return nil }
        // What one user has proved is not another's, at the same proxy either (threat F14).
        let before = self.proxies.updateValue(proxy, forKey: proxy.authority)
        guard before == nil || before == proxy else { return nil }
        return self.attempt.authenticator.authorization(
            at: self.place(proxy),
            target: self.target(url),
            clientNonce: Self.makeNonce()
        )
    }

    /// The value of Proxy-Authorization that answers a 407: from what the proxy was given with, then from the handler.
    mutating func answer(
        _ response: HandshakeResponse,
        of proxy: Proxy,
        for url: WebSocketURL
    ) async throws -> String {
        let handler: (any ChallengeHandler)? =
            proxy.hasCredentials
            ? OwnCredentials(proxy: proxy, next: self.configuration.challengeHandler)
            : self.configuration.challengeHandler
        return try await self.authorization(
            answering: response,
            at: self.place(proxy),
            target: self.target(url),
            handler: handler
        )
    }

    /// The proxy has opened the tunnel: what it claims of itself is checked, and a next nonce taken (threat G14).
    mutating func accepted(_ head: ResponseHead, of proxy: Proxy) throws {
        try self.attempt.authenticator.accepted(head, at: self.place(proxy))
    }
}

/// The credentials that belong to a proxy, and whom to ask when they were refused.
private struct OwnCredentials: ChallengeHandler {
    let proxy: Proxy
    let next: (any ChallengeHandler)?

    func respond(to request: ChallengeRequest) async -> Credentials? {
        let scheme = request.scheme.lowercased()
        var own: Credentials?
        if let user = self.proxy.user, scheme == "basic" || scheme == "digest" {
            own = .login(user: user, password: self.proxy.password ?? "")
        }
        if let own, !request.previousWasRefused { return own }
        // Nobody else: what was refused is not sent again, and the error says so.
        return await self.next?.respond(to: request) ?? own
    }
}
