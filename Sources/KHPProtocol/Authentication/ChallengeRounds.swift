/// Keeps a connection attempt from answering challenges for ever (decision D18, threat E10).
package struct ChallengeRounds: Sendable {
    private struct Answer: Hashable {
        var origin: String
        var layer: ChallengeRequest.Layer
        var value: String
    }

    private let limit: Int
    /// How many challenges were answered, over all hops and layers of the attempt.
    package private(set) var count = 0
    /// Sent, and not yet known to be accepted or refused.
    private var pending: Answer?
    private var refused: Set<Answer> = []

    package init(limit: Int = 4) {
        self.limit = limit
    }

    /// A challenge came: what was sent there last was refused. Returns the number of this round, from 1; throws when
    /// there were enough.
    package mutating func challenged(
        at url: WebSocketURL,
        layer: ChallengeRequest.Layer
    ) throws(WebSocketError) -> Int {
        if let pending, pending.origin == url.origin, pending.layer == layer { refused.insert(pending) }
        pending = nil
        guard count < limit else {
            throw failure("The server did not accept any of the \(count) answers to its challenges.", url, layer)
        }
        return count + 1
    }

    /// `authorization` is about to be sent. Throws when it was refused there before: sending it again can only get an
    /// account locked.
    package mutating func answer(
        _ authorization: String,
        at url: WebSocketURL,
        layer: ChallengeRequest.Layer
    ) throws(WebSocketError) {
        let answer = Answer(origin: url.origin, layer: layer, value: authorization)
        guard !refused.contains(answer) else {
            throw failure("The credentials were refused.", url, layer)
        }
        guard count < limit else {
            throw failure("There were more than \(limit) challenges.", url, layer)
        }
        pending = answer
        count += 1
    }

    /// Another answer than a challenge came.
    package mutating func accepted() {
        pending = nil
    }

    private func failure(
        _ message: String,
        _ url: WebSocketURL,
        _ layer: ChallengeRequest.Layer
    ) -> WebSocketError {
        switch layer {
        case .opening: WebSocketError(.authenticationFailed, message, url: url, phase: .opening)
        case .extended: WebSocketError(.authenticationFailed, message, url: url, phase: .extended)
        case .proxy: WebSocketError(.proxyAuthenticationRequired, message, url: url, phase: .connect)
        }
    }
}

extension ChallengeRounds: CustomReflectable, CustomStringConvertible {
    package var description: String { "\(count) of \(limit) rounds" }

    package var customMirror: Mirror { Mirror(self, children: ["rounds": description]) }
}
