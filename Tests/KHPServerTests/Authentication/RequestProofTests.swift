// Proofs outside of Authorization, beside schemes that ask for it and alone.

import KHPClient
import KHPServer
import TestSupport
import Testing

@Suite("Proofs in the request itself")
struct RequestProofTests {
    private static func ticket(_ name: String, _ right: String) -> AuthenticationScheme {
        .request { request in
            guard let ticket = request.query[name] else { return .absent }
            return ticket == right ? .right(Principal(name, realm: "box office")) : .wrong
        }
    }

    private static let password = AuthenticationScheme.basic { $0 == "joe" && $1 == "welcome" ? "joe" : nil }

    /// Connects with a query.
    /// - Returns: name and realm of the principal, or the status of the refusal.
    private func outcome(
        _ schemes: [AuthenticationScheme],
        _ query: String,
        _ policy: ExtendedHandshakePolicy
    ) async throws -> String {
        let authentication = ServerAuthentication(realm: "desk", schemes: schemes)
        return try await withServer {
            Endpoint("/", options: .init(authentication: authentication)) { socket in
                let principal = socket.negotiated.principal
                try await socket.send("\(principal?.name ?? "nobody") of \(principal?.realm ?? "nowhere")")
            }
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            configuration.extended.policy = policy
            configuration.authentication.challengeHandler = LoginChallengeHandler(user: "joe", password: "welcome")
            do {
                let url = "ws://127.0.0.1:\(port)/?\(query)"
                let socket = try await WebSocketClient(configuration: configuration).connect(to: url)
                for try await case .text(let text) in socket.messages { return text }
                return "nothing"
            } catch let error as WebSocketError {
                return "\(error.response?.status ?? 0)"
            }
        }
    }

    @Test(
        "count before credentials, in their order, and leave those that bring none to the other schemes",
        arguments: [ExtendedHandshakePolicy.required, .off]
    )
    func order(_ policy: ExtendedHandshakePolicy) async throws {
        let schemes = [Self.ticket("a", "1"), Self.password, Self.ticket("b", "2")]
        #expect(try await self.outcome(schemes, "a=1", policy) == "a of box office")
        #expect(try await self.outcome(schemes, "b=2", policy) == "b of box office")
        #expect(try await self.outcome(schemes, "b=2&a=1", policy) == "a of box office")
        #expect(try await self.outcome(schemes, "c=3", policy) == "joe of desk")
        // A wrong ticket is a wrong answer, whatever else is right.
        #expect(try await self.outcome(schemes, "b=1", policy) == "401")
    }

    @Test("are asked for with 403 where nothing else is", arguments: [ExtendedHandshakePolicy.required, .off])
    func alone(_ policy: ExtendedHandshakePolicy) async throws {
        let schemes = [Self.ticket("a", "1")]
        #expect(try await self.outcome(schemes, "a=1", policy) == "a of box office")
        #expect(try await self.outcome(schemes, "a=2", policy) == "403")
        #expect(try await self.outcome(schemes, "", policy) == "403")
    }
}
