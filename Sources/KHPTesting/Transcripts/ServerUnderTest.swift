// The server's shell around its connection, with the one endpoint that a transcript describes.

import HTTPTypes
import KHPProtocol
import NIOCore

struct ServerUnderTest {
    private let answers: [HandshakeResponse]
    private var given = 0
    private var decisions: ServerDecisions
    /// The decision that waits until the script comes to its answer.
    private var pending: ServerDecisions.Next?
    private var body: String?
    private(set) var driven: DrivenConnection

    init(
        _ transcript: Transcript,
        extensions: [any WebSocketExtension],
        settings: ConnectionSettings,
        now: NIODeadline
    ) throws(TranscriptError) {
        var values = EndpointConfiguration.Values(path: transcript["server"] ?? "/")
        values.extendedHandshake = transcript["server.extended"].flatMap(ServerExtendedHandshake.init) ?? .optional
        values.plan.subprotocols = transcript.list("server.subprotocols")
        values.plan.servesWithoutSubprotocol = transcript["server.without-subprotocol"] == "yes"
        values.plan.kaazingLegacy = transcript["server.kaazing-legacy"] != "off"
        values.plan.dialects = try Self.dialects(transcript)
        values.plan.answersBeforeKeys = transcript["server.answers-before-keys"] == "yes"
        var answers: [HandshakeResponse] = []
        if let respond = transcript["server.respond"] {
            guard let parts = TranscriptWords.parse(respond) else {
                throw TranscriptError(transcript.name, 1, "server.respond has an open quote")
            }
            for part in parts { answers.append(try Self.answer(part, in: transcript)) }
        }
        self.answers = answers
        values.asksApplication = !answers.isEmpty
        let isSecure = transcript["client"]?.hasPrefix("wss:") == true
        do throws(WebSocketError) {
            let origins = transcript.list("server.origins")
            if !origins.isEmpty { values.origins = try OriginPolicy.allowing(origins) }
            values.plan.extensions = try transcript.extensions("server.extensions", known: extensions, role: .server)
            let endpoint = try EndpointConfiguration(values, index: 0)
            self.decisions = ServerDecisions(try EndpointSet([endpoint]))
        } catch {
            throw TranscriptError(transcript.name, 1, error.message)
        }
        var settings = settings
        settings.dialects = values.plan.dialects
        let connection = Connection(
            server: ConnectionConfiguration(settings),
            isSecure: isSecure,
            opensByConnect: transcript.isOnStream,
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

    /// Hands the connection's requests to the server's decisions. Those that ask nobody take effect at once.
    private mutating func admit() {
        let now = self.driven.now
        let next: ServerDecisions.Next
        if let plain = self.driven.plainRequest {
            self.driven.plainRequest = nil
            next = self.decisions.decide(plain, on: &self.driven.connection, now: now)
        } else if let request = self.driven.openingRequest {
            self.driven.openingRequest = nil
            next = self.decisions.decide(request, on: &self.driven.connection, now: now)
        } else if let request = self.driven.extendedRequest {
            self.driven.extendedRequest = nil
            self.body = String(buffer: request.body)
            next = self.decisions.decide(request)
        } else {
            return
        }
        switch next {
        case .nothing: break
        case .plain: self.decisions.refusePlain(on: &self.driven.connection, now: now)
        case .ask, .completeAfterRead, .wait: self.pending = next
        }
        self.driven.run()
        self.admit()
    }

    /// Gives the endpoint's next answer, if one is due.
    mutating func proceed() -> Bool {
        guard let due = self.pending else { return false }
        let now = self.driven.now
        var next = ServerDecisions.Next.nothing
        switch due {
        case .completeAfterRead:
            self.decisions.completeExtended(on: &self.driven.connection, now: now)
        case .ask(let question):
            let response = question.asksApplication ? self.nextAnswer() : question.usualResponse
            next = self.decisions.reply(ServerReply(response), on: &self.driven.connection, now: now)
            // In the opening a 202 is not sent: its follower is the answer.
            while case .opening = question.subject, case .wait = next {
                next = self.decisions.reply(after: self.nextAnswer(), on: &self.driven.connection, now: now)
            }
        case .wait:
            guard !self.driven.hasEnded else { return false }
            next = self.decisions.reply(after: self.nextAnswer(), on: &self.driven.connection, now: now)
        case .nothing, .plain:
            break
        }
        self.pending = if case .wait = next { next } else { nil }
        self.driven.run()
        self.admit()
        return true
    }

    /// The next answer of the transcript. A 202 before the last one promises the next.
    private mutating func nextAnswer() -> HandshakeResponse {
        defer { self.given += 1 }
        guard !self.answers.isEmpty else { return .complete() }
        var answer = self.answers[min(self.given, self.answers.count - 1)]
        if answer.status == 202, self.given + 1 < self.answers.count { answer.next = { .complete() } }
        return answer
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
