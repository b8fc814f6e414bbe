/// Decides for one connection attempt whether and where a redirect is followed: one tracker over all hops and both
/// handshakes (KHP-E15, KHP-E16, D4, D5, D11, D12; threats F1 to F12).
package struct RedirectTracker: Sendable {
    private struct Visit: Hashable {
        var resource: String
        /// Of the extended request there.
        var method: String
        var credentialsState: Int
        var cookies: Int
    }

    private let original: WebSocketURL
    private let policy: RedirectPolicy
    private let limit: Int
    private let allowsLeavingTLS: Bool
    private let follows308: Bool
    /// At most one more than the limit.
    private var visits: Set<Visit> = []
    /// How many redirects were followed.
    package private(set) var count = 0
    /// `true` while credentials, cookies and extra fields of the original origin may be sent at the current hop. Once a
    /// hop was elsewhere this stays false, even back at the origin (threat F2).
    package private(set) var keepsSecrets = true

    package init(
        from original: WebSocketURL,
        policy: RedirectPolicy = .always,
        limit: Int = 5,
        allowsLeavingTLS: Bool = false,
        follows308: Bool = false
    ) {
        self.original = original
        self.policy = policy
        self.limit = limit
        self.allowsLeavingTLS = allowsLeavingTLS
        self.follows308 = follows308
    }

    /// This attempt starts where permanent redirects of an earlier one have led to (D29).
    package mutating func start(keepingSecrets: Bool) {
        self.keepsSecrets = keepingSecrets
    }

    /// The statuses that this tracker follows under some conditions.
    package func isRedirect(_ status: Int) -> Bool {
        switch status {
        case 300, 301, 302, 303, 307: true
        case 308: self.follows308
        default: false
        }
    }

    /// The URL to connect to next.
    ///
    /// `candidates` are references in order of preference: the value of Location, or the choices of a 300 (see
    /// ``choices(of:at:)``), of which the first usable one counts. `credentialsState` and `cookies` are version
    /// numbers: a URL visited again with a changed one is no loop. `cookiesSent` is the value of `cookies` when the
    /// request went out, before the answer set any (D44). `method` is that of the request that was answered, `asked`
    /// that of the extended request here, where it is another: the same URL with another method is no loop.
    package mutating func follow(
        status: Int,
        candidates: [String],
        from current: WebSocketURL,
        method: String = "GET",
        asked: String? = nil,
        credentialsState: Int = 0,
        cookies: (WebSocketURL) -> Int = { _ in 0 },
        cookiesSent: Int? = nil
    ) throws(WebSocketError) -> WebSocketURL {
        guard self.isRedirect(status) else {
            throw WebSocketError(
                .redirectRefused,
                "Redirects of status \(status) are not followed.",
                detail: status == 308 ? .status308 : nil,
                url: current
            )
        }
        guard RedirectMethod.isFollowed(status, after: method) else {
            throw WebSocketError(
                .redirectMethod,
                "A \(status) is not followed where the extended request was \(method).",
                url: current
            )
        }
        guard self.count < self.limit else {
            throw WebSocketError(.tooManyRedirects, "There were more than \(self.limit) redirects.", url: current)
        }
        let asked = asked ?? method
        let next = RedirectMethod.becomesGET(status, after: status == 303 ? asked : method) ? "GET" : asked
        self.visits.insert(
            Visit(
                resource: current.loopKey,
                method: asked,
                credentialsState: credentialsState,
                cookies: cookiesSent ?? cookies(current)
            )
        )
        // D32: locations with the same meaning are one (``choices(of:at:)``). Different ones cannot be followed.
        guard status == 300 || candidates.count <= 1 else {
            throw WebSocketError(
                .redirectRefused,
                "The response of status \(status) has \(candidates.count) different Location fields.",
                detail: .unusableTarget,
                url: current
            )
        }
        var first: WebSocketError?
        for candidate in status == 300 ? candidates.prefix(maximumChoices) : candidates.prefix(1) {
            do throws(WebSocketError) {
                let target = try target(candidate, from: current)
                let visit = Visit(
                    resource: target.loopKey,
                    // D12: the method stays behind where the origin is left, as the content does.
                    method: self.keepsSecrets && target.isSameOrigin(as: self.original) ? next : "GET",
                    credentialsState: credentialsState,
                    cookies: cookies(target)
                )
                guard !self.visits.contains(visit) else {
                    throw WebSocketError(
                        .redirectLoop,
                        "The redirect leads back to \(target.redacted).",
                        url: current
                    )
                }
                self.count += 1
                self.keepsSecrets = self.keepsSecrets && target.isSameOrigin(as: self.original)
                return target
            } catch {
                first = first ?? error
            }
        }
        let what = status == 300 ? "offers no choice" : "has no Location"
        throw first
            ?? WebSocketError(
                .redirectRefused,
                "The response of status \(status) \(what).",
                detail: .unusableTarget,
                url: current
            )
    }

    private func target(
        _ reference: String,
        from current: WebSocketURL
    ) throws(WebSocketError) -> WebSocketURL {
        let target: WebSocketURL
        do throws(WebSocketError) {
            target = try current.resolving(reference)
        } catch {
            throw WebSocketError(
                .redirectRefused,
                "The response leads to a URL that cannot be used. \(error.message)",
                detail: .unusableTarget,
                url: current
            )
        }
        guard self.allowsLeavingTLS || target.isSecure || !current.isSecure else {
            throw WebSocketError(
                .redirectRefused,
                "The redirect to \(target.redacted) would leave TLS.",
                detail: .leavesTLS,
                url: current
            )
        }
        guard !WebSocketURL.blockedPorts.contains(target.port) else {
            throw WebSocketError(
                .redirectRefused,
                "The redirect to \(target.redacted) leads to a port of another protocol.",
                detail: .unusableTarget,
                url: current
            )
        }
        guard self.policy.allows(from: self.original, to: target) else {
            throw WebSocketError(
                .redirectRefused,
                "The redirect to \(target.redacted) is not followed: the redirect policy is \(self.policy.rawValue).",
                detail: .policy,
                url: current
            )
        }
        return target
    }
}

extension RedirectTracker: CustomReflectable, CustomStringConvertible {
    package var description: String { "\(self.count) of \(self.limit) redirects" }

    /// Keeps queries out of `dump`.
    package var customMirror: Mirror { Mirror(self, children: ["redirects": self.description]) }
}
