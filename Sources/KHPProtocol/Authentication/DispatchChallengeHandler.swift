/// Hands each challenge to the handler that is registered for its location and realm.
///
/// ```swift
/// var dispatch = DispatchChallengeHandler()
/// try dispatch.register(
///     LoginChallengeHandler(askThePerson),
///     for: "*.example.com:8000/*",
///     realm: "desk"
/// )
/// try dispatch.register(
///     TokenChallengeHandler(currentToken),
///     for: "wss://api.example.com"
/// )
/// configuration.authentication.challengeHandler = dispatch
/// ```
///
/// The most specific registration answers alone: where its handler gives up, no other one is asked. A handler with
/// fixed credentials still gives them to its own origin only, whatever it is registered for.
public struct DispatchChallengeHandler: ChallengeHandler {
    private struct Registration {
        var pattern: LocationPattern
        var realm: String?
        var handler: any ChallengeHandler

        /// `nil`: every realm, and challenges without one.
        func matchesRealm(_ given: String?) -> Bool {
            guard let realm else { return true }
            guard let given else { return false }
            return realm.hasSuffix("*") ? given.hasPrefix(realm.dropLast()) : given == realm
        }

        /// Among equal locations: a whole realm, then a longer beginning.
        var specificity: [Int] {
            let realm = self.realm.map { $0.hasSuffix("*") ? $0.utf8.count : Int.max } ?? 0
            return self.pattern.specificity + [realm]
        }
    }

    private var registrations: [Registration] = []
    private var proxies: [(authority: String?, handler: any ChallengeHandler)] = []

    /// Without a registration nothing is answered.
    public init() {}

    /// Registers a handler for the servers of a location; in place of one for the same pattern and realm.
    /// - Parameters:
    ///   - handler: answers the challenges.
    ///   - pattern: the location, such as `*.example.com:8000/*`.
    ///   - realm: the realm, or its beginning and a `*`; `nil` is every realm.
    public mutating func register(
        _ handler: any ChallengeHandler,
        for pattern: LocationPattern,
        realm: String? = nil
    ) {
        self.registrations.removeAll { $0.pattern == pattern && $0.realm == realm }
        self.registrations.append(Registration(pattern: pattern, realm: realm, handler: handler))
    }

    /// The same, with the pattern as it is written.
    ///
    /// Throws ``WebSocketError/Code/invalidArgument`` for what is no pattern.
    public mutating func register(
        _ handler: any ChallengeHandler,
        for pattern: String,
        realm: String? = nil
    ) throws(WebSocketError) {
        self.register(handler, for: try LocationPattern(pattern), realm: realm)
    }

    /// Registers a handler for a proxy; no pattern of locations reaches one.
    /// - Parameters:
    ///   - handler: answers the challenges.
    ///   - proxy: host and port, such as `proxy.example:3128`; `nil` is every proxy.
    public mutating func register(_ handler: any ChallengeHandler, forProxy proxy: String?) {
        let authority = proxy.map { Bytes.lowercasedASCII($0) }
        self.proxies.removeAll { $0.authority == authority }
        self.proxies.append((authority, handler))
    }

    /// Asks the handler for this challenge.
    public func respond(to request: ChallengeRequest) async -> Credentials? {
        await self.handler(for: request)?.respond(to: request)
    }

    private func handler(for request: ChallengeRequest) -> (any ChallengeHandler)? {
        if request.layer == .proxy {
            let proxy = request.proxy.map { Bytes.lowercasedASCII($0) }
            return
                (self.proxies.first { $0.authority == proxy && proxy != nil }
                ?? self.proxies.first { $0.authority == nil })?.handler
        }
        let matching = self.registrations.filter {
            $0.pattern.matches(request.url) && $0.matchesRealm(request.realm)
        }
        return matching.max { $0.specificity.lexicographicallyPrecedes($1.specificity) }?.handler
    }
}
