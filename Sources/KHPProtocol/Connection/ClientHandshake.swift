// A client's two handshakes, from the first byte to the open socket. A class, since an open connection has no use for so
// much: it is freed when the socket opens, or when the hop ends otherwise.
//
//   connecting ── transport and TLS are up ──▶ opening ── 101 ──▶ the socket opens
//                                               ▲  │ └─ 101 with x-kaazing-handshake ──▶ extended ──▶ the socket opens
//                                        replay │  │ 401
//                                              challenged
//
// States × events, beside the failure, the deadline and the end of the stream, which end each of them:
//               bytes                          the shell's answer to a challenge
//   connecting  our own bug: none can come     left alone
//   opening     the response, piece by piece   left alone
//   challenged  spoil the connection           the request once more: opening; on a spoiled connection the end
//   extended    messages of ``ExtendedClient``  to ``ExtendedClient`` where it is challenged; else left alone
//
// An answer that nobody waits for is left alone: it may come late, when the connection has gone on by itself, and one
// that was never asked for looks the same.

import NIOCore

final class ClientHandshake {
    enum State {
        /// The transport, or TLS over it, is not up yet.
        case connecting(Opening)
        /// The opening request is out.
        case opening(Opening)
        /// Its answer was a 401, and the shell looks for credentials. No time passes.
        case challenged(Challenged)
        /// Frames are spoken, and the extended handshake in them.
        case extended(Extended)
    }

    /// The opening request and the response to it.
    final class Opening {
        var machine: OpeningClient
        /// The 401 that this request replays on the same connection.
        let challenge: HandshakeResponse?
        /// True once the wait for the content of the response is bounded (D28).
        var isContentBounded = false

        init(_ machine: OpeningClient, replayOf challenge: HandshakeResponse? = nil) {
            self.machine = machine
            self.challenge = challenge
        }
    }

    /// The 401 of the opening, while the shell looks for credentials.
    final class Challenged {
        let response: HandshakeResponse
        /// True when bytes have come after the 401 without a request: then no request follows on this connection.
        var hasUnexpectedBytes = false

        init(_ response: HandshakeResponse) { self.response = response }
    }

    /// The extended handshake, and the values of the opening that its end needs.
    final class Extended {
        var machine: ExtendedClient
        /// The 101 of the opening.
        let opened: OpeningResult
        /// The check of the server's proof in the answer to the last request (RFC 7616 section 3.5); `nil` without Digest.
        var proof: DigestProof?

        init(_ machine: ExtendedClient, opened: OpeningResult, proof: DigestProof?) {
            self.machine = machine
            self.opened = opened
            self.proof = proof
        }
    }

    private(set) var state: State { didSet { self.transitions &+= 1 } }
    /// Counts the changes of ``state``.
    private(set) var transitions = 0
    /// The plan of the hop. Its credentials, cookies and count of challenges change from request to request.
    private(set) var plan: ClientPlan
    /// The end of the wait for the transport, TLS or the response.
    private var answerDeadline: NIODeadline?
    /// The end of the whole connect; `nil` while the shell looks for credentials.
    private(set) var connectDeadline: NIODeadline?

    init(_ prepared: PreparedClient, limits: Limits, connectDeadline: NIODeadline?) {
        self.plan = prepared.plan
        self.state = .connecting(Opening(OpeningClient(prepared.opening, limits: limits)))
        self.connectDeadline = connectDeadline
    }

    private init(copying other: ClientHandshake) {
        self.plan = other.plan
        self.answerDeadline = other.answerDeadline
        self.connectDeadline = other.connectDeadline
        switch other.state {
        case .connecting(let opening): self.state = .connecting(opening.copy())
        case .opening(let opening): self.state = .opening(opening.copy())
        case .challenged(let challenged): self.state = .challenged(challenged.copy())
        case .extended(let extended): self.state = .extended(extended.copy())
        }
    }

    /// A copy that shares no state with this one, for ``Connection/copy()``.
    func copy() -> ClientHandshake { ClientHandshake(copying: self) }

    // MARK: States

    /// True before the opening request is out.
    var isConnecting: Bool { if case .connecting = self.state { true } else { false } }

    /// True from the first byte of an answer on.
    func isAnswered(hasUnreadBytes: Bool) -> Bool {
        switch self.state {
        case .connecting: false
        case .opening(let opening):
            hasUnreadBytes || opening.challenge != nil || !opening.machine.hasHeardNothing
        case .challenged, .extended: true
        }
    }

    /// The earliest time limit of the current state; `nil` while none runs.
    var deadline: NIODeadline? {
        let own: NIODeadline? =
            switch self.state {
            case .connecting, .opening: self.answerDeadline
            case .challenged: nil
            case .extended(let extended): extended.machine.deadline
            }
        guard let own, let connectDeadline else { return own ?? self.connectDeadline }
        return min(own, connectDeadline)
    }

    /// True when the wait for the transport, TLS or the response has taken too long.
    func isAnswerLate(_ now: NIODeadline) -> Bool { self.answerDeadline.map { $0 <= now } ?? false }

    // MARK: Transitions

    /// TCP is up: bounds the wait for TLS.
    func transportUp(until deadline: NIODeadline) {
        guard self.isConnecting, self.answerDeadline == nil else { return }
        self.answerDeadline = deadline
    }

    /// The transport takes bytes: the request goes out.
    /// - Returns: the opening; `nil` where it had begun before.
    func start(until deadline: NIODeadline) -> Opening? {
        guard case .connecting(let opening) = self.state else { return nil }
        self.answerDeadline = deadline
        self.state = .opening(opening)
        return opening
    }

    /// D28: the wait for the content of a refusal begins with its head.
    func boundContent(of opening: Opening, until bound: NIODeadline) {
        guard !opening.isContentBounded, opening.machine.awaitsContent else { return }
        opening.isContentBounded = true
        self.answerDeadline = self.answerDeadline.map { min($0, bound) } ?? bound
    }

    /// A 401 on a connection that can carry the replay. No time passes while the shell looks for credentials.
    func challenge(_ response: HandshakeResponse) {
        self.answerDeadline = nil
        self.connectDeadline = nil
        self.state = .challenged(Challenged(response))
    }

    /// The request once more, with an answer to its 401.
    /// - Returns: the opening; `nil` where no request can be made of it.
    func replay(
        _ replay: OpeningReplay,
        of challenged: Challenged,
        key: String,
        limits: Limits,
        connectDeadline: NIODeadline,
        answerDeadline: NIODeadline
    ) -> Opening? {
        self.plan.authorization = replay.authorization
        self.plan.extended.authorization = replay.extended
        self.plan.cookies = replay.cookies
        guard !challenged.hasUnexpectedBytes, let request = try? self.plan.opening(key: key) else { return nil }
        self.plan.challenges = replay.challenges
        self.connectDeadline = connectDeadline
        self.answerDeadline = answerDeadline
        let opening = Opening(OpeningClient(request, limits: limits), replayOf: challenged.response)
        self.state = .opening(opening)
        return opening
    }

    /// x-kaazing-handshake was chosen.
    func extend(_ machine: ExtendedClient, opened: OpeningResult) {
        self.answerDeadline = nil
        self.state = .extended(Extended(machine, opened: opened, proof: self.plan.extended.authorization?.proof))
    }

    /// A 401 in the extended handshake. No time passes while the shell looks for credentials.
    func challengeInside() { self.connectDeadline = nil }

    /// Makes the replay of the extended request.
    /// - Returns: the request; `nil`, with nothing done, while no challenge waits for credentials.
    func replay(
        _ authorization: RequestAuthorization,
        in extended: Extended,
        challenges: Int,
        connectDeadline: NIODeadline,
        now: NIODeadline
    ) -> ByteBuffer? {
        guard let request = extended.machine.authorize(authorization.value, now: now) else { return nil }
        extended.proof = authorization.proof
        self.plan.challenges = challenges
        self.connectDeadline = connectDeadline
        return request
    }
}

extension ClientHandshake.Opening {
    fileprivate func copy() -> ClientHandshake.Opening {
        let copy = ClientHandshake.Opening(self.machine, replayOf: self.challenge)
        copy.isContentBounded = self.isContentBounded
        return copy
    }
}

extension ClientHandshake.Challenged {
    fileprivate func copy() -> ClientHandshake.Challenged {
        let copy = ClientHandshake.Challenged(self.response)
        copy.hasUnexpectedBytes = self.hasUnexpectedBytes
        return copy
    }
}

extension ClientHandshake.Extended {
    fileprivate func copy() -> ClientHandshake.Extended {
        ClientHandshake.Extended(self.machine, opened: self.opened, proof: self.proof)
    }
}

/// The URL of a client's connection, which errors name. Shared, since it outlives the handshakes and is not small.
final class ConnectedURL: Sendable {
    let url: WebSocketURL

    init(_ url: WebSocketURL) { self.url = url }
}
