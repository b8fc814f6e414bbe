import KHPClient
import KHPServer
import NIOCore
import TestSupport
import Testing

@Suite("Shutting down")
struct ShutdownTests {
    @Test("open sockets are closed with 1001, pending handshakes are dropped, run returns")
    func drain() async throws {
        var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
        configuration.gracefulShutdownTimeout = .seconds(5)
        let server = WebSocketServer(configuration: configuration) { echo() }
        let run = Task { try await server.run() }
        let port = try await server.boundAddress().port ?? 0
        let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/echo")
        let pending = try await RawClient.connect(port)
        try await pending.send("GET /echo")
        // The server has seen the pending connection once it has answered one that came later.
        _ = try await WebSocketClient().withConnection(to: "ws://127.0.0.1:\(port)/echo") { try await $0.ping() }
        run.cancel()
        let info = try await socket.closed()
        #expect(info.code == .goingAway)
        #expect(info.clean)
        #expect(info.initiator == .peer)
        #expect(try await pending.receiveAll().readableBytes == 0)
        try await run.value
        await #expect(throws: WebSocketError.self) {
            _ = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/echo")
        }
    }

    @Test(
        "a peer that does not answer the close is dropped at the drain deadline, behind our close frame",
        arguments: [.milliseconds(200), .zero] as [Duration]
    )
    func stalled(_ timeout: Duration) async throws {
        var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
        configuration.gracefulShutdownTimeout = timeout
        let server = WebSocketServer(configuration: configuration) { echo() }
        let run = Task { try await server.run() }
        let port = try await server.boundAddress().port ?? 0
        let peer = try await RawClient.connect(port)
        try await peer.send(openingRequest("/echo"))
        _ = try await peer.receive { String(buffer: $0).hasSuffix("\r\n\r\n") }
        let began = ContinuousClock.now
        run.cancel()
        let rest = try await peer.receiveAll()
        try await run.value
        #expect(rest.readableBytesView.suffix(4).elementsEqual([0x88, 0x02, 0x03, 0xE9]))
        #expect(ContinuousClock.now - began < .seconds(5))
    }

    @Test("a handler that ignores its cancellation does not keep the server")
    func deaf() async throws {
        var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
        configuration.gracefulShutdownTimeout = .milliseconds(50)
        let (endless, release) = AsyncStream<Void>.makeStream()
        let server = WebSocketServer(configuration: configuration) {
            Endpoint("/deaf") { socket in
                try await socket.send("here")
                // A task of its own is not cancelled with the handler's.
                await Task { for await _ in endless {} }.value
            }
        }
        let run = Task { try await server.run() }
        let port = try #require(try await server.boundPort())
        let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/deaf")
        var messages = socket.messages.makeAsyncIterator()
        #expect(try await messages.next() == .text("here"))
        run.cancel()
        try await run.value
        release.finish()
    }
}

@Suite("Starting")
struct StartTests {
    @Test("an address in use is a clear error; a server runs once; waiting for the address can be cancelled")
    func listening() async throws {
        try await withServer {
            echo()
        } body: { port in
            let second = WebSocketServer(configuration: .init(address: .hostname("127.0.0.1", port: port))) { echo() }
            await #expect { try await second.run() } throws: { error in
                let error = error as? WebSocketError
                return error?.detail == .addressInUse
                    && error?.message == "The server cannot listen on 127.0.0.1:\(port): the address is in use."
            }
            await #expect { try await second.run() } throws: { ($0 as? WebSocketError)?.code == .invalidArgument }
        }
        let idle = WebSocketServer(configuration: .init(address: .hostname("127.0.0.1", port: 0))) { echo() }
        let waiting = Task { try await idle.boundPort() }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
    }
}
