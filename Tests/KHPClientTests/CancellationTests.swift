import KHPClient
import KHPServer
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
            let waiting = Task { await socket.closed() }
            waiting.cancel()
            #expect(await waiting.value.error?.code == .cancelled)
            let ping = Task { try await socket.ping() }
            ping.cancel()
            // It was answered first, or not any more.
            if case .failure(let error) = await ping.result { #expect(error is CancellationError) }
            // The socket itself goes on.
            #expect(try await socket.ping() > .zero)
            #expect(try await socket.close().clean)
        }
    }
}
