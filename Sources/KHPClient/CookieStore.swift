import KHPProtocol
import Synchronization

/// The cookies of a client, kept in memory: RFC 6265, strictly.
///
/// Opening requests carry those that match. Opening responses set them: 101, redirects and 401, so that a login or a
/// balancer finds its cookie in the next request; in ``KHPProtocol/Dialect/hixie76`` and
/// ``KHPProtocol/Dialect/whatwg2010`` only a connection that is established does. Of the responses inside the extended
/// handshake only the one that completes it counts. A store can be shared by several clients and used from any task.
///
/// A cookie goes back to the scheme, host and port that set it and, where the server gave a Domain of at least two
/// labels, to other hosts of that domain at the same scheme and port. Secure cookies are taken over wss only. It holds
/// at most 50 cookies for one domain and 3000 altogether, each at most 4096 bytes.
public final class CookieStore: Sendable {
    private let jar = Mutex(CookieJar())
    private let clock: @Sendable () -> Int64

    /// An empty store.
    public convenience init() {
        self.init { WallClock.now() }
    }

    /// A store with another clock, in seconds since 1970.
    package init(clock: @escaping @Sendable () -> Int64) {
        self.clock = clock
    }

    /// All cookies that have not ended, oldest first.
    public func all() -> [Cookie] {
        self.jar.withLock { $0.all(now: self.clock()) }
    }

    /// The cookies that a request to this URL would carry, in their order.
    /// - Throws: ``WebSocketError/Code/invalidURL``.
    public func cookies(for url: String) throws(WebSocketError) -> [Cookie] {
        self.cookies(for: try WebSocketURL(url))
    }

    /// The cookies that a request to this URL would carry, in their order.
    public func cookies(for url: WebSocketURL) -> [Cookie] {
        self.jar.withLock { $0.cookies(for: url, now: self.clock()) }
    }

    /// Keeps cookies, such as ``HandshakeSummary/cookies``. An expired one removes the cookie that it would replace.
    public func set(_ cookies: [Cookie]) {
        guard !cookies.isEmpty else { return }
        let now = self.clock()
        self.jar.withLock { jar in
            for cookie in cookies { jar.set(cookie, now: now) }
        }
    }

    /// Acts as a Set-Cookie field with that value does in an answer of that URL: `name=value; Path=/; Max-Age=60`.
    /// - Returns: `true` when the field counts there.
    /// - Throws: ``WebSocketError/Code/invalidURL``.
    @discardableResult
    public func set(_ setCookie: String, from url: String) throws(WebSocketError) -> Bool {
        self.set(setCookie, from: try WebSocketURL(url))
    }

    /// Does what a Set-Cookie field of that value would do in an answer of that URL.
    /// - Returns: `true` where the field is one that counts there.
    @discardableResult
    public func set(_ setCookie: String, from url: WebSocketURL) -> Bool {
        let now = self.clock()
        guard let field = SetCookie(setCookie), let cookie = Cookie(field, from: url, now: now) else { return false }
        self.jar.withLock { $0.set(cookie, now: now) }
        return true
    }

    /// Removes a cookie.
    public func remove(_ cookie: Cookie) {
        self.jar.withLock { $0.remove(cookie) }
    }

    /// Removes all.
    public func removeAll() {
        self.jar.withLock { $0 = CookieJar() }
    }

    // MARK: For connects

    func header(for url: WebSocketURL, scope: CookieJar.Scope) -> String? {
        self.jar.withLock { jar in
            // Most clients never meet a cookie.
            jar.isEmpty ? nil : jar.header(for: url, scope: scope, now: self.clock())
        }
    }

    /// Differs when the cookies for a URL do; says nothing about them otherwise.
    func state(for url: WebSocketURL) -> Int {
        self.jar.withLock { jar in
            let cookies = jar.isEmpty ? [] : jar.cookies(for: url, now: self.clock())
            return cookies.isEmpty ? 0 : cookies.map { [$0.name, $0.value] }.hashValue
        }
    }
}

extension CookieStore: CustomStringConvertible, CustomReflectable {
    /// How many there are.
    public var description: String { "\(self.all().count) cookies" }

    /// Shows no more than ``description`` does.
    public var customMirror: Mirror { Mirror(self, children: ["cookies": self.description]) }
}

extension WebSocketClient {
    /// A client's policy on cookies.
    public enum CookiePolicy: Sendable {
        /// Sends the store's cookies, and keeps new ones in it.
        case store(CookieStore)
        /// Neither sends nor takes any.
        case none
        /// Sends none and keeps none. The caller gets the handshake's cookies in ``HandshakeSummary/cookies``.
        case deferred
    }
}
