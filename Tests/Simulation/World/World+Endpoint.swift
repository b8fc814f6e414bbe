// The server's shell: the endpoint's answers to opening and extended requests, in the order that the scenario has.

import HTTPTypes
import KHPProtocol
import NIOCore

/// The endpoint's place in its answers, and its manners.
struct Answering {
    fileprivate var openings = 0
    fileprivate var insides = 0
    fileprivate var redirects = 0
    /// True behind a 202.
    var owesLater = false
    /// It answers nothing any more.
    var isSilent = false
    /// Nor before then.
    var heldUntil = NIODeadline.uptimeNanoseconds(0)
    /// It says everything twice.
    var repeats = false
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
        if let request = self.server.openingRequest {
            self.server.openingRequest = nil
            try self.answer(request)
            return true
        }
        if self.server.extendedRequest != nil {
            self.server.extendedRequest = nil
            try self.answerInside()
            return true
        }
        if self.endpoint.owesLater, !self.server.isOver {
            try self.answerInside()
            return true
        }
        if self.server.plainRequest != nil {
            self.server.plainRequest = nil
            try self.act(.server, .refuse) { $0.connection.refuseOpening(.notFound(), now: self.now) }
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

    private func answer(_ request: OpeningRequest) throws(Violation) {
        let answers = self.scenario.openingAnswers
        let status = self.endpoint.openings < answers.count ? answers[self.endpoint.openings] : 101
        self.endpoint.openings += 1
        self.trace.note(self.now, "the server answers \(status)")
        let response = self.response(status)
        let plan = self.scenario.endpoint(for: request)
        for _ in 0..<(self.endpoint.repeats ? 2 : 1) {
            if status == 101 {
                if self.server.connection.stageName == .deciding {
                    self.server.sessionLifetime = self.scenario.sessionLifetime
                }
                try self.act(.server, .accept) { side in
                    side.connection.acceptOpening(
                        plan,
                        response: self.scenario.setsCookies ? response : nil,
                        now: self.now
                    )
                }
            } else {
                try self.act(.server, .refuse) { side in
                    if side.connection.balanceOpening(response, now: self.now) { return }
                    side.connection.refuseOpening(response, now: self.now)
                }
            }
        }
    }

    private func answerInside() throws(Violation) {
        let answers = self.scenario.insideAnswers
        let status = answers[min(self.endpoint.insides, answers.count - 1)]
        self.endpoint.insides += 1
        self.endpoint.owesLater = status == 202 && self.endpoint.insides < 6
        self.trace.note(self.now, "the server answers \(status) inside")
        let response = self.response(status)
        for _ in 0..<(self.endpoint.repeats ? 2 : 1) {
            try self.act(.server, .answer) { $0.connection.answerExtended(response, principal: nil, now: self.now) }
        }
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
        case .ping: try self.act(role, .ping) { $0.ping(self.now) }
        case .accept: try self.act(role, .accept) { $0.connection.acceptOpening(EndpointPlan(), now: self.now) }
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
