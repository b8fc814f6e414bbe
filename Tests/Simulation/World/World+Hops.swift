// The client's shell: its challenges, and its way from hop to hop.

import HTTPTypes
import KHPProtocol
import NIOCore

extension World {
    /// The caller's handler answers.
    /// - Returns: true where it was asked.
    func answerChallenge() throws(Violation) -> Bool {
        guard var question = self.caller.question, let request = question.request else { return false }
        let credentials = self.caller.credentials(for: request, answers: self.scenario.answersChallenges)
        self.trace.note(self.now, "the handler gives \(credentials == nil ? "nothing" : "a login")")
        self.coverage.visitDialogue(isNew: false, credentials == nil ? .none : .credentials)
        let step = question.dialogue.take(
            credentials,
            &self.caller.attempt.authenticator,
            clientNonce: Caller.clientNonce
        )
        try self.act(on: step, of: question)
        return true
    }

    /// The caller's handler is asked about a challenge.
    func beginDialogue() throws(Violation) -> Bool {
        guard let (response, layer) = self.client.challenge else { return false }
        self.caller.keep(self.caller.attempt.earlyCookies(of: response, in: layer))
        var question = Caller.Question(
            dialogue: self.caller.dialogue(response, layer, now: self.now),
            layer: layer,
            since: self.now
        )
        self.coverage.visitDialogue(isNew: true, .begin)
        let step = question.dialogue.begin(&self.caller.attempt.authenticator, clientNonce: Caller.clientNonce)
        try self.act(on: step, of: question)
        return true
    }

    /// The handler took too long.
    func challengeTimedOut() throws(Violation) {
        guard var question = self.caller.question else { return }
        self.coverage.visitDialogue(isNew: false, .timeOver)
        try self.act(on: question.dialogue.timeReached(), of: question)
    }

    private func act(on step: ChallengeDialogue.Step, of question: Caller.Question) throws(Violation) {
        var question = question
        switch step {
        case .ask(let request):
            question.request = request
            self.caller.question = question
        case .send(let answer):
            self.settleQuestion(question)
            try self.send(answer, question.layer)
        case .giveUp(let error, _):
            self.settleQuestion(question)
            try self.checkSecrecy(of: "\(error)", "an error of the connect")
            self.caller.course.failed(error)
            try self.act(.client, .close) { side in
                side.connection.close(code: ChallengeDialogue.closeCode(after: error), reason: "", now: self.now)
            }
        }
    }

    private func settleQuestion(_ question: Caller.Question) {
        self.caller.question = nil
        self.client.challenge = nil
        // No time passes while the handler works.
        self.caller.deadline = self.caller.deadline + (self.now - question.since)
    }

    private func send(_ answer: ChallengeAnswer, _ layer: HandshakeLayer) throws(Violation) {
        let deadline = max(self.caller.deadline, self.now + .milliseconds(1))
        guard layer == .opening else {
            return try self.say(.client, .credentials) { side in
                side.connection.answerChallenge(
                    answer.authorization,
                    challenges: answer.count,
                    deadline: deadline,
                    now: self.now
                )
            }
        }
        let (replay, after) = self.caller.replay(answer)
        var isSent = false
        try self.say(.client, .replay) { side in
            let isTaken = side.connection.replayOpening(
                replay,
                key: Caller.replayKey,
                deadline: deadline,
                now: self.now
            )
            isSent = isSent || isTaken
        }
        if isSent {
            self.caller.course.sent()
            self.caller.attempt = after
        }
    }

    // MARK: From hop to hop

    /// Where the client's hop has ended, the next one begins, or the connect has failed.
    /// - Returns: true where a hop begins.
    @discardableResult
    func goOn() throws(Violation) -> Bool {
        // The dialogue about a challenge begins at once, however long its handler takes.
        if self.client.challenge != nil, self.caller.question == nil, !self.client.isOver {
            return try self.beginDialogue()
        }
        guard self.client.isOver, self.caller.goesOn else { return false }
        try self.checkPromise()
        self.promise = nil
        if self.client.opened != nil || self.client.hasCalledClose {
            self.caller.goesOn = false
            return false
        }
        // A challenge that came before the end of its connection is answered in any case.
        if self.client.challenge?.layer == .opening, !self.caller.course.isDecided { return false }
        self.caller.question = nil
        if let head = self.client.established { self.caller.keep(self.caller.attempt.earlyCookies(of: head)) }
        if let failure = self.client.failure {
            self.caller.keep(self.caller.attempt.earlyCookies(of: failure))
            self.caller.course.failed(failure)
        }
        if let outcome = self.client.hop {
            self.caller.course.ended(outcome)
            self.coverage.visit(outcome)
            self.caller.keep(self.caller.attempt.earlyCookies(of: outcome))
        }
        do throws(WebSocketError) {
            switch try self.caller.course.end(at: self.caller.attempt.url) {
            case .again(let answer): self.caller.carried = answer
            case .challenged(let response, let layer): self.caller.carried = try self.answerAfresh(response, layer)
            case .redirected(let outcome): try self.caller.follow(outcome)
            }
            guard self.caller.deadline > self.now else {
                throw WebSocketError(.timeout, "The connect was not complete in time.", url: self.caller.attempt.url)
            }
        } catch {
            self.caller.goesOn = false
            self.caller.failure = self.caller.attempt.explained(error)
            try self.checkSecrecy(of: "\(error)", "the error of the connect")
            return false
        }
        try self.beginHop()
        return true
    }

    /// A challenge whose connection has ended with it; its handler is quick.
    private func answerAfresh(
        _ response: HandshakeResponse,
        _ layer: HandshakeLayer
    ) throws(WebSocketError) -> ChallengeAnswer {
        var dialogue = self.caller.dialogue(response, layer, now: self.now)
        var step = dialogue.begin(&self.caller.attempt.authenticator, clientNonce: Caller.clientNonce)
        while true {
            switch step {
            case .ask(let request):
                step = dialogue.take(
                    self.caller.credentials(for: request, answers: self.scenario.answersChallenges),
                    &self.caller.attempt.authenticator,
                    clientNonce: Caller.clientNonce
                )
            case .send(let answer): return answer
            case .giveUp(let error, _): throw error
            }
        }
    }

    private func beginHop() throws(Violation) {
        guard self.caller.hops < Caller.mostHops else {
            throw Violation(.boundedTime, "one connect takes more than \(Caller.mostHops) hops")
        }
        // The server before learns that its client is gone.
        if !self.server.isOver {
            try self.act(.server, .gone) { $0.transportEnded(self.now) }
            guard self.server.isOver else { throw Violation(.boundedTime, "a server stays behind its transport") }
        }
        self.toServer = Wire()
        self.toClient = Wire()
        self.foreign = nil
        self.flood = nil
        self.asked = Asked(self.endpoints)
        self.revalidations.forget()
        self.revalidated = 0
        self.client = try self.caller.connect(self.configuration, self.scenario, now: self.now)
        self.server = Self.listen(self.configuration, self.scenario, now: self.now)
        self.trace.note(self.now, "hop \(self.caller.hops) to \(self.caller.attempt.url)")
        try self.comeUp()
        try self.start()
    }
}
