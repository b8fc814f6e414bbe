// What a hop does when it is challenged: asks the handler within bounds, and lets the connection go on with the answer.

import KHPProtocol
import KHPTransport
import Logging
import NIOCore

extension ConnectLoop {
    mutating func answer(
        _ response: HandshakeResponse,
        layer: HandshakeLayer,
        channel: (any Channel)?
    ) async throws {
        let began = NIODeadline.now()
        let requests = try self.attempt.challenged(by: response, layer: layer)
        guard let handler = self.configuration.challengeHandler else {
            self.observe(requests.first)
            throw self.attempt.unanswered(response, layer: layer, hasHandler: false)
        }
        for request in requests {
            guard let credentials = try await self.ask(handler, request) else { continue }
            self.observe(request)
            let authorization = try self.attempt.answer(credentials, to: request, response: response)
            if !self.attempt.url.isSecure, request.scheme.lowercased() == "basic", !self.hasWarned {
                self.hasWarned = true  // D21
                self.configuration.logger?.warning(
                    "credentials are sent without TLS and can be read on the way",
                    metadata: ["origin": "\(self.attempt.url.origin)"]
                )
            }
            // The whole connect stands still while a person is asked.
            let paused = NIODeadline.now() - began
            self.deadline = self.deadline + paused
            let deadline = self.deadline
            if let channel {
                try await channel.pipeline.handler(type: ConnectionHandler.self).map { handler in
                    handler.connection.answerChallenge(authorization, deadline: deadline, now: .now())
                    handler.proceed()
                }.get()
            }
            return
        }
        self.observe(requests.first)
        throw self.attempt.unanswered(response, layer: layer, hasHandler: true)
    }

    /// Tells of a challenge once: of the one that is answered, or of the first where none is.
    func observe(_ request: ChallengeRequest?) {
        guard let request else { return }
        self.observe(
            .challenge(scheme: request.scheme, realm: request.realm, layer: request.layer, round: request.round)
        )
    }

    /// Asks a handler, bounded (threat E12).
    func ask(_ handler: any ChallengeHandler, _ request: ChallengeRequest) async throws -> Credentials? {
        let limit = self.configuration.timeouts.challenge
        // A handler that does not come back, whatever it waits for, must not hold the caller.
        let answer = self.eventLoop.makePromise(of: Credentials?.self)
        let task = answer.completeWithTask { await handler.respond(to: request) }
        let timer = self.eventLoop.scheduleTask(in: TimeAmount(limit)) {
            answer.fail(WebSocketError(.timeout, "The challenge was not answered within \(limit.words)."))
        }
        defer {
            timer.cancel()
            task.cancel()
        }
        return try await withTaskCancellationHandler {
            try await answer.futureResult.get()
        } onCancel: {
            answer.fail(CancellationError())
        }
    }
}
