// The admin address, asked in ways that it must not guess about.

import KHPClient
import Testing

@testable import KHPGateway

extension GatewayTests {
    /// None of them may close more than it seems to ask for, nor list less.
    private static let wrongQuestions = [
        ("POST /sessions/close?service=echo&principle=joe", "did you mean principal?"),
        ("POST /sessions/close?service=echo&service=relay", "service stands there twice"),
        ("POST /sessions/close?all=false", "all takes no value"),
        ("POST /sessions/close?service=echo&code=1005", "must not be sent"),
        ("POST /sessions/close?service=echo&code=no", "code is a number"),
        ("POST /sessions/close?service=echo&over=", "over is a number of seconds"),
        ("POST /sessions/close?service=echo&over=+5", "over is a number of seconds"),
        ("DELETE /sessions/0?service=echo", "it takes code, reason, over"),
        ("GET /sessions?principle=joe", "did you mean principal?"),
        ("GET /sessions?limit=0", "limit is a number from 1 to 1000"),
        ("POST /drain?time=5", "it takes over"),
        ("POST /drain?over=", "over is a number of seconds"),
        ("DELETE /drain?over=5", "it takes none"),
        ("POST /reload?force", "it takes none"),
        ("POST /pools/p/backends/b?action=drain&for=5", "it takes action"),
    ]

    @Test("an operator who asks wrongly is told so, and nothing happens")
    func wrongQuestionsToOperators() async throws {
        try await Self.withGateway { view in
            let first = try await WebSocketClient().connect(to: view.url("/echo"))
            for (question, words) in Self.wrongQuestions {
                let (status, body) = try await view.admin(question)
                #expect(status == 400 && body.contains(words), "\(question): \(status) \(body)")
            }
            let bodied = try await view.admin(
                "POST /sessions/close?service=echo",
                headers: "Content-Length: 21\r\n\r\n{\"principal\": \"joe\"}\n"
            )
            #expect(bodied.status == 400 && bodied.body.contains("a body is not read"))
            #expect(try await view.admin("GET /load?now=1").status == 200)
            try await first.send("still here")
            #expect(try await first.receive() == .text("still here"))
            try await first.close()
        }
    }
}
