// One connect of a client over all its hops: where to go next, what may come along, when to give up. Sans-I/O; the
// shell dials, asks people and counts the time.

import HTTPTypes

package struct ClientAttempt: Sendable {
    /// What the caller asked for, for the first hop.
    private let template: ClientPlan
    package private(set) var url: WebSocketURL
    private var redirects: RedirectTracker
    private var rounds: ChallengeRounds
    private var trail: [RedirectStep] = []
    private var challengesAnswered = 0
    /// The answer to a challenge of the opening handshake, for the origin that asked.
    private var openingAuthorization: (origin: String, value: String)?
    private let follows308: Bool
    private var dialects: DialectChoice

    /// - Parameters:
    ///   - template: the plan of the first hop.
    ///   - redirects: what may be followed, from the same URL.
    ///   - rounds: how many challenges may be answered (D18).
    ///   - fallbacks: the dialects to try, in this order, with a server that does not speak the plan's.
    package init(_ template: ClientPlan, redirects: RedirectTracker, rounds: Int, fallbacks: [Dialect] = []) {
        self.template = template
        self.url = template.url
        self.redirects = redirects
        self.dialects = DialectChoice(template.dialect, fallbacks: fallbacks)
        self.rounds = ChallengeRounds(limit: rounds)
        self.follows308 = redirects.isRedirect(308)
    }

    /// What the next hop asks for.
    package var plan: ClientPlan {
        var plan = self.template
        plan.url = self.url
        plan.dialect = self.dialects.current
        plan.redirects = self.trail
        plan.challenges = self.challengesAnswered
        plan.followsPermanentRedirect = self.follows308
        if !self.redirects.keepsSecrets {
            // D12: what the caller added belongs to the origin that the caller named; once left, it stays behind for
            // the rest of the chain (threat F2).
            plan.headers = HTTPFields()
            plan.extendedHeaders = HTTPFields()
        }
        if let known = self.openingAuthorization, known.origin == self.url.origin { plan.authorization = known.value }
        return plan
    }

    /// Whether another dialect may be tried after this error, on a fresh connection to the same URL (D1, threat D9).
    package mutating func fallBack(after error: WebSocketError) -> Bool {
        self.dialects.fallBack(after: error)
    }

    // MARK: Redirects

    /// Whether the caller may choose among the alternatives of this outcome, and which there are.
    package func alternatives(of outcome: HopOutcome) -> [String]? {
        outcome.kind == .choose ? choices(of: outcome.response) : nil
    }

    /// Follows a redirect, or one of the choices of a 300 (KHP-E15, KHP-E16).
    /// - Parameter choice: the caller's pick; the first usable alternative without one.
    package mutating func follow(_ outcome: HopOutcome, choice: String? = nil) throws(WebSocketError) -> RedirectStep {
        if outcome.response.status == 308, !self.follows308 {
            throw self.refusal(outcome)
        }
        if outcome.kind == .upgrade { return try self.upgrade(outcome) }
        let candidates = choice.map { [$0] } ?? choices(of: outcome.response)
        guard self.template.kaazingLegacy else { return try self.step(outcome, to: candidates) }
        // The opening asks for the exchange anew at each hop: a `.kl=Y` that a balancer returns makes no other resource,
        // for the application and for loops (D7).
        let url = self.url
        return try self.step(
            outcome,
            to: candidates.map { (try? url.resolving($0))?.withoutKaazingLegacy.description ?? $0 }
        )
    }

    private mutating func step(_ outcome: HopOutcome, to candidates: [String]) throws(WebSocketError) -> RedirectStep {
        let from = self.url
        do throws(WebSocketError) {
            let target = try self.redirects.follow(
                status: outcome.kind == .upgrade ? 302 : outcome.response.status,
                candidates: candidates,
                from: from,
                method: outcome.layer == .extended ? self.template.method : "GET",
                credentialsState: self.challengesAnswered
            )
            // Credentials stay behind when their origin is left, also where the chain comes back to it (threat F2).
            if !target.isSameOrigin(as: from) { self.openingAuthorization = nil }
            self.url = target
            // An answer that is no challenge means that the credentials were taken.
            self.rounds.accepted()
            let step = RedirectStep(from: from, to: target, status: outcome.response.status, layer: outcome.layer)
            self.trail.append(step)
            return step
        } catch {
            var error = error
            // A balancer message is no response.
            if outcome.kind != .balancer { error.response = outcome.response }
            error.phase = outcome.layer == .opening ? .opening : .extended
            throw error
        }
    }

    /// 426: reconnects over TLS when the response names it; anything else cannot be acted on.
    private mutating func upgrade(_ outcome: HopOutcome) throws(WebSocketError) -> RedirectStep {
        let names = outcome.response.fields[values: .upgrade].flatMap { $0.split(separator: ",") }
        let namesTLS = names.contains { name in
            let name = name.drop { $0 == " " || $0 == "\t" }
            return name.prefix(3).lowercased() == "tls" || name.lowercased() == "wss"
        }
        guard namesTLS, !self.url.isSecure else { throw self.refusal(outcome) }
        return try self.step(outcome, to: ["wss://\(self.url.authority)\(self.url.resource)"])
    }

    private func refusal(_ outcome: HopOutcome) -> WebSocketError {
        let response = outcome.response
        let reason = response.reason.isEmpty ? "" : " \(response.reason)"
        let isOpening = outcome.layer == .opening
        return WebSocketError(
            isOpening ? .openingRefused : .extendedRefused,
            "The server refused the \(outcome.layer) handshake with \(response.status)\(reason).",
            url: self.url,
            response: response,
            phase: isOpening ? .opening : .extended
        )
    }

    // MARK: Challenges

    /// A 401: the challenges to answer, each as the handler sees it.
    package mutating func challenged(
        by response: HandshakeResponse,
        layer: HandshakeLayer
    ) throws(WebSocketError) -> [ChallengeRequest] {
        let place: ChallengeRequest.Layer = layer == .opening ? .opening : .extended
        let round: Int
        let parsed: [Challenge]
        do throws(WebSocketError) {
            round = try self.rounds.challenged(at: self.url, layer: place)
            parsed = try self.challenges(in: response)
        } catch {
            throw self.withResponse(error, response, layer)
        }
        return parsed.map { challenge in
            ChallengeRequest(
                challenge,
                url: self.url,
                originalURL: self.template.url,
                layer: place,
                round: round
            )
        }
    }

    private func challenges(in response: HandshakeResponse) throws(WebSocketError) -> [Challenge] {
        let values = response.fields[values: .wwwAuthenticate]
        do throws(GrammarError) {
            let challenges = try parseChallenges(fieldValues: values)
            if !challenges.isEmpty { return challenges }
        } catch {
            throw WebSocketError(
                .authenticationFailed,
                "The server asks for credentials with a challenge that cannot be read: \(error.message).",
                url: self.url
            )
        }
        // KHP-E19
        throw WebSocketError(
            .authenticationFailed,
            "The server answered 401 without a challenge, so nothing can be answered.",
            url: self.url
        )
    }

    /// The Authorization value for credentials that a handler gave; refused when they were rejected before.
    package mutating func answer(
        _ credentials: Credentials,
        to request: ChallengeRequest,
        response: HandshakeResponse
    ) throws(WebSocketError) -> String {
        let layer: HandshakeLayer = request.layer == .opening ? .opening : .extended
        do throws(WebSocketError) {
            let value = try credentials.authorizationValue()
            try self.rounds.answer(value, at: self.url, layer: request.layer)
            self.challengesAnswered += 1
            if layer == .opening { self.openingAuthorization = (self.url.origin, value) }
            return value
        } catch {
            throw self.withResponse(error, response, layer)
        }
    }

    /// Nobody could answer.
    package func unanswered(_ response: HandshakeResponse, layer: HandshakeLayer, hasHandler: Bool) -> WebSocketError {
        let message =
            hasHandler
            ? "The server asks for credentials, and there are none to give it."
            : "The server asks for credentials, and no challenge handler is set."
        return self.withResponse(WebSocketError(.authenticationFailed, message, url: self.url), response, layer)
    }

    private func withResponse(
        _ error: WebSocketError,
        _ response: HandshakeResponse,
        _ layer: HandshakeLayer
    ) -> WebSocketError {
        var error = error
        error.response = response
        error.phase = layer == .opening ? .opening : .extended
        if error.url == nil { error.url = self.url }
        return error
    }

    /// The error as the caller sees it: a 403 after an answered challenge means that the credentials were refused (D16).
    package func explained(_ error: WebSocketError) -> WebSocketError {
        guard self.challengesAnswered > 0, error.response?.status == 403 else { return error }
        var error = error
        error.code = .authenticationFailed
        error.message = "The server refused the credentials (403)."
        return error
    }
}
