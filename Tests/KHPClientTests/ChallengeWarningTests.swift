import KHPClient
import KHPServer
import Logging
import Synchronization
import TestSupport
import Testing

@Suite("Basic without TLS")
struct ChallengeWarningTests {
    /// Counts warnings.
    private struct Counter: LogHandler {
        final class Count: Sendable {
            let warnings = Mutex(0)
        }

        let count: Count
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.warning

        init(_ count: Count) { self.count = count }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { self.metadata[key] }
            set { self.metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            if event.level == .warning { self.count.warnings.withLock { $0 += 1 } }
        }
    }

    @Test("works, with one warning however many rounds it takes (D21)")
    func oneWarning() async throws {
        let count = Counter.Count()
        var configuration = WebSocketClient.Configuration()
        configuration.logger = Logger(label: "test") { _ in Counter(count) }
        configuration.authentication.challengeHandler = BasicChallengeHandler { request in
            .basic(user: "joe", password: request.round < 3 ? "wrong \(request.round)" : "right")
        }
        let client = WebSocketClient(configuration: configuration)
        try await withServer {
            Endpoint(
                "/desk",
                options: .init(authentication: .init(realm: "desk", .basic { $1 == "right" ? Principal($0) : nil }))
            ) {
                (_: WebSocket) in
            }
        } body: { port in
            try await client.withConnection(to: "ws://127.0.0.1:\(port)/desk") { socket in
                #expect(socket.negotiated.challenges == 3)
            }
        }
        #expect(count.warnings.withLock { $0 } == 1)
    }
}
