// The server's shell around its connection, with the one endpoint that a transcript describes.

import HTTPTypes
import KHPProtocol
import NIOCore

struct ServerUnderTest {
    private let path: String
    private let plan: EndpointPlan
    private let policy: ServerExtendedHandshake
    private let answers: [HandshakeResponse]
    private var given = 0
    /// A 202 was given: the endpoint still has something to say.
    private var owesAnswer = false
    private var body: String?
    private(set) var driven: DrivenConnection

    init(
        _ transcript: Transcript,
        extensions: [any WebSocketExtension],
        settings: ConnectionSettings,
        now: NIODeadline
    ) throws(TranscriptError) {
        self.path = transcript["server"] ?? "/"
        self.policy = transcript["server.extended"].flatMap(ServerExtendedHandshake.init) ?? .optional
        var plan = EndpointPlan()
        plan.subprotocols = transcript.list("server.subprotocols")
        plan.servesWithoutSubprotocol = transcript["server.without-subprotocol"] == "yes"
        plan.kaazingLegacy = transcript["server.kaazing-legacy"] != "off"
        plan.dialects = try Self.dialects(transcript)
        plan.answersBeforeKeys = transcript["server.answers-before-keys"] == "yes"
        do throws(WebSocketError) {
            plan.extensions = try transcript.extensions("server.extensions", known: extensions, role: .server)
        } catch {
            throw TranscriptError(transcript.name, 1, error.message)
        }
        self.plan = plan
        var answers: [HandshakeResponse] = []
        if let respond = transcript["server.respond"] {
            guard let parts = TranscriptWords.parse(respond) else {
                throw TranscriptError(transcript.name, 1, "server.respond has an open quote")
            }
            for part in parts { answers.append(try Self.answer(part, in: transcript)) }
        }
        self.answers = answers
        var settings = settings
        settings.dialects = plan.dialects
        let connection = Connection(
            server: ConnectionConfiguration(settings),
            isSecure: transcript["client"]?.hasPrefix("wss:") == true,
            now: now
        )
        self.driven = DrivenConnection(connection, now: now)
    }

    /// `server.dialects`; without it, that of the transcript.
    private static func dialects(_ transcript: Transcript) throws(TranscriptError) -> [Dialect] {
        let names = transcript.list("server.dialects")
        if names.isEmpty { return [transcript.dialect] }
        var dialects: [Dialect] = []
        for name in names {
            guard let dialect = Dialect(name: name) else {
                throw TranscriptError(transcript.name, 1, "\(name) is no dialect")
            }
            dialects.append(dialect)
        }
        return dialects
    }

    private static func answer(
        _ words: [TranscriptWords.Word],
        in transcript: Transcript
    ) throws(TranscriptError) -> HandshakeResponse {
        var answer = HandshakeResponse.complete()
        for word in words {
            if let value = word.value {
                if word.name == "body" {
                    answer.body = ByteBuffer(string: value)
                } else if let name = HTTPField.Name(word.name) {
                    answer.headers.append(HTTPField(name: name, value: value))
                }
            } else if let status = Int(word.name) {
                answer.status = status
            } else {
                throw TranscriptError(transcript.name, 1, "\(word.name) is no part of an answer")
            }
        }
        return answer
    }

    /// Goes on from the same place.
    func copy() -> ServerUnderTest {
        var copy = self
        copy.driven = self.driven.copy()
        return copy
    }

    mutating func withConnection<Result>(_ body: (DrivenConnection) -> Result) -> Result {
        let result = body(self.driven)
        self.admit()
        return result
    }

    /// Decides at once on requests about which a server asks no endpoint.
    private mutating func admit() {
        if let plain = self.driven.plainRequest {
            self.driven.plainRequest = nil
            let head = plain.head
            let isEndpoint = plain.path == self.path
            let refusal: Refusal =
                !isEndpoint
                ? .notFound(method: head.method)
                : head.method != "GET" ? .methodNotAllowed(head.method) : .upgradeRequired("A WebSocket endpoint.")
            self.driven.connection.refuseOpening(refusal, now: self.driven.now)
            self.driven.run()
        }
        guard let request = self.driven.openingRequest else { return }
        let extended = request.offersExtendedHandshake && self.policy != .off
        if request.path != self.path {
            self.driven.connection.refuseOpening(.notFound(), now: self.driven.now)
        } else if !extended, self.policy == .required {
            self.driven.connection.refuseOpening(Refusal(400, "It is required."), now: self.driven.now)
        } else if extended || self.answers.isEmpty {
            self.accept(request, extended: extended)
        } else {
            return
        }
        self.driven.openingRequest = nil
        self.driven.run()
        self.admit()
    }

    private mutating func accept(_ request: OpeningRequest, extended: Bool, response: HandshakeResponse? = nil) {
        var plan = self.plan
        plan.extended = extended
        self.driven.connection.acceptOpening(request, plan, response: response, now: self.driven.now)
    }

    /// Gives the endpoint's next answer, if one is due.
    mutating func proceed() -> Bool {
        if let request = self.driven.openingRequest {
            self.driven.openingRequest = nil
            // D24: here to everyone who takes no part in the extended handshake. There a 202 is not sent: the answer
            // waits for what follows it.
            var answer = self.nextAnswer()
            while answer.status == 202, self.given < self.answers.count { answer = self.nextAnswer() }
            if answer.completes {
                self.accept(request, extended: false, response: answer)
            } else {
                let now = self.driven.now
                if !self.plan.kaazingLegacy || !self.driven.connection.balanceOpening(request, answer, now: now) {
                    self.driven.connection.refuseOpening(answer, now: now)
                }
            }
        } else if let request = self.driven.extendedRequest {
            self.driven.extendedRequest = nil
            self.body = String(buffer: request.body)
            self.answerExtended()
        } else if self.owesAnswer, !self.driven.hasEnded {
            self.answerExtended()
        } else {
            return false
        }
        self.driven.run()
        return true
    }

    private mutating func answerExtended() {
        let answer = self.nextAnswer()
        self.owesAnswer = answer.status == 202 && self.given < self.answers.count
        self.driven.connection.answerExtended(answer, principal: nil, now: self.driven.now)
    }

    private mutating func nextAnswer() -> HandshakeResponse {
        defer { self.given += 1 }
        return self.answers.isEmpty ? .complete() : self.answers[min(self.given, self.answers.count - 1)]
    }

    func outcome(lastAnswer: Int?) -> TranscriptOutcome {
        var outcome = TranscriptOutcome()
        outcome.negotiation = self.driven.opened
        outcome.challenges = self.driven.opened?.challenges ?? 0
        outcome.lastAnswer = lastAnswer
        outcome.closeCode = self.driven.closed?.code
        outcome.body = self.body
        return outcome
    }
}
