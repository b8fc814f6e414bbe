// The server's half of the extended handshake: requests in messages to answers in messages, until one completes or
// refuses. No other message has a place before that (KHP-E3).
//
// States × events:
//                 message                        answer of the endpoint          deadline
//   receiving     piece → wait, or the request   left alone                      close 1008
//   answering     400, close 1002 (KHP-E3)       101 201 204 205 → open          503, close 1008
//                                                202 → answering
//                                                401 → receiving the replay
//                                                redirect, to Kaazing's clients → 101, balancer, close 1000
//                                                others → close 1000
//   finished      left alone                     left alone                      nothing
//
// - our own bug or the API user's: an answer that cannot be sent becomes 500;
// - the client's violation: an answer that says so, then the close code of D6;
// - ignored: fields without a meaning here, x-kaazing-handshake in the list (D14), empty lists.
//
// The balancer messages and the empty terminator of the Kaazing legacy exchange (D7) are written where answers are.

import HTTPTypes
package import NIOCore

package struct ExtendedServer {
    package enum Action: Sendable {
        /// Nothing to do, or nothing any more.
        case none
        /// A complete request: ask the endpoint and call ``ExtendedServer/respond(_:negotiated:date:now:)``.
        case request(ExtendedRequest)
        /// Send this message; the client then sends the body.
        case sendContinue(WrittenResponse)
        /// Send this message if there is one, then close; the peer broke a rule or was too slow.
        case refuse(WrittenResponse?, close: WebSocketCloseCode, explanation: String)
        /// Send this message, then go on as said.
        case send(WrittenResponse, then: Next)
    }

    /// The next step behind an answer.
    package enum Next: Sendable, Equatable {
        /// The WebSocket is open.
        case open(Agreement)
        /// The client is to replay its request with authorization until then (KHP-E18).
        case waitForReplay(until: NIODeadline)
        /// The endpoint is to give its final answer until then.
        case waitForAnswer(until: NIODeadline)
        /// Send this balancer message as well, then close with 1000 (D7).
        case balance(KaazingLegacyMessage)
        /// Close with this code once the answer is flushed.
        case close(WebSocketCloseCode)
    }

    private enum State {
        case receiving(ExtendedRequestReader)
        case answering(Question)
        case finished

        var name: StateName {
            switch self {
            case .receiving: .receiving
            case .answering: .answering
            case .finished: .finished
            }
        }
    }

    /// The states without what they hold.
    package enum StateName: String, CaseIterable, Sendable { case receiving, answering, finished }

    package var stateName: StateName { self.state.name }

    /// The request that waits for its answer. Mutating in form only: for a plain getter the compiler copies all of this
    /// out of the object that holds it.
    var request: ExtendedRequest? {
        mutating get { if case .answering(let question) = self.state { question.request } else { nil } }
    }

    /// The request that waits for its answer, with what goes with it.
    private struct Question {
        let request: ExtendedRequest
        /// True where it brings credentials, which a challenge calls wrong.
        let carriesCredentials: Bool
        /// The end of the wait behind the first 202.
        var processingDeadline: NIODeadline?
    }

    private let check: ExtendedRequestCheck
    private let acceptValue: AcceptValue
    private let server: String
    private let limits: Limits
    private let waits: HandshakeWaits
    private let legacy: KaazingLegacy
    private let url: WebSocketURL?
    private var state: State
    /// The method of the last request.
    private var method = "GET"
    private var round = 0
    private var wrongAnswers = 0
    private var hasBeenStale = false
    private var processingResponses = 0

    /// The fault of the endpoint's last answer, which was replaced by a 500.
    package private(set) var fault: String?

    /// Until when something has to happen; call ``deadlineReached(date:now:)`` then. Absolute: no byte extends it
    /// (D15).
    package private(set) var deadline: NIODeadline?

    /// - Parameters:
    ///   - opening: the request that negotiated x-kaazing-handshake.
    ///   - acceptValue: Sec-WebSocket-Accept of the opening's 101; the extended 101 repeats it.
    ///   - negotiatedExtensions: the extensions that the opening negotiated (KHP-E8).
    ///   - server: the value of Server.
    ///   - legacy: the part of the Kaazing legacy exchange that is spoken (D7).
    ///   - url: the URL that the client opened; a balancer's URL is relative to it.
    ///   - now: when the opening's 101 was sent.
    package init(
        opening: OpeningRequest,
        acceptValue: AcceptValue,
        negotiatedExtensions: [NegotiatedExtension] = [],
        server: String,
        legacy: KaazingLegacy = .off,
        url: WebSocketURL? = nil,
        limits: Limits = Limits(),
        waits: HandshakeWaits = HandshakeWaits(),
        now: NIODeadline
    ) {
        self.check = ExtendedRequestCheck(
            opening: opening,
            negotiatedExtensions: negotiatedExtensions.map(\.name),
            legacy: legacy,
            schemes: url?.isSecure == true ? ["https", "wss"] : ["http", "ws"]
        )
        self.legacy = legacy
        self.url = url
        self.acceptValue = acceptValue
        self.server = server
        self.limits = limits
        self.waits = waits
        self.state = .receiving(ExtendedRequestReader(limits: limits))
        self.deadline = now + waits.extended
    }

    /// Bytes of memory for a request, or the part of one that has come.
    var heldBytes: Int {
        switch self.state {
        case .receiving(let reader): reader.heldBytes
        case .answering(let question):
            question.request.body.storageCapacity + question.request.head.fields.received.readableBytes
        case .finished: 0
        }
    }

    /// A machine that goes on from here without a trace in this one.
    package func copy() -> ExtendedServer {
        var copy = self
        if case .receiving(let reader) = self.state { copy.state = .receiving(reader.copy()) }
        return copy
    }

    /// Takes one whole message, text or binary alike.
    /// - Parameter date: asked for only where the message is answered at once.
    package mutating func receive(
        _ payload: ByteBuffer,
        date: @autoclosure () -> String,
        now: NIODeadline
    ) -> Action {
        switch self.state {
        case .finished:
            return .none
        case .answering:
            // KHP-E3: the client's next message is the application's, and that only after the answer.
            return self.receiveTooEarly(date: date())
        case .receiving(let reader):
            do throws(ExtendedRefusal) {
                return try self.receive(payload, with: reader, now: now)
            } catch {
                return self.refuse(error, date: date())
            }
        }
    }

    /// A message, or a part of one, came while the request waits for its answer.
    mutating func receiveTooEarly(date: String) -> Action {
        guard case .answering = self.state else { return .none }
        return self.refuse(.noRequest("A message came before the answer to the extended request."), date: date)
    }

    private mutating func receive(
        _ payload: ByteBuffer,
        with reader: ExtendedRequestReader,
        now: NIODeadline
    ) throws(ExtendedRefusal) -> Action {
        switch try reader.receive(payload) {
        case .needsMore:
            return .none
        case .expectsContinue(let head, let known):
            // RFC 9110 section 10.1.1: a request that its head refuses is not asked for its content.
            _ = try self.check.check(head, known, body: ByteBuffer(), round: self.round)
            let bytes = ByteBuffer(staticString: "HTTP/1.1 100 Continue\r\n\r\n")
            return .sendContinue(WrittenResponse(status: 100, bytes: bytes))
        case .request(let head, let known, let body):
            let request = try self.check.check(head, known, body: body, round: self.round)
            let carriesCredentials = self.round > 0 || known.contains(.authorization)
            self.state = .answering(Question(request: request, carriesCredentials: carriesCredentials))
            self.method = request.method
            // D17: the handshake timeout holds before the first request, which may not extend it, and for the answer
            // to every later one.
            if self.round > 0 { self.deadline = now + self.waits.extended }
            self.round += 1
            return .request(request)
        }
    }

    /// The endpoint's answer to the last request.
    ///
    /// - Parameter negotiated: the agreement of a completing answer, out of the request's offers.
    package mutating func respond(
        _ answer: HandshakeResponse,
        negotiated: Agreement = Agreement(),
        date: String,
        now: NIODeadline
    ) -> Action {
        guard case .answering(var question) = self.state else { return .none }
        if let fault = Self.fault(of: answer, negotiated, to: question.request) {
            return self.finish(fault: fault, date: date)
        }
        switch answer.status {
        case _ where answer.completes:
            return self.complete(answer, negotiated, date: date)
        case 202:
            self.processingResponses += 1
            guard self.processingResponses <= Limits.Fixed.processingResponses else {
                // D18
                let late = Refusal(503, "The endpoint took too long to decide.")
                return self.finish(late.response, close: .normalClosure, date: date)
            }
            let until = question.processingDeadline ?? now + self.waits.processing
            question.processingDeadline = until
            self.state = .answering(question)
            self.deadline = until
            return .send(self.message(answer, date: date), then: .waitForAnswer(until: until))
        case 401:
            return self.challenge(answer, to: question, date: date, now: now)
        case let status where self.legacy.hasBalancer && StatusAction.namesAnotherPlace(status):
            return self.balance(answer, date: date)
        default:
            return self.finish(answer, close: .normalClosure, date: date)
        }
    }

    /// Why the endpoint's answer cannot be sent. Our own answers correspond to the request, whatever an endpoint says
    /// (KHP-E10, KHP-E14).
    private static func fault(
        of answer: HandshakeResponse,
        _ negotiated: Agreement,
        to request: ExtendedRequest
    ) -> String? {
        let own = AnswerFault.of(status: answer.status, reason: answer.reason, fields: answer.headers, isFinal: false)
        if let fault = answer.fault ?? own { return fault }
        guard answer.completes else { return nil }
        let offers = request.extensionOffers
        if let item = negotiated.extensions.first(where: { item in !offers.contains { $0.name == item.name } }) {
            return "The extension \(item.name) is not one that the client asks for."
        }
        return AnswerFault.of(
            subprotocol: negotiated.subprotocol,
            offered: request.subprotocols,
            fields: answer.headers
        )
    }

    private mutating func finish(fault: String, date: String) -> Action {
        self.fault = fault
        return self.finish(Refusal.faultyAnswer().response, close: .internalError, date: date)
    }

    private mutating func complete(_ answer: HandshakeResponse, _ negotiated: Agreement, date: String) -> Action {
        self.finish()
        guard answer.status == 101 else {
            return .send(self.message(answer, negotiated, date: date), then: .open(negotiated))
        }
        return .send(self.acceptance(negotiated, answer.headers, date: date), then: .open(negotiated))
    }

    private func acceptance(_ negotiated: Agreement, _ fields: HTTPFields, date: String) -> WrittenResponse {
        let acceptance = Acceptance(
            acceptValue: self.acceptValue,
            negotiated: negotiated,
            echoesOldUpgrade: self.check.opening.spellsUpgradeOldStyle,
            date: date,
            server: self.server,
            fields: fields
        )
        return WrittenResponse(acceptance)
    }

    /// A redirect as Kaazing's clients know it (D7): they follow none in an extended response, but the second
    /// balancer message, which comes after a 101.
    private mutating func balance(_ answer: HandshakeResponse, date: String) -> Action {
        self.finish()
        let message = KaazingLegacyMessage.balancing(
            choices(of: answer).first,
            at: self.url,
            query: self.check.opening.query
        )
        guard let message else {
            return self.finish(fault: "The answer leads to a URL that cannot be used.", date: date)
        }
        return .send(self.acceptance(Agreement(), [:], date: date), then: .balance(message))
    }

    private mutating func challenge(
        _ answer: HandshakeResponse,
        to question: Question,
        date: String,
        now: NIODeadline
    ) -> Action {
        if answer.isStale, !self.hasBeenStale {
            // Right credentials and an old nonce are no guess. Once: a fresh one cannot be old again (threat E10).
            self.hasBeenStale = true
        } else if question.carriesCredentials {
            self.wrongAnswers += 1
            if self.wrongAnswers >= self.limits.wrongAnswers {
                // D18
                return self.finish(
                    Refusal(403, "Too many answers were wrong.").response,
                    close: .normalClosure,
                    date: date
                )
            }
        }
        self.state = .receiving(ExtendedRequestReader(limits: self.limits))
        let until = now + self.waits.replay
        self.deadline = until
        return .send(self.message(answer, date: date), then: .waitForReplay(until: until))
    }

    /// The deadline passed (D6, D15). A request that waits for its answer gets one all the same (KHP-E7).
    package mutating func deadlineReached(date: String, now: NIODeadline) -> Action {
        guard let deadline, now >= deadline else { return .none }
        let isAnswerOwed = if case .answering = self.state { true } else { false }
        self.finish()
        let explanation =
            isAnswerOwed
            ? "The endpoint did not answer the extended request in time."
            : "The client did not send its extended request in time."
        let late = Refusal.lateAnswer
        let message = isAnswerOwed ? self.message(late.response, date: date) : nil
        return .refuse(message, close: .policyViolation, explanation: explanation)
    }

    private mutating func refuse(_ error: ExtendedRefusal, date: String) -> Action {
        self.finish()
        let message = error.refusal.response.written(date: date, method: error.refusal.method)
        return .refuse(message, close: error.closeCode, explanation: error.refusal.explanation)
    }

    private mutating func finish(_ answer: HandshakeResponse, close: WebSocketCloseCode, date: String) -> Action {
        self.finish()
        return .send(self.message(answer, date: date), then: .close(close))
    }

    private mutating func finish() {
        self.state = .finished
        self.deadline = nil
    }

    private func message(
        _ answer: HandshakeResponse,
        _ negotiated: Agreement = Agreement(),
        date: String
    ) -> WrittenResponse {
        answer.written(date: date, method: self.method, negotiated: negotiated)
    }
}
