// Cookies as a client keeps and sends them: RFC 6265 sections 5.3 and 5.4, with bounds. Time is an argument, in seconds
// since 1970.

package struct CookieJar: Sendable {
    /// Which cookies may go with a request (D12, threat F2).
    package enum Scope: Sendable {
        /// All that match.
        case all
        /// After a redirect to another origin: only cookies that this origin itself has set.
        case ownOrigin
        /// None: the chain of redirects has left this origin before.
        case none
    }

    private struct Entry: Sendable {
        var cookie: Cookie
        /// Counts insertions: the time of creation, without two that are equal.
        var created: UInt64
        /// Counts uses.
        var used: UInt64
    }

    /// Most cookies for one host or domain. Beyond it the least recently used cookie goes.
    package static let maximumPerDomain = 50
    /// Most cookies altogether.
    package static let maximum = 3000

    /// The cookies by the host or domain that they go to. A server's cookies only compete with each other.
    private var entries: [String: [Entry]] = [:]
    private var count = 0
    private var clock: UInt64 = 0
    /// No cookie ends before.
    private var nextEnd = Int64.max

    package init() {}

    package var isEmpty: Bool { self.count == 0 }

    /// All cookies that have not ended, oldest first.
    package func all(now: Int64) -> [Cookie] {
        self.entries.values.joined().filter { !$0.cookie.isExpired(at: now) }.sorted { $0.created < $1.created }
            .map(\.cookie)
    }

    /// Keeps a cookie. An expired one removes the cookie that it would replace.
    package mutating func set(_ cookie: Cookie, now: Int64) {
        self.clock += 1
        var created = self.clock
        if let index = self.entries[cookie.domain]?.firstIndex(where: { cookie.replaces($0.cookie) }) {
            created = self.entries[cookie.domain]?.remove(at: index).created ?? created
            self.count -= 1
        }
        guard !cookie.isExpired(at: now) else { return }
        self.entries[cookie.domain, default: []].append(Entry(cookie: cookie, created: created, used: self.clock))
        self.count += 1
        self.nextEnd = min(self.nextEnd, cookie.expires ?? .max)
        self.evict(cookie.domain, now: now)
    }

    /// Removes the cookie with the same name, domain, path and origin.
    package mutating func remove(_ cookie: Cookie) {
        self.removeAll(of: cookie.domain) { cookie.replaces($0.cookie) }
    }

    private mutating func removeAll(of domain: String, where isGone: (Entry) -> Bool) {
        guard let before = self.entries[domain]?.count else { return }
        self.entries[domain]?.removeAll(where: isGone)
        let after = self.entries[domain]?.count ?? 0
        self.count -= before - after
        if after == 0 { self.entries[domain] = nil }
    }

    private mutating func evict(_ domain: String, now: Int64) {
        let isFull = (self.entries[domain]?.count ?? 0) > Self.maximumPerDomain
        guard isFull || self.count > Self.maximum else { return }
        if self.nextEnd <= now {
            for domain in Array(self.entries.keys) { self.removeAll(of: domain) { $0.cookie.isExpired(at: now) } }
            self.nextEnd = self.entries.values.joined().map { $0.cookie.expires ?? .max }.min() ?? .max
        }
        while (self.entries[domain]?.count ?? 0) > Self.maximumPerDomain { self.removeLeastUsed(among: [domain]) }
        while self.count > Self.maximum { self.removeLeastUsed(among: self.entries.keys) }
    }

    /// Cookies without Secure go first.
    private mutating func removeLeastUsed(among domains: some Collection<String>) {
        var least: (domain: String, index: Int, isSecure: Bool, used: UInt64)?
        for domain in domains {
            guard let entries = self.entries[domain] else { continue }
            for index in entries.indices {
                let (isSecure, used) = (entries[index].cookie.isSecure, entries[index].used)
                if let least {
                    guard isSecure == least.isSecure ? used < least.used : least.isSecure else { continue }
                }
                least = (domain, index, isSecure, used)
            }
        }
        guard let least else { return }
        self.entries[least.domain]?.remove(at: least.index)
        self.count -= 1
        if self.entries[least.domain]?.isEmpty == true { self.entries[least.domain] = nil }
    }

    private typealias Place = (domain: String, index: Int)

    /// Looked for at the host itself and at each domain above it.
    private func places(for url: WebSocketURL, scope: Scope, now: Int64) -> [Place] {
        guard scope != .none, !self.isEmpty else { return [] }
        var domains = [url.host]
        if !Host.isAddress(url.host) {
            let bytes = url.host.utf8
            for dot in bytes.indices where bytes[dot] == 0x2E {
                domains.append(String(url.host[bytes.index(after: dot)...]))
            }
        }
        let origin = url.origin
        var found: [Place] = []
        for domain in domains {
            guard let entries = self.entries[domain] else { continue }
            for index in entries.indices {
                let cookie = entries[index].cookie
                guard !cookie.isExpired(at: now), cookie.goes(to: url), scope == .all || cookie.origin == origin else {
                    continue
                }
                found.append((domain, index))
            }
        }
        return found.sorted { one, other in
            guard let one = self.entry(one), let other = self.entry(other) else { return false }
            let (length, otherLength) = (one.cookie.path.utf8.count, other.cookie.path.utf8.count)
            return length == otherLength ? one.created < other.created : length > otherLength
        }
    }

    private func entry(_ place: Place) -> Entry? { self.entries[place.domain]?[place.index] }

    /// The cookies that go with a request, in their order.
    package func cookies(for url: WebSocketURL, scope: Scope = .all, now: Int64) -> [Cookie] {
        self.places(for: url, scope: scope, now: now).compactMap { self.entry($0)?.cookie }
    }

    /// The value of Cookie for a request; `nil` when there is none to send. Counts as a use of the cookies in it.
    package mutating func header(for url: WebSocketURL, scope: Scope = .all, now: Int64) -> String? {
        let places = self.places(for: url, scope: scope, now: now)
        guard !places.isEmpty else { return nil }
        self.clock += 1
        for place in places { self.entries[place.domain]?[place.index].used = self.clock }
        return places.compactMap { self.entry($0).map { "\($0.cookie.name)=\($0.cookie.value)" } }.joined(
            separator: "; "
        )
    }
}

extension CookieJar: CustomStringConvertible, CustomReflectable {
    package var description: String { "\(self.count) cookies" }

    package var customMirror: Mirror { Mirror(self, children: ["cookies": self.description]) }
}
