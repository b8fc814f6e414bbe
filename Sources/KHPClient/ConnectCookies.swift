// The cookies of one connect: which of them a request carries, and which a response sets.

import KHPProtocol

struct ConnectCookies {
    private let policy: WebSocketClient.CookiePolicy
    /// A number for the cookies that the last opening request could carry; another one means that they have changed.
    private(set) var sent = 0

    init(_ policy: WebSocketClient.CookiePolicy) {
        self.policy = policy
    }

    private var store: CookieStore? {
        if case .store(let store) = self.policy { return store }
        return nil
    }

    /// True where the cookies that the handshake sets count.
    var areTaken: Bool {
        if case .none = self.policy { return false }
        return true
    }

    /// The value of Cookie for the opening request of a hop.
    mutating func header(for url: WebSocketURL, scope: CookieJar.Scope) -> String? {
        guard let store else { return nil }
        self.sent = store.state(for: url)
        return store.header(for: url, scope: scope)
    }

    /// A number that changes when the cookies for a URL do.
    func state(for url: WebSocketURL) -> Int { self.store?.state(for: url) ?? 0 }

    /// Keeps cookies that a response of this URL set.
    func keep(_ fields: [SetCookie], from url: WebSocketURL) {
        guard !fields.isEmpty, let store else { return }
        let now = WallClock.now()
        store.set(fields.compactMap { Cookie($0, from: url, now: now) })
    }

    /// Dates the cookies that a completed connect set, and keeps them where there is a store (W10-11, threat G15).
    func keep(of negotiation: inout HandshakeSummary) {
        guard !negotiation.setCookies.isEmpty else { return }
        let now = WallClock.now()
        let url = negotiation.url
        negotiation.cookies = negotiation.setCookies.compactMap { Cookie($0, from: url, now: now) }
        self.store?.set(negotiation.cookies)
    }
}
