// One connect of a client over all its hops: where to go next, what may come along, when to give up. Sans-I/O; the
// shell dials, asks people and counts the time.

import HTTPTypes
package import NIOCore

package struct ConnectAttempt: Sendable {
    /// The caller's wishes for the first hop.
    private let template: ClientPlan
    package private(set) var url: WebSocketURL
    private var redirects: RedirectTracker
    /// Answers challenges, over all hops; a proxy's as well.
    package var authenticator: Authenticator
    private var trail: [RedirectStep] = []
    private let follows308: Bool
    /// The origins that the chain has left: what is theirs stays behind, also where it comes back (threat F2).
    private var departed: Set<String> = []
    /// After a 303: from then on a GET without a body.
    private var hasFollowed303 = false
    /// The version that an origin wants instead of 13.
    private var version: (origin: String, number: Int)?
    private var dialects: DialectChoice
    /// Where permanent redirects alone have led to; a later attempt starts there (D29).
    package private(set) var moved: PermanentMove?
    /// Turns false with the first redirect that is not permanent.
    private var isOnPermanentWay = true

    /// - Parameters:
    ///   - template: the plan of the first hop.
    ///   - redirects: the redirects that may be followed, from the same URL.
    ///   - authenticator: how challenges are answered, and how many (D18).
    ///   - fallbacks: the dialects to try, in this order, with a server that does not speak the plan's.
    ///   - moved: where permanent redirects of an earlier attempt have led to; the first hop goes there.
    package init(
        _ template: ClientPlan,
        redirects: RedirectTracker,
        authenticator: Authenticator,
        fallbacks: [Dialect] = [],
        moved: PermanentMove? = nil
    ) {
        self.template = template
        self.url = moved?.url ?? template.url
        self.redirects = redirects
        self.dialects = DialectChoice(template.dialect, fallbacks: fallbacks)
        self.authenticator = authenticator
        self.follows308 = redirects.isRedirect(308)
        if let moved {
            // D12 holds on: what is elsewhere gets nothing of what the caller gave for the URL that the caller named.
            self.redirects.start(keepingSecrets: moved.keepsSecrets)
            self.departed = moved.departed
            self.moved = moved
        }
    }

    /// The plan of the next hop, without credentials.
    package var plan: ClientPlan {
        var plan = self.template
        plan.url = self.url
        plan.dialect = self.dialects.current
        // RFC 6455 section 3: the mark of an empty query is no part of the resource; in the dialects before it is
        // (D34).
        if plan.dialect.opening == .acceptKey, plan.url.query?.isEmpty == true {
            plan.url = plan.url.replacing(query: nil)
        }
        plan.redirects = self.trail
        plan.challenges = self.authenticator.count
        plan.extended.followsPermanentRedirect = self.follows308
        if !self.redirects.keepsSecrets {
            // D12: what the caller added belongs to the origin that the caller named; once left, it stays behind for
            // the rest of the chain (threat F2).
            plan.headers = HTTPFields()
            plan.extended.headers = HTTPFields()
        }
        if self.hasFollowed303 || !self.redirects.keepsSecrets {
            // The body is the caller's for the origin that the caller named, as much as a field is.
            plan.extended.method = "GET"
            plan.extended.body = nil
        }
        if let version = self.version, version.origin == self.url.origin { plan.version = version.number }
        return plan
    }

    /// The plan of the next hop. Advances the Digest nonce counts: call it once per hop.
    /// - Parameters:
    ///   - answer: the answer to a challenge that no connection has taken yet.
    ///   - clientNonce: makes fresh randomness.
    package mutating func nextPlan(carrying answer: ChallengeAnswer? = nil, clientNonce: () -> String) -> ClientPlan {
        var plan = self.plan
        plan.authorization =
            self.authorization(of: answer, in: .opening) ?? self.authorization(.opening, clientNonce: clientNonce())
        plan.extended.authorization =
            self.authorization(of: answer, in: .extended) ?? self.authorization(.extended, clientNonce: clientNonce())
        return plan
    }

    /// The value of an answer, where this handshake of the hop asked for it.
    private func authorization(of answer: ChallengeAnswer?, in layer: HandshakeLayer) -> RequestAuthorization? {
        answer.flatMap { $0.place == self.place(layer) ? $0.authorization : nil }
    }

    /// Which stored cookies the next hop may carry (D12).
    package var cookieScope: CookieJar.Scope {
        if self.departed.contains(self.url.origin) { return .none }
        return self.redirects.keepsSecrets ? .all : .ownOrigin
    }

    /// `true` until a redirect leaves the origin of the URL that was given.
    package var isAtOrigin: Bool { self.redirects.keepsSecrets }

    /// `true` when the next hop may see the caller's client certificate (threat F1).
    package var presentsClientCertificate: Bool { self.redirects.keepsSecrets }

    /// Returns `true` when another dialect may be tried after this error, on a fresh connection to the same URL (D1,
    /// threat D9).
    package mutating func fallBack(after error: WebSocketError) -> Bool {
        self.dialects.fallBack(after: error)
    }

    // MARK: Redirects

    /// The alternatives of this outcome, if the caller may choose among them.
    package func alternatives(of outcome: HopOutcome) -> [String]? {
        outcome.kind == .choose ? choices(of: outcome.response, at: self.url) : nil
    }

    /// Follows a redirect, or one of the choices of a 300 (KHP-E15, KHP-E16).
    /// - Parameters:
    ///   - choice: the caller's pick; the first usable alternative without one.
    ///   - cookies: a number for each URL that changes when the cookies for it do; coming back with others is no loop.
    ///   - cookiesSent: the value of that number for this hop's URL when its request went out.
    /// - Returns: the step; nil where the next hop is the same URL in another version of the protocol.
    package mutating func follow(
        _ outcome: HopOutcome,
        choice: String? = nil,
        cookies: (WebSocketURL) -> Int = { _ in 0 },
        cookiesSent: Int? = nil
    ) throws(WebSocketError) -> RedirectStep? {
        if outcome.response.status == 308, !self.follows308 {
            throw self.refusal(outcome)
        }
        if outcome.kind == .upgrade { return try self.upgrade(outcome, cookies, cookiesSent) }
        let candidates = choice.map { [$0] } ?? choices(of: outcome.response, at: self.url)
        guard self.template.extended.kaazingLegacy else {
            return try self.step(outcome, to: candidates, cookies, cookiesSent)
        }
        // The opening asks for the exchange anew at each hop: a `.kl=Y` that a balancer returns makes no other
        // resource, for the application and for loops (D7).
        let url = self.url
        return try self.step(
            outcome,
            to: candidates.map { (try? url.resolving($0))?.withoutKaazingLegacy.description ?? $0 },
            cookies,
            cookiesSent
        )
    }

    private mutating func step(
        _ outcome: HopOutcome,
        to candidates: [String],
        _ cookies: (WebSocketURL) -> Int,
        _ cookiesSent: Int?
    ) throws(WebSocketError) -> RedirectStep {
        let from = self.url
        let status = outcome.response.status
        // Neither a balancer nor a step up to TLS answers what was asked.
        let isAnswer = outcome.layer == .extended && (outcome.kind == .redirect || outcome.kind == .choose)
        let asked = self.plan.extended.method
        let method = isAnswer ? asked : "GET"
        do throws(WebSocketError) {
            let target = try self.redirects.follow(
                status: outcome.kind == .upgrade ? 302 : outcome.response.status,
                candidates: candidates,
                from: from,
                method: method,
                asked: asked,
                credentialsState: self.authenticator.count,
                cookies: cookies,
                cookiesSent: cookiesSent
            )
            // An answer that is no challenge means that the credentials were taken.
            try self.authenticator.accepted(outcome.response, at: self.place(outcome.layer))
            // Credentials stay behind when their origin is left, also where the chain comes back to it (threat F2).
            if !target.isSameOrigin(as: from) {
                self.authenticator.left(from)
                self.departed.insert(from.origin)
            }
            // D41; after a 303 of the opening as well the resource asked for is another one.
            if RedirectMethod.becomesGET(status, after: status == 303 ? self.plan.extended.method : method) {
                self.hasFollowed303 = true
            }
            self.url = target
            let step = RedirectStep(from: from, to: target, status: status, layer: outcome.layer)
            self.trail.append(step)
            self.isOnPermanentWay = self.isOnPermanentWay && (status == 301 || status == 308)
            if self.isOnPermanentWay {
                self.moved = PermanentMove(
                    step: step,
                    keepsSecrets: self.redirects.keepsSecrets,
                    departed: self.departed
                )
            }
            return step
        } catch {
            var error = error
            if error.code == .redirectMethod {
                error.message = RedirectMethod.refusal(outcome.response, after: method, from: from)
            }
            // A balancer message is no response.
            if outcome.kind != .balancer { error.response = outcome.response }
            error.phase = WebSocketError.Phase(outcome.layer)
            throw error
        }
    }

    /// 426: reconnects over TLS when the response names it, and once in an older version of the protocol when the
    /// opening wants one that frames as 13 does; anything else cannot be acted on.
    private mutating func upgrade(
        _ outcome: HopOutcome,
        _ cookies: (WebSocketURL) -> Int,
        _ cookiesSent: Int?
    ) throws(WebSocketError) -> RedirectStep? {
        let names = outcome.response.headers[values: .upgrade].flatMap { $0.split(separator: ",") }
        let namesTLS = names.contains { name in
            let name = name.drop { $0 == " " || $0 == "\t" }
            return name.prefix(3).lowercased() == "tls" || name.lowercased() == "wss"
        }
        if namesTLS, !self.url.isSecure {
            let target = "wss://\(self.url.authority)\(self.url.resource)"
            return try self.step(outcome, to: [target], cookies, cookiesSent)
        }
        let offered = Self.versions(in: outcome.response)
        if outcome.layer == .opening, self.version?.origin != self.url.origin, !offered.contains(13),
            let version = [8, 7].first(where: offered.contains)
        {
            self.version = (self.url.origin, version)
            return nil
        }
        var error = self.refusal(outcome)
        if !offered.isEmpty {
            error.message.removeLast()
            error.message += "; it offers version \(offered.map(String.init).joined(separator: ", "))."
        }
        throw error
    }

    /// The versions in Sec-WebSocket-Version (RFC 6455 section 4.4), at most sixteen.
    private static func versions(in response: HandshakeResponse) -> [Int] {
        guard let name = HTTPField.Name("Sec-WebSocket-Version") else { return [] }
        let values = response.headers[values: name].flatMap { $0.split(separator: ",") }
        return values.prefix(16).compactMap { value in
            let digits = value.filter { $0 != " " && $0 != "\t" }
            return digits.utf8.count <= 3 && digits.utf8.allSatisfy(Bytes.isDigit) ? Int(digits) : nil
        }
    }

    private func refusal(_ outcome: HopOutcome) -> WebSocketError {
        let response = outcome.response
        let reason = response.reason.isEmpty ? "" : " \(response.reason)"
        let isOpening = outcome.layer == .opening
        return WebSocketError(
            isOpening ? .openingRefused : .extendedRefused,
            "The server refused the \(outcome.layer) handshake with \(response.status)\(reason).",
            detail: response.status == 308 ? .status308 : nil,
            url: self.url,
            response: response,
            phase: WebSocketError.Phase(outcome.layer)
        )
    }

    // MARK: Challenges

    /// The place of a handshake of this hop.
    package func place(_ layer: HandshakeLayer) -> Authenticator.Challenger { .origin(self.url, layer) }

    /// The request of a handshake of this hop, as Digest signs it.
    package func target(_ layer: HandshakeLayer) -> Authenticator.Target {
        let plan = self.plan
        return switch layer {
        case .proxy, .opening: Authenticator.Target(method: "GET", uri: plan.openingURL.resource)
        case .extended:
            Authenticator.Target(
                method: plan.extended.method,
                uri: plan.url.resource,
                entity: plan.extended.body ?? ByteBuffer()
            )
        }
    }

    /// The dialogue about a 401 of this hop.
    /// - Parameters:
    ///   - hasHandler: `true` when there is a handler to ask.
    ///   - patience: how long the handler may take.
    package func dialogue(
        about response: HandshakeResponse,
        in layer: HandshakeLayer,
        hasHandler: Bool,
        patience: Duration,
        now: NIODeadline
    ) -> ChallengeDialogue {
        self.dialogue(about: response, self.place(layer), self.target(layer), hasHandler, patience, now)
    }

    /// The dialogue about a 407 of a proxy on this hop's way.
    package func dialogue(
        about response: HandshakeResponse,
        of proxy: Proxy,
        hasHandler: Bool,
        patience: Duration,
        now: NIODeadline
    ) -> ChallengeDialogue {
        self.dialogue(about: response, Self.place(proxy), self.target(through: proxy), hasHandler, patience, now)
    }

    private func dialogue(
        about response: HandshakeResponse,
        _ place: Authenticator.Challenger,
        _ target: Authenticator.Target,
        _ hasHandler: Bool,
        _ patience: Duration,
        _ now: NIODeadline
    ) -> ChallengeDialogue {
        ChallengeDialogue(
            about: response,
            at: ChallengeDialogue.Position(
                place: place,
                target: target,
                url: self.url,
                originalURL: self.template.url
            ),
            hasHandler: hasHandler,
            patience: patience,
            now: now
        )
    }

    /// The opening request once more on the same connection, behind its 401, and this attempt as it is once that was
    /// sent. Where the connection does not take it the attempt stays as it was: no nonce has been counted on then.
    package func replay(_ answer: ChallengeAnswer, clientNonce: String) -> (
        request: OpeningReplay, after: ConnectAttempt
    ) {
        var after = self
        let extended = after.authorization(.extended, clientNonce: clientNonce)
        return (OpeningReplay(authorization: answer.authorization, extended: extended, challenges: answer.count), after)
    }

    /// The value that a fresh request of this handshake sends unasked.
    private mutating func authorization(_ layer: HandshakeLayer, clientNonce: String) -> RequestAuthorization? {
        let place = self.place(layer)
        let value = self.authenticator.authorization(
            at: place,
            target: self.target(layer),
            clientNonce: clientNonce
        )
        return value.map { RequestAuthorization($0, proof: self.authenticator.proof(at: place)) }
    }

    /// The opening handshake has succeeded.
    package mutating func accepted(_ head: ResponseHead) throws(WebSocketError) {
        try self.authenticator.accepted(head, at: self.place(.opening))
    }

    // MARK: Proxies

    private static func place(_ proxy: Proxy) -> Authenticator.Challenger { .proxy(authority: proxy.authority) }

    /// Digest signs host and port of a CONNECT (RFC 7616 section 3.4.6, RFC 9112 section 3.2.3).
    private func target(through proxy: Proxy) -> Authenticator.Target {
        Authenticator.Target(method: "CONNECT", uri: Tunnel.target(of: self.url))
    }

    /// The value that a fresh request to a proxy sends, where the proxy has asked before. Advances the Digest nonce
    /// count.
    package mutating func authorization(for proxy: Proxy, clientNonce: String) -> String? {
        self.authenticator.authorization(
            at: Self.place(proxy),
            target: self.target(through: proxy),
            clientNonce: clientNonce
        )
    }

    /// The proxy has opened the tunnel: checks its proof and takes a next nonce (threat G14).
    package mutating func accepted(_ head: ResponseHead, of proxy: Proxy) throws(WebSocketError) {
        try self.authenticator.accepted(head, at: Self.place(proxy))
    }

    // MARK: Cookies

    /// The cookies of a challenge: those of the opening are kept before the next request goes out (D44).
    package func earlyCookies(of response: HandshakeResponse, in layer: HandshakeLayer) -> [SetCookie] {
        layer == .opening && self.dialects.current.setsCookiesEarly ? response.openingCookies : []
    }

    /// The same of the response that ended a hop.
    package func earlyCookies(of outcome: HopOutcome) -> [SetCookie] {
        self.earlyCookies(of: outcome.response, in: outcome.layer)
    }

    /// The same of the response that refused an opening.
    package func earlyCookies(of failure: WebSocketError) -> [SetCookie] {
        guard failure.code == .openingRefused, let response = failure.response else { return [] }
        return self.earlyCookies(of: response, in: .opening)
    }

    /// The cookies of a 101: they are kept however the extended handshake ends (D44).
    package func earlyCookies(of head: ResponseHead) -> [SetCookie] {
        self.dialects.current.setsCookiesEarly ? setCookies(in: head) : []
    }

    // MARK: Errors

    /// The error as the caller sees it: a 403 after an answered challenge means that the credentials were refused
    /// (D16), and the way to it is part of it.
    package func explained(_ error: WebSocketError) -> WebSocketError {
        var error = error
        if !self.trail.isEmpty { error.redirects = self.trail }
        // A proxy's 403 is not about what a server was given.
        guard self.authenticator.serverCount > 0, error.response?.status == 403, error.phase != .connect else {
            return error
        }
        error.code = .authenticationFailed
        error.detail = .credentialsRefused
        error.message = "The server refused the credentials (403)."
        return error
    }
}
