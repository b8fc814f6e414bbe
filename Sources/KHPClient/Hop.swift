// The connect loop's handle of one connection. The connection's handler lives on its event loop; this handle calls it there,
// and reads the steps that it reports.

import KHPProtocol
import KHPWebSocket
import NIOCore

struct Hop: Sendable {
    /// The steps of the connection, in their order; they end when it is gone.
    let steps: AsyncStream<ClientSession.Step>
    /// The right to be in CONNECTING state (R-C1).
    var permit: ConnectPermit
    /// The right to dial for all that wait for a shared connection; given back together with the permit.
    var turn: ConnectPermit?
    /// True for a stream on a connection that was there before.
    var isOnShared = false
    private let place: HopPlace
    /// The connection, which carries the stream where it has some.
    let channel: any Channel

    init(
        _ place: HopPlace,
        on channel: any Channel,
        steps: AsyncStream<ClientSession.Step>,
        permit: ConnectPermit
    ) {
        self.place = place
        self.channel = channel
        self.steps = steps
        self.permit = permit
    }

    /// Gives back the permit to connect, and the turn to dial.
    func giveBack() {
        self.permit.giveBack()
        self.turn?.giveBack()
    }

    /// Sends the answer to a challenge of the extended handshake, on the same WebSocket (KHP-E17).
    func answer(_ answer: ChallengeAnswer, until deadline: NIODeadline) async throws {
        try await self.onEventLoop { handler in
            handler.tell { connection, now in
                connection.answerChallenge(
                    answer.authorization,
                    challenges: answer.count,
                    deadline: deadline,
                    now: now
                )
            }
        }
    }

    /// Sends the opening request once more, after its 401.
    /// - Parameter key: a fresh Sec-WebSocket-Key.
    /// - Returns: `false` when the connection cannot take it any more, and ends.
    func answer(_ replay: OpeningReplay, key: String, until deadline: NIODeadline) async throws -> Bool {
        try await self.onEventLoop { handler in
            handler.tell { connection, now in
                connection.replayOpening(replay, key: key, deadline: deadline, now: now)
            }
        }
    }

    /// Closes the connection. One that is no WebSocket yet just ends.
    func close(_ code: WebSocketCloseCode) async throws {
        try await self.onEventLoop { $0.close(code: code, reason: "") }
        self.endsWithin(.seconds(1))
    }

    /// Bounds the closing handshake: a peer that does not answer our close frame holds neither the descriptor nor the
    /// caller for long. A connection on which others may have streams is left to them.
    func endsWithin(_ patience: TimeAmount) {
        let (place, channel) = (self.place, self.channel)
        channel.eventLoop.execute {
            guard let channel = place.own(of: channel) else { return }
            let limit = channel.eventLoop.scheduleTask(in: patience) { channel.close(promise: nil) }
            // Otherwise all that belongs to the connection would stay that long.
            channel.closeFuture.whenComplete { _ in limit.cancel() }
        }
    }

    /// Ends a connection that is not open yet.
    func abandon() { self.place.abandon(self.channel) }

    private func onEventLoop<Answer: Sendable>(
        _ body: @escaping @Sendable (ConnectionHandler) -> Answer
    ) async throws -> Answer {
        try await self.channel.eventLoop.submit {
            guard let handler = self.place.handler else { throw ChannelError.alreadyClosed }
            return body(handler)
        }.get()
    }
}
