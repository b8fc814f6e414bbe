import KHPClient
import KHPServer
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@Suite("What a client says when it cannot open a socket")
struct ConnectFailureTests {
    private func failure(
        _ url: String,
        _ configure: (inout WebSocketClient.Configuration) -> Void = { _ in }
    ) async -> WebSocketError? {
        var configuration = WebSocketClient.Configuration()
        configuration.timeouts.close = .milliseconds(100)
        configure(&configuration)
        do {
            let socket = try await WebSocketClient(configuration: configuration).connect(to: url)
            try await socket.close()
            return nil
        } catch {
            return error as? WebSocketError
        }
    }

    @Test(
        "an invalid URL is refused before anything is dialled (R-U2)",
        arguments: ["", "ftp://x", "ws://x/#y", "ws://"]
    )
    func invalidURL(_ url: String) async {
        #expect(await self.failure(url)?.code == .invalidURL)
    }

    @Test("an unresolvable host, and a port where nobody listens")
    func unreachable() async {
        let unknown = await self.failure("ws://no-such-host.invalid/")
        #expect(unknown?.code == .connectFailed)
        #expect(unknown?.detail == .nameNotResolved)
        let error = await self.failure("ws://127.0.0.1:1/")
        #expect(error?.code == .connectFailed)
        #expect(error?.message.contains("refused") == true)
        #expect(error?.detail == .connectionRefused)
        let elsewhere = await self.failure("ws://h.invalid/") { $0.connectTo = .host("127.0.0.1", port: 1) }
        #expect(elsewhere?.detail == .otherPlace)
    }

    @Test("a silent server: at the opening and inside")
    func silent() async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, _ in for try await _ in inbound {} }
        } body: { port in
            let error = await self.failure("ws://127.0.0.1:\(port)/") { $0.timeouts.opening = .milliseconds(100) }
            #expect(error?.code == .timeout)
            let total = await self.failure("ws://127.0.0.1:\(port)/") { $0.timeouts.total = .milliseconds(100) }
            #expect(total?.code == .timeout)
        }
        // Never yields: the endpoint waits until it is cancelled.
        let (answer, hold) = AsyncStream.makeStream(of: Void.self)
        defer { hold.finish() }
        try await withServer {
            Endpoint("/x") { _ in
                for await _ in answer {}
                return .complete()
            }
        } body: { port in
            let error = await self.failure("ws://127.0.0.1:\(port)/x") { $0.timeouts.extended = .milliseconds(100) }
            #expect(error?.code == .timeout)
            #expect(error?.phase == .extended)
        }
    }

    @Test("garbage instead of an answer", arguments: ["garbage\r\n\r\n", "HTTP/1.1 101 \r\n\r\n", "SSH-2.0-x\r\n"])
    func garbage(_ answer: String) async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, outbound in
                try await outbound.write(ByteBuffer(string: answer))
                for try await _ in inbound {}
            }
        } body: { port in
            #expect(await self.failure("ws://127.0.0.1:\(port)/")?.code == .openingInvalid)
        }
    }

    @Test("a cancelled connect ends at once, in every stage")
    func cancelled() async throws {
        let (connected, tell) = AsyncStream.makeStream(of: Void.self)
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, _ in for try await _ in inbound { tell.yield() } }
        } body: { port in
            let connecting = Task { try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/") }
            for await _ in connected { break }
            connecting.cancel()
            await #expect { try await connecting.value } throws: { $0 is CancellationError }
        }
    }

    @Test("a connect is cancelled at once while nothing answers over TCP (threat H7)", arguments: [false, true])
    func cancelledBeforeTCP(isProxied: Bool) async throws {
        // Nothing accepts, and the queue is full: the system drops new connections.
        let group = MultiThreadedEventLoopGroup.singleton
        let listener = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 0)
            .serverChannelOption(.autoRead, value: false)
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(listener.localAddress?.port)
        let filler = try await ClientBootstrap(group: group).connect(host: "127.0.0.1", port: port).get()
        var configuration = WebSocketClient.Configuration()
        let (dialling, tell) = AsyncStream.makeStream(of: Void.self)
        configuration.observe = { event, _ in if case .connecting = event { tell.yield() } }
        if isProxied { configuration.proxy = .proxy(try Proxy("http://127.0.0.1:\(port)")) }
        let client = WebSocketClient(configuration: configuration)
        let connecting = Task { try await client.connect(to: "ws://127.0.0.1:\(port)/") }
        for await _ in dialling { break }
        // The connect has reported its beginning; an unanswered request has no event.
        try await Task.sleep(for: .milliseconds(100))
        let began = ContinuousClock.now
        connecting.cancel()
        await #expect { try await connecting.value } throws: { $0 is CancellationError }
        #expect(ContinuousClock.now - began < .seconds(3))
        try await filler.close()
        try await listener.close()
    }

    @Test("one connection in CONNECTING state for an address; the next waits its turn (R-C1)")
    func connectingState() async throws {
        let open = Mutex((now: 0, most: 0))
        try await withRawServer { connection in
            let most = open.withLock { open in
                open.now += 1
                open.most = max(open.most, open.now)
                return open.most
            }
            #expect(most == 1)
            try await connection.executeThenClose { inbound, outbound in
                for try await _ in inbound { break }
                open.withLock { $0.now -= 1 }
                try await outbound.write(ByteBuffer(string: "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"))
            }
        } body: { port in
            let client = WebSocketClient()
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<10 {
                    group.addTask { _ = try? await client.connect(to: "ws://127.0.0.1:\(port)/") }
                }
            }
        }
    }
}
