// The course of one hop: what its connection told until it was gone, and where the connect goes from there. Sans-I/O: the
// product and the transcripts decide alike whether an answer goes out on this connection or on a fresh one.

package struct HopCourse: Sendable {
    /// Where a connect goes from a hop that opened no socket.
    package enum End: Sendable {
        /// To the same URL on a fresh connection, with the answer that this one could not take, where there is one.
        case again(carrying: ChallengeAnswer?)
        /// To the same URL on a fresh connection, once this challenge is answered.
        case challenged(HandshakeResponse, HandshakeLayer)
        /// Where this response leads.
        case redirected(HopOutcome)
    }

    private var outcome: HopOutcome?
    private var failure: WebSocketError?
    /// The answer to a challenge of the opening handshake, until the connection has taken it.
    private var unsent: ChallengeAnswer?

    package init() {}

    /// True once the end of the hop is known, whatever its connection says from now on.
    package var isDecided: Bool { self.failure != nil || self.unsent != nil || self.outcome != nil }

    /// The connection ended with a response that another hop may answer.
    package mutating func ended(_ outcome: HopOutcome) {
        self.outcome = outcome
    }

    /// The hop has failed. The first failure counts: the others follow from it.
    package mutating func failed(_ error: WebSocketError) {
        self.failure = self.failure ?? error
    }

    /// There is an answer to the 401 of the opening handshake; it goes out on a fresh connection unless this one takes it.
    package mutating func holds(_ answer: ChallengeAnswer) {
        self.unsent = answer
    }

    /// The connection has taken the answer.
    package mutating func sent() {
        self.unsent = nil
    }

    /// The connection is gone.
    /// - Throws: why the connect fails.
    package func end(at url: WebSocketURL) throws(WebSocketError) -> End {
        if let failure { throw failure }
        if let unsent { return .again(carrying: unsent) }
        guard let outcome else {
            throw WebSocketError(
                .closedDuringHandshake,
                "The connection ended before the handshake was complete.",
                url: url
            )
        }
        switch outcome.kind {
        case .challenge: return .challenged(outcome.response, outcome.layer)
        // The request goes out as any fresh one does, with the login that its place has asked for.
        case .replayLost: return .again(carrying: nil)
        case .choose, .redirect, .balancer, .upgrade: return .redirected(outcome)
        }
    }
}
