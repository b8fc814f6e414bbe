// What a hop does when it is challenged: asks the handler within bounds, and lets the connection go on with the answer.

import KHPProtocol
import KHPWebSocket
import Logging
import NIOCore

extension ConnectLoop {
    /// Fresh randomness for Digest.
    static func makeNonce() -> String {
        var generator = SystemRandomNumberGenerator()
        return AcceptKey.makeKey(using: &generator)
    }

    /// Gets an answer to a 401 of this hop; the attempt keeps it until it is sent.
    mutating func answer(_ response: HandshakeResponse, layer: HandshakeLayer) async throws {
        _ = try await self.authorization(
            answering: response,
            at: self.attempt.place(layer),
            target: self.attempt.target(layer),
            handler: self.configuration.challengeHandler
        )
    }

    /// The value of Authorization or Proxy-Authorization that answers a 401 or 407: from what is known, or from the
    /// handler. The whole connect stands still while that works: its deadline is moved here.
    /// - Parameters:
    ///   - target: the request that will carry it.
    ///   - handler: whom to ask.
    mutating func authorization(
        answering response: HandshakeResponse,
        at place: Authenticator.Place,
        target: Authenticator.Target,
        handler: (any ChallengeHandler)?
    ) async throws -> String {
        let began = NIODeadline.now()
        let challenged = try self.attempt.challenged(
            by: response,
            at: place,
            target: target,
            clientNonce: Self.makeNonce()
        )
        let requests: [ChallengeRequest]
        switch challenged {
        case .answer(let value, let request):
            self.observe(request)
            return value
        case .ask(let asked):
            requests = asked
        }
        guard let handler else {
            self.observe(requests.first)
            throw self.attempt.unanswered(response, requests, at: place, hasHandler: false)
        }
        var wasRefused = false
        let until = began + TimeAmount(self.configuration.timeouts.challenge)
        for request in requests {
            guard let credentials = try await self.ask(handler, request, until: until) else { continue }
            if self.attempt.authenticator.isRefused(credentials, at: place) {
                // Another challenge may still have an answer.
                wasRefused = true
                continue
            }
            self.observe(request)
            let value = try self.attempt.answer(
                credentials,
                to: request,
                at: place,
                target: target,
                response: response,
                clientNonce: Self.makeNonce()
            )
            if request.layer != .proxy { self.warnWithoutTLS(value) }
            self.deadline = self.deadline + (NIODeadline.now() - began)
            return value
        }
        self.observe(requests.first)
        throw self.attempt.unanswered(response, requests, at: place, hasHandler: true, wasRefused: wasRefused)
    }

    /// Sends the answer to a challenge of the extended handshake, on the same WebSocket (KHP-E17).
    mutating func replayExtended(on channel: any Channel) async throws {
        guard let authorization = self.attempt.takePrepared(.extended) else { return }
        let deadline = self.deadline
        try await channel.pipeline.handler(type: ConnectionHandler.self).map { handler in
            handler.connection.answerChallenge(authorization, deadline: deadline, now: .now())
            handler.proceed()
        }.get()
    }

    /// Sends the answer to a challenge of the opening handshake, on the same connection.
    /// - Returns: `false` when that cannot take it any more; then the answer waits for a fresh one.
    mutating func replayOpening(on channel: any Channel) async throws -> Bool {
        var sent = self.attempt
        guard let authorization = sent.takePrepared(.opening) else { return false }
        let extended = sent.authorization(.extended, clientNonce: Self.makeNonce())
        // The 401 may have changed them (D44).
        var plan = ClientPlan(url: self.attempt.url)
        self.addCookies(to: &plan)
        let cookies = plan.cookies
        let deadline = self.deadline
        let key = Self.makeNonce()
        let isSent = try await channel.pipeline.handler(type: ConnectionHandler.self).map { handler in
            let isSent = handler.connection.replayOpening(
                authorization,
                extended: extended,
                cookies: cookies,
                key: key,
                deadline: deadline,
                now: .now()
            )
            handler.proceed()
            return isSent
        }.get()
        if isSent { self.attempt = sent }
        return isSent
    }

    /// The right to be in CONNECTING state once more (R-C1).
    func permit(after permit: ConnectPermit) async throws -> ConnectPermit {
        if let permit = await permit.again(until: self.deadline, on: self.eventLoop) { return permit }
        try Task.checkCancellation()
        throw self.notComplete()
    }

    /// D21: what can be read on the way is sent, with one warning.
    mutating func warnWithoutTLS(_ authorization: String) {
        guard !self.attempt.url.isSecure, !self.hasWarned, !authorization.hasPrefix("Digest ") else { return }
        self.hasWarned = true
        self.configuration.logger?.warning(
            "credentials are sent without TLS and can be read on the way",
            metadata: ["origin": "\(self.attempt.url.origin)"]
        )
    }

    mutating func warnWithoutTLS(_ plan: ClientPlan) {
        if let value = (plan.authorization ?? plan.extendedAuthorization)?.value { self.warnWithoutTLS(value) }
    }

    /// Tells of a challenge once: of the one that is answered, or of the first where none is.
    func observe(_ request: ChallengeRequest?) {
        guard let request else { return }
        self.observe(
            .challenge(scheme: request.scheme, realm: request.realm, layer: request.layer, round: request.round)
        )
    }

    /// Asks a handler, bounded (threat E12): however many challenges one answer of a server holds, they share the time.
    private func ask(
        _ handler: any ChallengeHandler,
        _ request: ChallengeRequest,
        until: NIODeadline
    ) async throws -> Credentials? {
        let limit = self.configuration.timeouts.challenge
        let late = WebSocketError(.timeout, "The challenge was not answered within \(limit.words).")
        return try await self.answer(until: until, else: late) { await handler.respond(to: request) }
    }
}
