// Cookies as a client keeps and sends them: RFC 6265 sections 5.3 and 5.4, with bounds. Time is an argument, in seconds
// since 1970.

package struct CookieJar: Sendable {
    /// Which cookies may go with a request (D12, threat F2).
    package enum Scope: Sendable {
        /// All that match.
        case all
        /// After a redirect to another origin: those that this very origin set.
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

    /// Most cookies for one host or domain; what was not used for longest goes first.
    package static let maximumPerDomain = 50
    /// Most cookies altogether.
    package static let maximum = 3000

    private var entries: [Entry] = []
    private var clock: UInt64 = 0

    package init() {}

    package var isEmpty: Bool { self.entries.isEmpty }

    /// All cookies that have not ended, oldest first.
    package func all(now: Int64) -> [Cookie] {
        self.entries.filter { !$0.cookie.isExpired(at: now) }.sorted { $0.created < $1.created }.map(\.cookie)
    }

    /// Keeps a cookie; one that has ended removes what it would replace.
    package mutating func set(_ cookie: Cookie, now: Int64) {
        self.clock += 1
        var created = self.clock
        if let index = self.entries.firstIndex(where: { cookie.replaces($0.cookie) }) {
            created = self.entries[index].created
            self.entries.remove(at: index)
        }
        guard !cookie.isExpired(at: now) else { return }
        self.entries.append(Entry(cookie: cookie, created: created, used: self.clock))
        self.evict(cookie.domain, now: now)
    }

    /// Removes what has the same name, domain, path and origin.
    package mutating func remove(_ cookie: Cookie) {
        self.entries.removeAll { cookie.replaces($0.cookie) }
    }

    private mutating func evict(_ domain: String, now: Int64) {
        let count = self.entries.count { $0.cookie.domain == domain }
        guard count > Self.maximumPerDomain || self.entries.count > Self.maximum else { return }
        self.entries.removeAll { $0.cookie.isExpired(at: now) }
        while self.entries.count(where: { $0.cookie.domain == domain }) > Self.maximumPerDomain {
            self.removeLeastUsed { $0.cookie.domain == domain }
        }
        while self.entries.count > Self.maximum { self.removeLeastUsed { _ in true } }
    }

    /// Those without Secure go first.
    private mutating func removeLeastUsed(where isCandidate: (Entry) -> Bool) {
        let candidates = self.entries.indices.filter { isCandidate(self.entries[$0]) }
        let leastUsed = candidates.min { one, other in
            let (one, other) = (self.entries[one], self.entries[other])
            if one.cookie.isSecure != other.cookie.isSecure { return other.cookie.isSecure }
            return one.used < other.used
        }
        if let leastUsed { self.entries.remove(at: leastUsed) }
    }

    private func indices(for url: WebSocketURL, scope: Scope, now: Int64) -> [Int] {
        guard scope != .none else { return [] }
        return self.entries.indices.filter { index in
            let cookie = self.entries[index].cookie
            return !cookie.isExpired(at: now) && cookie.goes(to: url)
                && (scope == .all || cookie.origin == url.origin)
        }.sorted { one, other in
            let (one, other) = (self.entries[one], self.entries[other])
            let (length, otherLength) = (one.cookie.path.utf8.count, other.cookie.path.utf8.count)
            return length == otherLength ? one.created < other.created : length > otherLength
        }
    }

    /// The cookies that go with a request, in their order.
    package func cookies(for url: WebSocketURL, scope: Scope = .all, now: Int64) -> [Cookie] {
        self.indices(for: url, scope: scope, now: now).map { self.entries[$0].cookie }
    }

    /// The value of Cookie for a request; nil where there is nothing to send. Counts as a use of what it holds.
    package mutating func header(for url: WebSocketURL, scope: Scope = .all, now: Int64) -> String? {
        guard !self.entries.isEmpty else { return nil }
        let indices = self.indices(for: url, scope: scope, now: now)
        guard !indices.isEmpty else { return nil }
        self.clock += 1
        for index in indices { self.entries[index].used = self.clock }
        return indices.map { "\(self.entries[$0].cookie.name)=\(self.entries[$0].cookie.value)" }
            .joined(separator: "; ")
    }
}

extension CookieJar: CustomStringConvertible, CustomReflectable {
    package var description: String { "\(self.entries.count) cookies" }

    package var customMirror: Mirror { Mirror(self, children: ["cookies": self.description]) }
}
