// Each public asynchronous function that waits, cancelled while it does: it throws within a bound, and the socket goes on.

import KHPClient
import KHPProtocol
import KHPServer
import NIOCore
import TestSupport
import Testing

@Suite("Waits end when their task is cancelled (threat H7)")
struct CancellationTests {
    /// Longer than any of these takes where it works, shorter than any timeout that would end it otherwise.
    private static let bound = Duration.seconds(5 * Sanitizer.patience)

    /// Cancels `body`, at once or while it waits, and returns the error that it throws.
    private func error(
        after delay: Duration = .zero,
        of body: @escaping @Sendable () async throws -> Void
    ) async -> (any Error)? {
        let waiting = Task { try await body() }
        // Nothing tells that a task waits.
        if delay > .zero { try? await Task.sleep(for: delay) }
        let began = ContinuousClock.now
        waiting.cancel()
        let result = await waiting.result
        #expect(ContinuousClock.now - began < Self.bound)
        if case .failure(let error) = result { return error }
        return nil
    }

    // MARK: On a socket

    /// The functions of a socket that wait.
    enum Wait: String, CaseIterable, CustomTestStringConvertible {
        case receive, closed, ping
        case messages, chunks, texts, binaries
        case send, sendText, sendBytes, sendWithOptions, stream, pong

        var testDescription: String { self.rawValue }

        /// `true` for those that wait for the peer to read.
        var needsDeafPeer: Bool {
            switch self {
            case .send, .sendText, .sendBytes, .sendWithOptions, .stream, .pong: true
            default: false
            }
        }

        /// `true` for the sequences, whose errors are typed.
        var isSequence: Bool {
            switch self {
            case .messages, .chunks, .texts, .binaries: true
            default: false
            }
        }

        func wait(on socket: WebSocket) async throws {
            let bytes = ByteBuffer(repeating: 0x61, count: 1 << 16)
            switch self {
            case .receive: _ = try await socket.receive()
            case .closed: _ = try await socket.closed()
            case .ping: _ = try await socket.ping()
            case .messages: for try await _ in socket.messages {}
            case .chunks: for try await _ in socket.chunks {}
            case .texts: for try await _ in socket.texts {}
            case .binaries: for try await _ in socket.binaries {}
            case .send: while true { try await socket.send(.binary(bytes)) }
            case .sendText: while true { try await socket.send(String(buffer: bytes)) }
            case .sendBytes: while true { try await socket.send(bytes) }
            case .sendWithOptions: while true { try await socket.send(.binary(bytes), options: .uncompressed) }
            case .stream:
                try await socket.stream(.binary) { stream in while true { try await stream.write(bytes) } }
            case .pong:
                // Pongs alone take long to fill what the sockets hold.
                let filling = Task { while true { try await socket.send(.binary(bytes)) } }
                defer { filling.cancel() }
                while true { try await socket.pong(ByteBuffer(repeating: 0, count: 125)) }
            }
        }
    }

    /// A server that opens each socket and then says nothing; a deaf one does not even read.
    private func withSilentServer(isDeaf: Bool, _ body: (Int) async throws -> Void) async throws {
        let (finish, done) = AsyncStream.makeStream(of: Void.self)
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, outbound in
                var head = ByteBuffer()
                var reads = inbound.makeAsyncIterator()
                while head.readableBytesView.endOfHead == nil, let bytes = try await reads.next() {
                    head.writeImmutableBuffer(bytes)
                }
                let key = String(buffer: head).split(separator: "\r\n").compactMap { line in
                    line.lowercased().hasPrefix("sec-websocket-key: ") ? String(line.dropFirst(19)) : nil
                }
                let accept = AcceptKey.accept(for: key.first ?? "")
                let response =
                    "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: \(accept)\r\n\r\n"
                try await outbound.write(ByteBuffer(string: response))
                if isDeaf {
                    for await _ in finish {}
                } else {
                    while try await reads.next() != nil {}
                }
            }
        } body: { port in
            defer { done.finish() }
            try await body(port)
        }
    }

    @Test("each function of a socket", arguments: Wait.allCases, [Duration.zero, .milliseconds(30)])
    func socket(_ wait: Wait, after delay: Duration) async throws {
        try await self.withSilentServer(isDeaf: wait.needsDeafPeer) { port in
            var configuration = WebSocketClient.Configuration()
            configuration.timeouts.close = .milliseconds(100)
            if wait == .chunks { configuration.delivery = .chunks }
            let client = WebSocketClient(configuration: configuration)
            let socket = try await client.connect(to: "ws://127.0.0.1:\(port)/")
            let error = await self.error(after: delay) { try await wait.wait(on: socket) }
            if wait.isSequence {
                #expect((error as? WebSocketError)?.code == .cancelled)
            } else {
                #expect(error is CancellationError)
            }
            // It goes on, unless half a message has gone out; a close is not cut short, but bounded.
            let closing = Task { try await socket.close() }
            closing.cancel()
            let end = try await closing.value
            #expect(!end.clean)
        }
    }

    @Test("a socket whose waits were cancelled goes on")
    func goesOn() async throws {
        try await withServer {
            echo()
        } body: { port in
            let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/echo")
            for wait in [Wait.receive, .closed, .messages, .texts, .binaries] {
                let error = await self.error { try await wait.wait(on: socket) }
                #expect(error != nil)
            }
            // It was answered first, or not any more.
            let ping = await self.error { _ = try await socket.ping() }
            #expect(ping == nil || ping is CancellationError)
            #expect(try await socket.ping() > .zero)
            try await socket.send("hello")
            #expect(try await socket.receive() == .text("hello"))
            #expect(try await socket.close().clean)
        }
    }

    // MARK: Of a client

    /// The forms in which a socket is asked for.
    enum Form: CaseIterable {
        case connect, connectToURL
        case withConnection, withConnectionToURL
        case withReconnection, withReconnectionToURL
        case run, runToURL

        func ask(_ client: WebSocketClient, _ text: String) async throws {
            let url = try WebSocketURL(text)
            switch self {
            case .connect: _ = try await client.connect(to: text)
            case .connectToURL: _ = try await client.connect(to: url)
            case .withConnection: try await client.withConnection(to: text) { _ in }
            case .withConnectionToURL: try await client.withConnection(to: url) { _ in }
            case .withReconnection: try await client.withReconnection(to: text) { _ in }
            case .withReconnectionToURL: try await client.withReconnection(to: url) { _ in }
            case .run: try await client.run(to: text, messageHandler: { Silent() })
            case .runToURL: try await client.run(to: url, messageHandler: { Silent() })
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
            let began = ContinuousClock.now
            connecting.cancel()
            await #expect(throws: CancellationError.self) { try await connecting.value }
            #expect(ContinuousClock.now - began < Self.bound)
        }
    }

    // MARK: Of a server

    @Test("the wait for a server's address, which never runs; a run returns, as services do")
    func server() async throws {
        let server = WebSocketServer(
            configuration: .init(address: .hostname("127.0.0.1", port: 0)),
            endpoints: [echo()]
        )
        #expect(await self.error { _ = try await server.boundAddress() } is CancellationError)
        #expect(await self.error { _ = try await server.boundPort() } is CancellationError)
        let running = Task { try await server.run() }
        _ = try await server.boundPort()
        let began = ContinuousClock.now
        running.cancel()
        try await running.value
        #expect(ContinuousClock.now - began < Self.bound)
    }
}
