// What a hop does when it is sent elsewhere, and what it may take along: redirects, their permission, cookies.

import HTTPTypes
import KHPProtocol
import NIOCore

extension ConnectLoop {
    mutating func redirect(_ outcome: HopOutcome) async throws {
        var choice: String?
        if let alternatives = self.attempt.alternatives(of: outcome), let choose = self.configuration.redirects.choose {
            choice = try await self.bounded { await choose(alternatives) }
        }
        let store = self.store
        let step = try self.attempt.follow(
            outcome,
            choice: choice,
            cookies: { store?.state(for: $0) ?? 0 },
            cookiesSent: self.cookiesSent
        )
        guard let step else { return }
        self.observe(.redirect(from: step.from, to: step.to, status: step.status, layer: step.layer))
        self.redirected = step
    }

    /// The addresses to dial. After a redirect the caller is asked about them, and what was permitted stays: a name
    /// that meanwhile means another address does not get past the question (threat F8).
    mutating func permittedAddresses(
        of url: WebSocketURL,
        through proxy: Proxy?,
        until limit: NIODeadline
    ) async throws -> [SocketAddress] {
        guard let permits = self.configuration.redirects.permit else {
            return try await self.resolve(url, through: proxy, until: limit)
        }
        if proxy != nil {
            // The proxy resolves the name; the addresses are the proxy's.
            try await self.askPermission(for: [], permits)
            return try await self.resolve(url, through: proxy, until: limit)
        }
        let known = self.permitted[url.authority]
        let addresses = if let known { known } else { try await self.resolve(url, through: nil, until: limit) }
        try await self.askPermission(for: addresses, permits)
        self.permitted[url.authority] = addresses
        return addresses
    }

    /// Asks whether the redirect that led here may be followed, once.
    mutating func askPermission(
        for addresses: [SocketAddress],
        _ permits: @escaping @Sendable (RedirectStep, [SocketAddress]) async -> Bool
    ) async throws {
        guard let step = self.redirected else { return }
        self.redirected = nil
        guard try await self.bounded({ await permits(step, addresses) }) else {
            throw WebSocketError(
                .redirectRefused,
                "The redirect to \(step.to.redacted) is not permitted.",
                detail: .notPermitted,
                url: step.from,
                phase: step.layer == .opening ? .opening : .extended
            )
        }
    }

    /// A closure of the caller, which may take what is left of the connect's time.
    private func bounded<Answer: Sendable>(_ body: @escaping @Sendable () async -> Answer) async throws -> Answer {
        let late = self.timeout(
            self.attempt.url,
            "The connect was not complete within \(self.configuration.timeouts.total.words)."
        )
        return try await self.answer(until: self.deadline, else: late, of: body)
    }

    // MARK: Cookies

    /// Where cookies come from and go to, if anywhere.
    private var store: CookieStore? {
        if case .store(let store) = self.configuration.cookies { return store }
        return nil
    }

    mutating func addCookies(to plan: inout ClientPlan) {
        switch self.configuration.cookies {
        case .none: break
        case .deferred: plan.takesCookies = true
        case .store(let store):
            plan.takesCookies = true
            plan.cookies = store.header(for: plan.url, scope: self.attempt.cookieScope)
            self.cookiesSent = store.state(for: plan.url)
        }
    }

    /// The cookies of an opening response that opens nothing are kept before the next request goes out (D44).
    func keepCookies(of response: HandshakeResponse) {
        self.keep(response.openingCookies)
    }

    /// A 101's are kept too, however the extended handshake ends (D44).
    func keepCookies(of head: ResponseHead) {
        self.keep(setCookies(in: head))
    }

    private func keep(_ fields: [SetCookie]) {
        guard !fields.isEmpty, self.attempt.plan.dialect.setsCookiesEarly, let store = self.store else { return }
        let now = WallClock.now()
        store.set(fields.compactMap { Cookie($0, from: self.attempt.url, now: now) })
    }
}

extension WebSocketClient.Configuration {
    /// The cookies that a completed connect set: dated, and kept where there is a store (W10-11, threat G15).
    func keepCookies(of negotiation: inout Negotiation) {
        guard !negotiation.setCookies.isEmpty else { return }
        let now = WallClock.now()
        let url = negotiation.url
        negotiation.cookies = negotiation.setCookies.compactMap { Cookie($0, from: url, now: now) }
        if case .store(let store) = self.cookies { store.set(negotiation.cookies) }
    }
}
