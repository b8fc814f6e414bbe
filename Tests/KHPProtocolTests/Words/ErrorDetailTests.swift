import HTTPTypes
import KHPProtocol
import NIOCore
import Testing

/// The detail comes from the place where an error is made, never from its words, which may hold a peer's text.
@Suite("Details of errors")
struct ErrorDetailTests {
    @Test("each has a name of its own, a token")
    func names() {
        let names = WebSocketError.Detail.allCases.map(\.description)
        #expect(Set(names).count == names.count)
        for name in names { #expect(Token.isToken(name)) }
    }

    @Test(
        "a refused redirect, whatever words the server puts into its target",
        arguments: [
            ("wss://a.example/", "ws://a.example/", .always, 302, .leavesTLS),
            ("wss://a.example/", "ws://a.example/308", .always, 301, .leavesTLS),
            ("wss://a.example/", "wss://other.example/TLS/308", .sameOrigin, 302, .policy),
            ("wss://a.example/", "wss://policy.example:308/", .always, 308, .status308),
            ("wss://a.example/", "wss://a.example:25/TLS", .always, 302, .unusableTarget),
            ("wss://a.example/", "gopher://policy/308", .always, 302, .unusableTarget),
            ("wss://a.example/", nil, .always, 300, .unusableTarget),
            ("wss://a.example/", nil, .always, 302, .unusableTarget),
        ] as [(String, String?, RedirectPolicy, Int, WebSocketError.Detail)]
    )
    func redirects(
        _ url: String,
        _ target: String?,
        _ policy: RedirectPolicy,
        _ status: Int,
        _ expected: WebSocketError.Detail
    ) throws {
        let url = try WebSocketURL(url)
        var tracker = RedirectTracker(from: url, policy: policy)
        let candidates = target.map { [$0] } ?? []
        let error = #expect(throws: WebSocketError.self) {
            try tracker.follow(status: status, candidates: candidates, from: url)
        }
        #expect(error?.code == .redirectRefused)
        #expect(error?.detail == expected)
    }

    @Test("of several Location fields none can be chosen")
    func severalTargets() throws {
        let url = try WebSocketURL("ws://a.example/")
        var tracker = RedirectTracker(from: url)
        let error = #expect(throws: WebSocketError.self) {
            try tracker.follow(status: 302, candidates: ["/a", "/b"], from: url)
        }
        #expect(error?.detail == .unusableTarget)
    }

    /// A connect whose server challenges with `fields`, and what is said about it.
    private func refusal(
        challenges: [String],
        limit: Int = 4,
        answers: [Credentials] = [],
        at layer: HandshakeLayer = .opening
    ) throws -> WebSocketError? {
        let url = try WebSocketURL("ws://a.example/refused")
        var authenticator = Authenticator(limit: limit)
        let place = Authenticator.Challenger.origin(url, layer)
        let target = Authenticator.Target(method: "GET", uri: "/refused")
        var answers = answers
        do {
            for challenge in challenges {
                let asked = try authenticator.challenged(
                    by: HandshakeResponse(
                        status: 401,
                        reason: "",
                        headers: challenge.isEmpty ? [:] : [.wwwAuthenticate: challenge]
                    ),
                    at: place,
                    url: url,
                    originalURL: url,
                    target: target,
                    clientNonce: "n"
                )
                guard case .ask(let requests) = asked, let first = requests.first, !answers.isEmpty else { return nil }
                _ = try authenticator.answer(
                    answers.removeFirst(),
                    to: first,
                    at: place,
                    target: target,
                    clientNonce: "n"
                )
            }
            return nil
        } catch {
            return error
        }
    }

    @Test("a challenge that is not answered")
    func challenges() throws {
        let joe = Credentials.login(user: "joe", password: "wrong")
        let again = try self.refusal(
            challenges: ["Basic realm=\"a\"", "Basic realm=\"a\""],
            answers: [joe, joe]
        )
        #expect(again?.detail == .credentialsRefused)
        let weaker = try self.refusal(
            challenges: ["Digest realm=\"a\", nonce=\"x\", algorithm=SHA-256, qop=\"auth\"", "Basic realm=\"a\""],
            answers: [joe, joe]
        )
        #expect(weaker?.detail == .unusableChallenge)
        #expect(try self.refusal(challenges: [""])?.detail == .unusableChallenge)
        let tooMany = try self.refusal(
            challenges: ["Basic realm=\"a\"", "Basic realm=\"b\""],
            limit: 1,
            answers: [joe, joe]
        )
        #expect(tooMany?.detail == .credentialsRefused)
    }

    @Test("times in errors are said as people say them")
    func times() {
        #expect(Duration.seconds(10).words == "10 s")
        #expect(Duration.milliseconds(250).words == "0.25 s")
        #expect(Duration.milliseconds(2500).words == "2.5 s")
    }
}
