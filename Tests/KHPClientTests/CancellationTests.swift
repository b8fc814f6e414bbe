import KHPClient
import KHPServer
import NIOCore
import TestSupport
import Testing

@Suite("Waits on a socket end when their task is cancelled (threat H7)")
struct CancellationTests {
    @Test("ping and closed")
    func waits() async throws {
        try await withServer {
            echo()
        } body: { port in
            let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/echo")
            let waiting = Task { try await socket.closed() }
            waiting.cancel()
            await #expect(throws: CancellationError.self) { try await waiting.value }
            let ping = Task { try await socket.ping() }
            ping.cancel()
            // It was answered first, or not any more.
            if case .failure(let error) = await ping.result { #expect(error is CancellationError) }
            // The socket itself goes on.
            #expect(try await socket.ping() > .zero)
            #expect(try await socket.close().clean)
        }
    }

    /// The forms in which a socket is asked for.
    enum Form: CaseIterable {
        case connect
        case withConnection
        case withReconnection
        case run

        func ask(_ client: WebSocketClient, _ url: String) async throws {
            switch self {
            case .connect: _ = try await client.connect(to: url)
            case .withConnection: try await client.withConnection(to: url) { _ in }
            case .withReconnection: try await client.withReconnection(to: url) { _ in }
            case .run: try await client.run(to: url, messageHandler: { Silent() })
            }
        }
    }

    private final class Silent: MessageHandler {
        func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {}
    }

    @Test("a connect in any form", arguments: Form.allCases)
    func connects(_ form: Form) async throws {
        let (asked, tell) = AsyncStream.makeStream(of: Void.self)
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, _ in for try await _ in inbound { tell.yield() } }
        } body: { port in
            let connecting = Task { try await form.ask(WebSocketClient(), "ws://127.0.0.1:\(port)/") }
            for await _ in asked { break }
            connecting.cancel()
            await #expect(throws: CancellationError.self) { try await connecting.value }
        }
    }
}
