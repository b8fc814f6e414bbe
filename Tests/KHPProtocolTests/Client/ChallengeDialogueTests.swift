import HTTPTypes
import NIOCore
import Testing

@testable import KHPProtocol

extension ConnectAttempt {
    /// A dialogue with somebody to ask.
    func dialogue(about response: HandshakeResponse, in layer: HandshakeLayer) -> ChallengeDialogue {
        self.dialogue(about: response, in: layer, hasHandler: true, patience: .seconds(120), now: .at(0))
    }
}

/// The table in the header of `ChallengeDialogue`, cell by cell.
@Suite("The dialogue about a challenge")
struct ChallengeDialogueTests {
    private static let joe = Credentials.login(user: "joe", password: "welcome")
    private static let jane = Credentials.login(user: "jane", password: "secret")

    private static func attempt(limit: Int = 4) throws -> ConnectAttempt {
        let url = try WebSocketURL("ws://a.example/desk")
        return ConnectAttempt(
            ClientPlan(url: url),
            redirects: RedirectTracker(from: url),
            authenticator: Authenticator(limit: limit)
        )
    }

    private static func response(_ challenges: String...) -> HandshakeResponse {
        var fields = HTTPFields()
        for challenge in challenges { fields.append(HTTPField(name: .wwwAuthenticate, value: challenge)) }
        return HandshakeResponse(status: 401, reason: "Unauthorized", headers: fields)
    }

    /// A step as a text to compare.
    private static func words(_ step: ChallengeDialogue.Step) -> String {
        switch step {
        case .ask(let request): "ask \(request.scheme)"
        case .send(let answer): "send \(answer.request.scheme) \(answer.count)"
        case .giveUp(let error, let request):
            "give up \(error.code) \(error.detail?.description ?? "-") \(request?.scheme ?? "-")"
        }
    }

    @Test("new: nobody to ask, nothing that can be asked, or the first question")
    func begins() throws {
        for (challenge, hasHandler, expected) in [
            ("Basic realm=\"a\"", true, "ask Basic"),
            ("Basic realm=\"a\"", false, "give up authentication-failed no-credentials Basic"),
            ("Digest realm=\"a\"", true, "give up authentication-failed unusable-challenge -"),
        ] {
            var attempt = try Self.attempt()
            var dialogue = attempt.dialogue(
                about: Self.response(challenge),
                in: .extended,
                hasHandler: hasHandler,
                patience: .seconds(1),
                now: .at(0)
            )
            #expect(Self.words(dialogue.begin(&attempt.authenticator, clientNonce: "n")) == expected)
        }
    }

    @Test("new: a nonce that was too old is answered without a question, with the credentials that are known")
    func renews() throws {
        var attempt = try Self.attempt()
        let digest = "Digest realm=\"a\", algorithm=SHA-256, qop=\"auth\""
        var first = attempt.dialogue(about: Self.response("\(digest), nonce=\"1\""), in: .extended)
        _ = first.begin(&attempt.authenticator, clientNonce: "n")
        #expect(Self.words(first.take(Self.joe, &attempt.authenticator, clientNonce: "n")) == "send Digest 1")
        var second = attempt.dialogue(about: Self.response("\(digest), nonce=\"2\", stale=true"), in: .extended)
        #expect(Self.words(second.begin(&attempt.authenticator, clientNonce: "n")) == "send Digest 2")
    }

    @Test("asking: one challenge after the other, as long as there is nothing for it or only what was refused")
    func asks() throws {
        var attempt = try Self.attempt()
        let response = Self.response("Own realm=\"a\"", "Basic realm=\"a\"")
        var first = attempt.dialogue(about: response, in: .extended)
        #expect(Self.words(first.begin(&attempt.authenticator, clientNonce: "n")) == "ask Own")
        #expect(Self.words(first.take(nil, &attempt.authenticator, clientNonce: "n")) == "ask Basic")
        #expect(Self.words(first.take(Self.joe, &attempt.authenticator, clientNonce: "n")) == "send Basic 1")
        // Joe was refused: another challenge may still be answered, and somebody else may know better.
        var second = attempt.dialogue(about: response, in: .extended)
        #expect(Self.words(second.begin(&attempt.authenticator, clientNonce: "n")) == "ask Own")
        #expect(Self.words(second.take(Self.joe, &attempt.authenticator, clientNonce: "n")) == "ask Basic")
        var third = second
        var other = attempt
        let refused = "give up authentication-failed credentials-refused Own"
        #expect(Self.words(second.take(Self.joe, &attempt.authenticator, clientNonce: "n")) == refused)
        #expect(Self.words(third.take(Self.jane, &other.authenticator, clientNonce: "n")) == "send Basic 2")
    }

    @Test("asking: credentials that do not fit, and nothing for any challenge")
    func unanswered() throws {
        var attempt = try Self.attempt()
        var dialogue = attempt.dialogue(about: Self.response("Basic realm=\"a\""), in: .opening)
        _ = dialogue.begin(&attempt.authenticator, clientNonce: "n")
        var wrong = dialogue
        var copy = attempt
        let misfit = wrong.take(.bearer("gold"), &copy.authenticator, clientNonce: "n")
        #expect(Self.words(misfit) == "give up invalid-argument - Basic")
        let nothing = dialogue.take(nil, &attempt.authenticator, clientNonce: "n")
        #expect(Self.words(nothing) == "give up authentication-failed no-credentials Basic")
        guard case .giveUp(let error, _) = nothing else { return }
        #expect(error.response?.status == 401)
        #expect(error.phase == .opening)
        #expect(error.url == attempt.url)
        #expect(ChallengeDialogue.closeCode(after: error) == .normalClosure)
    }

    @Test("time over, in every state: the connect fails, and a WebSocket closes with 1008 (threat E12)")
    func times() throws {
        for steps in 0...2 {
            var attempt = try Self.attempt()
            var dialogue = attempt.dialogue(about: Self.response("Basic realm=\"a\""), in: .extended)
            #expect(dialogue.deadline == .at(120))
            if steps > 0 { _ = dialogue.begin(&attempt.authenticator, clientNonce: "n") }
            if steps > 1 { _ = dialogue.take(Self.joe, &attempt.authenticator, clientNonce: "n") }
            guard case .giveUp(let error, _) = dialogue.timeReached() else {
                Issue.record("it goes on")
                return
            }
            #expect(error.code == .timeout)
            #expect(ChallengeDialogue.closeCode(after: error) == .policyViolation)
        }
    }

    enum Move { case begin, credentials, time }

    /// Makes these moves, one behind the other.
    static func play(_ moves: Move...) throws {
        var attempt = try Self.attempt()
        var dialogue = attempt.dialogue(about: Self.response("Basic realm=\"a\""), in: .extended)
        for move in moves {
            switch move {
            case .begin: _ = dialogue.begin(&attempt.authenticator, clientNonce: "n")
            case .credentials: _ = dialogue.take(Self.joe, &attempt.authenticator, clientNonce: "n")
            case .time: _ = dialogue.timeReached()
            }
        }
    }

    @Test("a second beginning and credentials that nobody asked for are our own bugs, in every state")
    func bugs() async throws {
        try Self.play(.begin, .credentials, .time)
        await #expect(processExitsWith: .failure) { try ChallengeDialogueTests.play(.credentials) }
        await #expect(processExitsWith: .failure) { try ChallengeDialogueTests.play(.begin, .begin) }
        await #expect(processExitsWith: .failure) { try ChallengeDialogueTests.play(.time, .begin) }
        await #expect(processExitsWith: .failure) { try ChallengeDialogueTests.play(.time, .credentials) }
    }

    @Test("more challenges than the limit")
    func limited() throws {
        var attempt = try Self.attempt(limit: 1)
        var first = attempt.dialogue(about: Self.response("Basic realm=\"a\""), in: .extended)
        _ = first.begin(&attempt.authenticator, clientNonce: "n")
        _ = first.take(Self.joe, &attempt.authenticator, clientNonce: "n")
        var second = attempt.dialogue(about: Self.response("Basic realm=\"b\""), in: .extended)
        let step = second.begin(&attempt.authenticator, clientNonce: "n")
        #expect(Self.words(step) == "give up authentication-failed credentials-refused -")
    }
}

@Suite("The course of a hop")
struct HopCourseTests {
    private static func words(_ course: HopCourse) throws -> String {
        let url = try WebSocketURL("ws://a.example/")
        let end: HopCourse.End
        do throws(WebSocketError) {
            end = try course.end(at: url)
        } catch {
            return error.code.description
        }
        switch end {
        case .again(let answer): return "again with \(answer?.request.scheme ?? "nothing")"
        case .challenged(let response, let layer): return "answer \(response.status) of the \(layer)"
        case .redirected(let outcome): return "follow \(outcome.response.status)"
        }
    }

    private static func outcome(_ kind: HopOutcome.Kind, _ status: Int) -> HopOutcome {
        HopOutcome(kind: kind, layer: .extended, response: HandshakeResponse(status: status, reason: ""))
    }

    private static func answer() throws -> ChallengeAnswer {
        let url = try WebSocketURL("ws://a.example/")
        return ChallengeAnswer(
            request: ChallengeRequest(url: url, layer: .opening, scheme: "Basic"),
            place: .origin(url, .opening),
            authorization: RequestAuthorization("Basic x"),
            count: 1
        )
    }

    @Test("each end of a connection leads somewhere")
    func ends() throws {
        var course = HopCourse()
        #expect(!course.isDecided)
        #expect(try Self.words(course) == "closed-during-handshake")
        for (kind, status, expected) in [
            (.challenge, 401, "answer 401 of the extended"), (.replayLost, 401, "again with nothing"),
            (.redirect, 302, "follow 302"), (.choose, 300, "follow 300"), (.balancer, 302, "follow 302"),
            (.upgrade, 426, "follow 426"),
        ] as [(HopOutcome.Kind, Int, String)] {
            course.ended(Self.outcome(kind, status))
            #expect(course.isDecided)
            #expect(try Self.words(course) == expected)
        }
    }

    @Test("an answer goes out on a fresh connection unless this one took it")
    func answers() throws {
        var course = HopCourse()
        course.holds(try Self.answer())
        #expect(try Self.words(course) == "again with Basic")
        course.sent()
        #expect(!course.isDecided)
        #expect(try Self.words(course) == "closed-during-handshake")
        course.ended(Self.outcome(.replayLost, 401))
        #expect(try Self.words(course) == "again with nothing")
    }

    @Test("the first failure counts, whatever else there is")
    func fails() throws {
        var course = HopCourse()
        course.holds(try Self.answer())
        course.ended(Self.outcome(.redirect, 302))
        course.failed(WebSocketError(.timeout, ""))
        course.failed(WebSocketError(.closedDuringHandshake, ""))
        #expect(try Self.words(course) == "timeout")
    }
}
