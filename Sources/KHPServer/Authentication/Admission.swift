// The admission of a request, from the endpoint's schemes, the request's credentials and the wrong answers of its
// address.

import HTTPTypes
import KHPProtocol
import KHPWebSocket
import Logging
import NIOCore

/// An admitted client; without a principal where the endpoint asks for none.
struct Admitted: Sendable {
    var principal: Principal?
    /// The end of its proof on the clock of the event loops.
    var sessionEnd: NIODeadline?
    /// The confirmation of Digest for the answer to this request.
    var confirmation: DigestConfirmation?
}

/// The decision about one request.
struct Admission: Sendable {
    enum Outcome: Sendable {
        case admitted(Admitted)
        case refused(HandshakeResponse)
    }

    private let gate: AuthenticationGate?
    private let server: ServerState
    /// `nil` for peers without one, such as those of a Unix domain socket.
    private let address: AddressKey?
    private let client: SocketAddress?

    /// - Parameters:
    ///   - gate: checks the credentials; `nil` admits everyone.
    ///   - client: the address that wrong answers are counted by.
    init(_ gate: AuthenticationGate?, _ server: ServerState, _ client: SocketAddress?) {
        self.gate = gate
        self.server = server
        self.client = client
        self.address = AddressKey(client)
    }

    /// Decides about one request. Waits for its turn among the checks of its address.
    /// - Parameters:
    ///   - request: the request, for proofs other than credentials; `nil` where it can hold none.
    ///   - confirms: `true` where the response can hold the confirmation of Digest.
    func decide(_ credentials: PresentedCredentials?, of request: HandshakeRequest?, confirms: Bool) async -> Outcome {
        guard let gate else { return .admitted(Admitted()) }
        let verdict: AuthenticationGate.Verdict
        if credentials != nil || gate.looksAtRequests {
            // Counted before anything is computed: the limit holds for guesses and for the hashes that they cost, however
            // many requests come at once.
            switch await self.server.attempts.begin(self.address) {
            case .refused(let wait):
                gate.tell(.blocked, credentials, self.client)
                return .refused(Self.tooManyWrongAnswers(wait))
            case .givenUp:
                return .refused(HandshakeResponse(status: 503))
            case .turnedAway:
                gate.tell(.overloaded, credentials, self.client)
                return .refused(Self.tooManyChecks)
            case .granted(let attempt):
                verdict = await gate.judge(credentials, of: request)
                let isRefused = self.server.attempts.end(attempt, isWrong: verdict.isWrong)
                if verdict.isWrong { self.logWrong(isTooMany: isRefused) }
                gate.tell(verdict, self.client)
            }
        } else {
            if let wait = self.server.attempts.refusal(self.address) {
                gate.tell(.blocked, nil, self.client)
                return .refused(Self.tooManyWrongAnswers(wait))
            }
            verdict = .absent
        }
        if case .right(let principal, _, let confirmation) = verdict {
            let end = principal.expires.map { NIODeadline.now() + TimeOfDay.untilSecond($0) }
            let admitted = Admitted(
                principal: principal,
                sessionEnd: end,
                confirmation: confirms ? confirmation : nil
            )
            return .admitted(admitted)
        }
        let challenges = gate.challenges(after: verdict)
        // RFC 9110 section 15.5.2: no 401 without a challenge.
        if challenges.isEmpty {
            return .refused(Refusal(403, "A proof of who you are is needed here.").response)
        }
        var fields = HTTPFields()
        fields[values: .wwwAuthenticate] = challenges
        var answer = HandshakeResponse(status: 401, headers: fields)
        answer.isStale = verdict.isStale
        return .refused(answer)
    }

    private static var tooManyChecks: HandshakeResponse {
        Refusal(
            503,
            "Too many clients prove at once who they are. Try again in a moment.",
            // Not all at the same moment (RFC 9110 section 10.2.3).
            fields: [.retryAfter: String(Int.random(in: 1...5))]
        ).response
    }

    private func logWrong(isTooMany: Bool) {
        self.server.log(
            isTooMany ? .notice : .info,
            isTooMany ? "too many wrong answers from one address" : "wrong credentials",
            ["peer": "\(self.client.map { $0.port == 0 ? $0.ipAddress ?? "" : $0.peerName } ?? "")"]
        )
    }

    private static func tooManyWrongAnswers(_ wait: TimeAmount) -> HandshakeResponse {
        let seconds = max(1, wait.adding(.nanoseconds(999_999_999)).nanoseconds / 1_000_000_000)
        return Refusal(
            403,
            "Too many wrong answers came from this address.",
            fields: [.retryAfter: String(seconds)]
        ).response
    }
}
