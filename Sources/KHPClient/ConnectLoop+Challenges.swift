// The answers of a connect to challenges of its servers (401) and of its proxies (407). A proxy's credentials are bound to it
// and go nowhere else (threats G8, G11).

import KHPProtocol
import Logging
import NIOCore

extension ConnectLoop {
    /// Gets the answer to a 401 of this hop, from the known login or from the handler.
    mutating func answer(_ response: HandshakeResponse, in layer: HandshakeLayer) async throws -> ChallengeAnswer {
        let handler = self.configuration.authentication.challengeHandler
        let dialogue = self.attempt.dialogue(
            about: response,
            in: layer,
            hasHandler: handler != nil,
            patience: self.configuration.timeouts.challenge,
            now: .now()
        )
        let answer = try await self.lead(dialogue, with: handler)
        self.warnWithoutTLS(answer.authorization.value)
        return answer
    }

    /// Gets the answer to a 407: from the credentials that the proxy was given with, then from the handler.
    mutating func answer(_ response: HandshakeResponse, of proxy: Proxy) async throws -> ChallengeAnswer {
        let handler: (any ChallengeHandler)? =
            proxy.hasCredentials
            ? OwnCredentials(proxy: proxy, next: self.configuration.authentication.challengeHandler)
            : self.configuration.authentication.challengeHandler
        let dialogue = self.attempt.dialogue(
            about: response,
            of: proxy,
            hasHandler: handler != nil,
            patience: self.configuration.timeouts.challenge,
            now: .now()
        )
        return try await self.lead(dialogue, with: handler)
    }

    /// Leads a dialogue to its end. The connect stands still meanwhile: its deadline moves by the time that an answer
    /// took.
    private mutating func lead(
        _ dialogue: ChallengeDialogue,
        with handler: (any ChallengeHandler)?
    ) async throws -> ChallengeAnswer {
        var dialogue = dialogue
        let began = NIODeadline.now()
        let question = CallerQuestion(
            deadline: dialogue.deadline,
            eventLoop: self.eventLoop,
            hooks: self.configuration.hooks
        )
        var step = dialogue.begin(&self.attempt.authenticator, clientNonce: Self.makeNonce())
        while true {
            switch step {
            case .ask(let request):
                do {
                    let credentials = try await question.ask { await handler?.respond(to: request) }
                    step = dialogue.take(credentials, &self.attempt.authenticator, clientNonce: Self.makeNonce())
                } catch is CallerQuestion.Unanswered {
                    step = dialogue.timeReached()
                }
            case .send(let answer):
                self.observe(answer.request)
                self.deadline = self.deadline + (NIODeadline.now() - began)
                return answer
            case .giveUp(let error, let request):
                self.observe(request)
                throw error
            }
        }
    }

    /// Reports one challenge of a response to observers: the one that is answered, or the first where none is.
    private func observe(_ request: ChallengeRequest?) {
        guard let request else { return }
        self.observe(
            .challenge(scheme: request.scheme, realm: request.realm, layer: request.layer, round: request.round)
        )
    }

    /// The value that a fresh request to the proxy sends, where the proxy has asked before in this connect. Advances the
    /// Digest nonce count.
    mutating func authorization(for proxy: Proxy) -> String? {
        guard proxy.kind == .http || proxy.kind == .https else { return nil }
        // The credentials that one user has proved are not another's, at the same proxy either (threat F14).
        let before = self.proxies.updateValue(proxy, forKey: proxy.authority)
        guard before == nil || before == proxy else { return nil }
        return self.attempt.authorization(for: proxy, clientNonce: Self.makeNonce())
    }

    // MARK: Warnings

    /// D21: credentials that can be read on the way are sent, with one warning.
    mutating func warnWithoutTLS(_ authorization: String) {
        guard !self.attempt.url.isSecure, !self.hasWarned, !authorization.hasPrefix("Digest ") else { return }
        self.hasWarned = true
        self.configuration.logger?.warning(
            "credentials are sent without TLS and can be read on the way",
            metadata: ["origin": "\(self.attempt.url.origin)"]
        )
    }

    mutating func warnWithoutTLS(_ plan: ClientPlan) {
        if let value = (plan.authorization ?? plan.extended.authorization)?.value { self.warnWithoutTLS(value) }
    }
}

/// The credentials that belong to a proxy, and the handler to ask when they were refused.
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
        // Without another handler the answer is the refused credentials: the caller does not send them again, and reports
        // the refusal.
        return await self.next?.respond(to: request) ?? own
    }
}
