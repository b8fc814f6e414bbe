// Whether a request may come in: what the endpoint asks for, what the request brings, and how often its address guessed.

import HTTPTypes
import KHPProtocol
import KHPTransport
import Logging
import NIOCore

/// Somebody who may come in; without a name where the endpoint asks for none.
struct Principal: Sendable {
    var name: String?
    /// For the answer to this very request.
    var confirmation: DigestConfirmation?
}

/// The decision about one request.
struct Admission: Sendable {
    enum Outcome: Sendable {
        case admitted(Principal)
        case refused(HandshakeAnswer)
    }

    private let gate: AuthenticationGate?
    private let server: ServerState
    /// `nil` for peers without one, such as those of a Unix domain socket.
    private let address: AddressKey?
    private let peer: SocketAddress?

    init(_ endpoint: ServedEndpoint, asks: Bool, _ server: ServerState, _ peer: SocketAddress?) {
        self.gate = asks ? endpoint.authentication?.gate : nil
        self.server = server
        self.peer = peer
        self.address = AddressKey(peer)
    }

    func decide(_ request: HandshakeRequest) async -> Outcome {
        guard let gate else { return .admitted(Principal()) }
        // Before anything is computed: neither guessing nor the hashes that it costs go on (threat G13).
        if let address, let wait = self.server.wait(address) { return .refused(Self.tooManyWrongAnswers(wait)) }
        let credentials = request.presented
        let verdict = await gate.judge(credentials)
        switch verdict {
        case .right(let name, let confirmation):
            // Credentials of the opening that count inside are confirmed nowhere: the answer to them has gone out.
            let isOwn = request.extendedRequest.map { $0.head.fields.first("Authorization") != nil } ?? true
            return .admitted(Principal(name: name, confirmation: isOwn ? confirmation : nil))
        case .wrong:
            self.wrong()
        case .stale, .absent:
            break
        }
        var fields = HTTPFields()
        fields[values: .wwwAuthenticate] = gate.challenges(after: verdict)
        var answer = HandshakeAnswer(status: 401, fields: fields)
        answer.isStale = verdict.isStale
        return .refused(answer)
    }

    private func wrong() {
        let isTooMany = self.address.map { self.server.wrongAnswer(from: $0) } ?? false
        self.server.log(
            isTooMany ? .notice : .info,
            isTooMany ? "too many wrong answers from one address" : "wrong credentials",
            ["peer": "\(self.peer?.peerName ?? "")"]
        )
    }

    private static func tooManyWrongAnswers(_ wait: TimeAmount) -> HandshakeAnswer {
        let seconds = max(1, (wait.nanoseconds + 999_999_999) / 1_000_000_000)
        let refusal = Refusal(
            403,
            "Too many wrong answers came from this address.",
            fields: [.retryAfter: String(seconds)]
        )
        return HandshakeAnswer(status: 403, fields: refusal.answer.fields, entity: refusal.answer.entity)
    }
}
