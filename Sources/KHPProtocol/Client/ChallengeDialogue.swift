// The dialogue about one challenge, from the 401 or 407 to the request that answers it: which question the caller's
// handler gets next, what is sent, when the connect gives up. Sans-I/O: the shell asks the handler, makes randomness and
// keeps the time, so that the product and the transcripts decide alike.
//
// States × events:
//             begin                                 credentials                                 time over
//   new       only the nonce was old → send;        assertion; give up                          give up, timeout
//             a handler is set → ask the first;
//             else give up
//   asking    assertion; give up                    none, or refused before → ask the next,     give up, timeout
//                                                   behind the last one give up;
//                                                   else → send
//   over      assertion; give up                    assertion; give up                          give up, timeout
//
// - our own bug: a second `begin`, or credentials that nobody asked for;
// - the API user's: `invalidArgument`, such as credentials of another scheme than was asked for;
// - the peer's violation: challenges of which none can be answered, or more of them than the limit.

package import NIOCore

package struct ChallengeDialogue: Sendable {
    package enum Step: Sendable {
        /// Ask the handler about this challenge until ``ChallengeDialogue/deadline``, and pass on what it gives.
        case ask(ChallengeRequest)
        /// Send this.
        case send(ChallengeAnswer)
        /// The connect fails, over this challenge where there was one that can be named.
        case giveUp(WebSocketError, over: ChallengeRequest?)
    }

    private enum State: Sendable {
        case new
        /// The first of these is with the handler.
        case asking(ArraySlice<ChallengeRequest>)
        case over
    }

    /// Where a challenge was met: who asks, and for which request.
    struct Position: Sendable {
        let place: Authenticator.Challenger
        let target: Authenticator.Target
        let url: WebSocketURL
        let originalURL: WebSocketURL
    }

    /// Until when the handler has to give an answer: all the challenges of one response share the time (threat E12).
    package let deadline: NIODeadline
    private let patience: Duration
    private let response: HandshakeResponse
    private let position: Position
    private let hasHandler: Bool
    private var state = State.new
    private var requests: [ChallengeRequest] = []
    /// True once the handler has given credentials that were refused there before: another challenge may still have an
    /// answer.
    private var wasRefused = false

    /// - Parameters:
    ///   - hasHandler: `true` when there is a handler to ask.
    ///   - patience: how long the handler may take for all its answers.
    init(
        about response: HandshakeResponse,
        at position: Position,
        hasHandler: Bool,
        patience: Duration,
        now: NIODeadline
    ) {
        self.response = response
        self.position = position
        self.hasHandler = hasHandler
        self.patience = patience
        self.deadline = now + TimeAmount(patience)
    }

    /// The first step.
    /// - Parameter clientNonce: fresh randomness.
    package mutating func begin(_ authenticator: inout Authenticator, clientNonce: String) -> Step {
        guard case .new = self.state else { return self.misused() }
        do throws(WebSocketError) {
            let challenged = try authenticator.challenged(
                by: self.response,
                at: self.position.place,
                url: self.position.url,
                originalURL: self.position.originalURL,
                target: self.position.target,
                clientNonce: clientNonce
            )
            switch challenged {
            case .answer(let value, let request):
                return self.send(value, for: request, authenticator)
            case .ask(let requests):
                self.requests = requests
                return self.hasHandler ? self.ask(requests[...]) : self.unanswered()
            }
        } catch {
            return self.giveUp(error, over: nil)
        }
    }

    /// Takes the credentials that the handler gave for the challenge of the last step; `nil` where it has none.
    /// - Parameter clientNonce: fresh randomness.
    package mutating func take(
        _ credentials: Credentials?,
        _ authenticator: inout Authenticator,
        clientNonce: String
    ) -> Step {
        guard case .asking(let asked) = self.state, let request = asked.first else { return self.misused() }
        guard let credentials else { return self.ask(asked.dropFirst()) }
        guard !authenticator.isRefused(credentials, at: self.position.place) else {
            self.wasRefused = true
            return self.ask(asked.dropFirst())
        }
        do throws(WebSocketError) {
            let value = try authenticator.answer(
                credentials,
                to: request,
                at: self.position.place,
                target: self.position.target,
                clientNonce: clientNonce
            )
            return self.send(value, for: request, authenticator)
        } catch {
            return self.giveUp(error, over: request)
        }
    }

    /// The handler did not answer by ``deadline``.
    package mutating func timeReached() -> Step {
        let error = WebSocketError(
            .timeout,
            "The challenge was not answered within \(self.patience.words).",
            url: self.position.url,
            phase: self.position.place.phase
        )
        self.state = .over
        return .giveUp(error, over: self.requests.first)
    }

    /// The code with which a WebSocket closes on which a challenge stays without an answer (KHP-E17, D15).
    package static func closeCode(after error: WebSocketError) -> WebSocketCloseCode {
        error.code == .timeout ? .policyViolation : .normalClosure
    }

    private mutating func ask(_ requests: ArraySlice<ChallengeRequest>) -> Step {
        guard let request = requests.first else { return self.unanswered() }
        self.state = .asking(requests)
        return .ask(request)
    }

    private mutating func send(
        _ value: String,
        for request: ChallengeRequest,
        _ authenticator: Authenticator
    ) -> Step {
        self.state = .over
        let place = self.position.place
        return .send(
            ChallengeAnswer(
                request: request,
                place: place,
                authorization: RequestAuthorization(value, proof: authenticator.proof(at: place)),
                count: authenticator.count
            )
        )
    }

    /// Nobody could answer, or only with what was refused already.
    private mutating func unanswered() -> Step {
        let party = self.position.place.party
        let asksFor = "The \(party) asks for \(self.schemes)credentials, and"
        let message =
            if self.wasRefused {
                "The \(party) refused the credentials."
            } else if self.hasHandler {
                "\(asksFor) there are none to give it."
            } else {
                "\(asksFor) no challenge handler is set."
            }
        let error = Authenticator.failure(
            message,
            self.wasRefused ? .credentialsRefused : .noCredentials,
            at: self.position.place,
            self.position.url
        )
        return self.giveUp(error, over: self.requests.first)
    }

    /// The schemes of the challenges, for a sentence: a few of them, as they may be of any number and length.
    private var schemes: String {
        var names: [String] = []
        for request in self.requests where names.count < 4 && request.scheme.utf8.count <= 32 {
            if !names.contains(request.scheme) { names.append(request.scheme) }
        }
        return names.isEmpty ? "" : names.joined(separator: " or ") + " "
    }

    private mutating func giveUp(_ error: WebSocketError, over request: ChallengeRequest?) -> Step {
        self.state = .over
        var error = error
        error.response = self.response
        error.phase = self.position.place.phase
        if error.url == nil { error.url = self.position.url }
        return .giveUp(error, over: request)
    }

    /// A fault of ours: the connect fails as if nobody had an answer.
    private mutating func misused() -> Step {
        assertionFailure("a step of a dialogue that does not come next")
        return self.unanswered()
    }
}

/// The answer to a challenge, to be sent once: on the same connection, or with the first request on a fresh one.
package struct ChallengeAnswer: Sendable {
    /// The challenge that it answers.
    package let request: ChallengeRequest
    /// The place that it is for; it goes nowhere else (threats G8, G9).
    let place: Authenticator.Challenger
    package let authorization: RequestAuthorization
    /// How many challenges the connect has answered with this one.
    package let count: Int
}
