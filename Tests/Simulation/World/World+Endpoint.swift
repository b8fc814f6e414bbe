// The server's shell: the endpoint's answers to opening and extended requests, in the order that the scenario has.

import HTTPTypes
import KHPProtocol
import NIOCore

/// The endpoint's place in its answers, and its manners.
struct Answering {
    fileprivate var openings = 0
    fileprivate var insides = 0
    fileprivate var redirects = 0
    /// It answers nothing any more.
    var isSilent = false
    /// Nor before then.
    var heldUntil = NIODeadline.uptimeNanoseconds(0)
    /// It says everything twice.
    var repeats = false
}

/// The server's decisions about the requests of one hop, and what waits for an answer of the application's.
struct Asked {
    var decisions: ServerDecisions
    var question: ServerQuestion?
    /// True behind a 202.
    var waits = false
    /// An ordinary request waits for its refusal.
    var isPlain = false
    var isOpen = false
    /// The end of the client's proof of who it is.
    var proofEnd: NIODeadline?

    init(_ endpoints: EndpointSet) { self.decisions = ServerDecisions(endpoints) }
}

extension World {
    /// The shells answer what they were asked.
    /// - Returns: true where there was anything to decide.
    @discardableResult
    func decide() throws(Violation) -> Bool {
        if try self.answerHeldCloses() { return true }
        // A challenge whose connection has ended since is answered all the same.
        if self.client.challenge != nil, self.caller.question == nil { return try self.beginDialogue() }
        guard !self.endpoint.isSilent, self.endpoint.heldUntil <= self.now else { return false }
        if let question = self.asked.question {
            self.asked.question = nil
            try self.answer(question)
            return true
        }
        if self.asked.isPlain {
            self.asked.isPlain = false
            try self.refusePlain()
            return true
        }
        return try self.answerChallenge()
    }

    /// An application that takes messages has taken those before its peer's close frame.
    private func answerHeldCloses() throws(Violation) -> Bool {
        for role in Self.roles where !self[role].isPaused && self[role].connection.stageName == .closeHeld {
            self.trace.note(self.now, "the \(role) has taken all before the close")
            self[role].beginStep(self.now)
            self[role].connection.answerHeldClose(now: self.now)
            try self.after(role)
            return true
        }
        return false
    }

    // MARK: The product's decisions

    /// Hands what the server was asked to the product's decisions, as its shell does.
    func consult() throws(Violation) -> Bool {
        let side = self.server
        if side.isOver {
            self.visit(.gone)
            self.asked.decisions.ended()
            return false
        }
        if side.opened != nil, !self.asked.isOpen {
            self.asked.isOpen = true
            self.visit(.opened)
            if self.asked.decisions.opened(on: &side.connection) != nil { self.noteSession() }
        }
        let hasRoom = self.scenario.hasRoom
        let refusal: () -> Refusal? = { hasRoom ? nil : Refusal(503, "There is no room for one more.") }
        if let request = side.openingRequest {
            side.openingRequest = nil
            side.sessionLifetime = self.scenario.sessionLifetime
            self.visit(.opening)
            try self.follow(
                self.asked.decisions.decide(request, on: &side.connection, now: self.now, roomRefusal: refusal)
            )
        } else if let request = side.extendedRequest {
            side.extendedRequest = nil
            self.visit(.extended)
            try self.follow(self.asked.decisions.decide(request))
        } else if let request = side.plainRequest {
            side.plainRequest = nil
            self.visit(.plain)
            try self.follow(
                self.asked.decisions.decide(request, on: &side.connection, now: self.now, roomRefusal: refusal)
            )
        } else {
            return false
        }
        return true
    }

    private func visit(_ event: Coverage.DecisionEvent) {
        self.coverage.visit(self.asked.decisions.stateName, event)
    }

    /// The session ends with the endpoint's time for it, or with the proof of who the client is.
    private func noteSession() {
        guard let end = self.asked.proofEnd else { return }
        self.server.sessionEnd = min(self.server.sessionEnd ?? end, end)
    }

    private func follow(_ next: ServerDecisions.Next, of question: ServerQuestion? = nil) throws(Violation) {
        switch next {
        case .nothing: break
        case .ask(let question): self.asked.question = question
        case .wait: self.asked.question = question
        case .plain: self.asked.isPlain = true
        case .completeAfterRead: self.asked.decisions.completeExtended(on: &self.server.connection, now: self.now)
        }
    }

    private func answer(_ question: ServerQuestion) throws(Violation) {
        let event: Event
        let status: Int
        switch question.subject {
        case .preflight: return try self.answerPreflight(question)
        case .opening:
            let answers = self.scenario.openingAnswers
            status = self.endpoint.openings < answers.count ? answers[self.endpoint.openings] : 101
            self.endpoint.openings += 1
            event = StatusAction.action(forStatus: status) == .complete ? .accept : .refuse
        case .extended:
            let answers = self.scenario.insideAnswers
            status = answers[min(self.endpoint.insides, answers.count - 1)]
            self.endpoint.insides += 1
            event = .answer
        }
        self.trace.note(self.now, "the server answers \(status)\(event == .answer ? " inside" : "")")
        var response = self.response(status)
        // Any number of them may come before the answer.
        if status == 202, self.endpoint.openings + self.endpoint.insides < 7 { response.next = { .complete() } }
        try self.reply(response, event, to: question)
    }

    private func answerPreflight(_ question: ServerQuestion) throws(Violation) {
        self.trace.note(self.now, "the server tells of cookies")
        try self.reply(question.usualResponse, .refuse, to: question)
    }

    private func reply(_ response: HandshakeResponse, _ event: Event, to question: ServerQuestion) throws(Violation) {
        var reply = ServerReply(response)
        let isFirst = !self.asked.waits
        // The answer behind a 202 changes nothing about who the client is.
        if question.asksForCredentials, isFirst {
            if response.completes || response.next != nil {
                reply.principal = "somebody"
                reply.sessionEnd = self.scenario.sessionLifetime.map { self.now + $0 - .seconds(10) }
            }
            self.asked.proofEnd = reply.sessionEnd
        }
        self.visit(.reply)
        var next = ServerDecisions.Next.nothing
        try self.act(.server, event) { side in
            next =
                isFirst
                ? self.asked.decisions.reply(reply, on: &side.connection, now: self.now)
                : self.asked.decisions.reply(after: response, on: &side.connection, now: self.now)
        }
        self.asked.waits = if case .wait = next { true } else { false }
        // Outside a 202 is not sent, and the answer behind it is.
        if response.next != nil, event != .answer, !self.asked.waits, self.server.written > 0 {
            throw Violation(.once, "the server answers with a 202 outside, and its endpoint has yet to answer")
        }
        try self.follow(next, of: question)
        try self.after(.server)
        guard !self.asked.waits, self.endpoint.repeats else { return }
        let completes = response.completes ? Coverage.Repeated.completed : .answered
        let repeated: Coverage.Repeated =
            switch event {
            case .answer: completes
            case .accept: .accepted
            default: .refused
            }
        try self.repeats(.server, event, repeated) { side in
            switch event {
            case .answer: side.connection.answerExtended(response, principal: nil, now: self.now)
            case .accept: side.connection.acceptOpening(EndpointPlan(), response: response, now: self.now)
            default: side.connection.refuseOpening(response, now: self.now)
            }
        }
    }

    private func refusePlain() throws(Violation) {
        self.visit(.refusal)
        try self.act(.server, .refuse) { side in
            self.asked.decisions.refusePlain(on: &side.connection, now: self.now)
        }
        guard self.endpoint.repeats else { return }
        try self.repeats(.server, .refuse, .page) { $0.connection.refuseOpening(.notFound(), now: self.now) }
    }

    /// An answer comes a second time, which changes nothing.
    private func repeats(
        _ role: Role,
        _ event: Event,
        _ repeated: Coverage.Repeated,
        _ body: (Side) -> Void
    ) throws(Violation) {
        self.coverage.visit(repeated)
        let before = self[role].standing
        try self.act(role, event, body)
        guard self[role].standing != before else { return }
        throw Violation(.once, "the \(role) acts on an answer that is given twice: \(event), then \(self[role].stage)")
    }

    /// An answer of the application's; one that says everything twice says it again.
    func say(_ role: Role, _ event: Event, _ body: (Side) -> Void) throws(Violation) {
        try self.act(role, event, body)
        guard self.endpoint.repeats else { return }
        try self.repeats(role, event, event == .replay ? .replayed : .loggedIn, body)
    }

    private func response(_ status: Int) -> HandshakeResponse {
        var response = HandshakeResponse(status: status)
        let host = Secrets.host(self.caller.place)
        switch status {
        case 401:
            let nonce = Secrets.of(host, .nonce) + "\(self.endpoint.openings)\(self.endpoint.insides)"
            let digest = "Digest realm=\"sim\", nonce=\"\(nonce)\", qop=\"auth\", algorithm=SHA-256"
            let basic = "Basic realm=\"sim\""
            response.headers[.wwwAuthenticate] =
                [basic, digest, "Negotiate", digest + ", " + basic][self.scenario.scheme]
        case 300...399:
            let place = self.scenario.places[self.endpoint.redirects % self.scenario.places.count]
            self.endpoint.redirects += 1
            response.headers[.location] = Places.location(place, from: self.caller.place)
        case 426:
            response.headers[.upgrade] = "TLS/1.0"
        default:
            break
        }
        if self.scenario.setsCookies {
            response.headers[.setCookie] = "sid=\(Secrets.of(host, .cookie)); Path=/"
        }
        return response
    }

    /// An event that nobody asked for now. An answer of the client's shell is the caller's to give where it is awaited.
    func poke(_ role: Role, _ event: Event) throws(Violation) {
        let side = self[role]
        guard side.hasStarted || (event != .bytes && event != .garbage) else { return }
        switch event {
        case .bytes, .garbage:
            guard side.isOver else { return event == .garbage ? try self.begin(.garbage, role, side.actions) : () }
            // The shell reads nothing more, and gives nothing to a connection that has ended.
            guard !side.connection.hasUnread else { return }
            try self.act(role, event) { $0.connection.receive(ByteBuffer(bytes: [0x81, 0x01, 0x41]), now: self.now) }
        case .end: if side.isOver { try self.act(role, .end) { $0.connection.inputClosed(now: self.now) } }
        case .reset:
            guard side.isOver else { return }
            let error = WebSocketError(.connectFailed, "The connection failed.")
            try self.act(role, .reset) { $0.connection.transportFailed(error, now: self.now) }
        case .gone: if side.isOver { try self.act(role, .gone) { $0.connection.transportEnded(now: self.now) } }
        case .deadline:
            guard side.connection.deadline == nil else { return }
            try self.act(role, .deadline) { $0.connection.timeReached(now: self.now) }
        case .close: try self.close(role)
        case .send: try self.act(role, .send) { $0.send(.text, Payloads.make(5, number: 5), self.now) }
        case .revalidate: try self.revalidate(role)
        case .ping: try self.act(role, .ping) { $0.ping(self.now) }
        case .accept:
            // Sessions at this endpoint have no end.
            if side.connection.stageName == .deciding { side.sessionLifetime = nil }
            try self.act(role, .accept) { $0.connection.acceptOpening(EndpointPlan(), now: self.now) }
        case .refuse:
            try self.act(role, .refuse) { $0.connection.refuseOpening(HandshakeResponse(status: 404), now: self.now) }
        case .answer:
            let answer = HandshakeResponse(status: 101)
            try self.act(role, .answer) { $0.connection.answerExtended(answer, principal: nil, now: self.now) }
        case .replay, .credentials: try self.pokeAnswer(role, event)
        }
    }

    private func pokeAnswer(_ role: Role, _ event: Event) throws(Violation) {
        let stage = self[role].connection.stageName
        guard stage != (event == .replay ? .challenged : .challengedInside) else { return }
        let authorization = RequestAuthorization("Basic \(Secrets.of(9, .password))")
        let deadline = self.now + .seconds(30)
        if event == .replay {
            let replay = OpeningReplay(authorization: authorization, challenges: 1)
            try self.act(role, .replay) { side in
                _ = side.connection.replayOpening(replay, key: Caller.replayKey, deadline: deadline, now: self.now)
            }
        } else {
            try self.act(role, .credentials) { side in
                side.connection.answerChallenge(authorization, challenges: 1, deadline: deadline, now: self.now)
            }
        }
    }
}
