import KHPClient
import KHPServer
import NIOCore
import Synchronization
import TestSupport
import Testing

@Suite("Bounds that hold against slow, silent and greedy peers")
struct BoundsTests {
    @Test("a request that is not complete in time is answered 408 (threat A2)")
    func slowOpening() async throws {
        try await withServer {
            $0.timeouts.opening = .seconds(1)
        } endpoints: {
            echo()
        } body: { port in
            let client = try await RawClient.connect(port)
            try await client.send("GET /echo HTTP/1.1\r\nHost:")
            #expect(try await Self.answer(to: client)?.hasPrefix("HTTP/1.1 408 ") == true)
        }
    }

    @Test("an endpoint or handler that does not answer in time is answered for with 503", arguments: [false, true])
    func lateEndpoint(asksForUpgrade: Bool) async throws {
        try await withServer {
            $0.timeouts.opening = .milliseconds(200)
            $0.respondToHTTP = { _ in
                // Ends with the connection, which cancels it.
                try? await Task.sleep(for: .seconds(60))
                return .text("late")
            }
        } endpoints: {
            Endpoint(
                "/late",
                respond: { _ in
                    try? await Task.sleep(for: .seconds(60))
                    return .complete()
                }
            ) { (_: WebSocket) in }
        } body: { port in
            let client = try await RawClient.connect(port)
            try await client.send(
                asksForUpgrade ? openingRequest("/late") : "GET /late HTTP/1.1\r\nHost: a\r\n\r\n"
            )
            let answer = String(buffer: try await client.receiveAll())
            #expect(answer.hasPrefix("HTTP/1.1 503 Service Unavailable\r\n"), "\(answer)")
            #expect(answer.contains("The endpoint did not answer in time."))
        }
    }

    @Test("a connection that says nothing is dropped")
    func silentOpening() async throws {
        try await withServer {
            $0.timeouts.opening = .milliseconds(100)
        } endpoints: {
            echo()
        } body: { port in
            let client = try await RawClient.connect(port)
            #expect(try await Self.answer(to: client) == "")
        }
    }

    @Test("a TLS handshake that stalls has the opening's time, and gets no answer (threat H5)")
    func stalledTLS() async throws {
        let tls = try CertificateAuthority.shared.get().server("DNS:localhost")
        try await withServer {
            $0.tls = tls
            $0.timeouts.opening = .milliseconds(100)
        } endpoints: {
            echo()
        } body: { port in
            let client = try await RawClient.connect(port)
            // The head of a record, and nothing behind it.
            try await client.send([0x16, 0x03, 0x01, 0x02, 0x00])
            #expect(try await Self.answer(to: client) == "")
        }
    }

    /// All that a server says to a client that waits; `nil` where it does not end the connection.
    private static func answer(to client: RawClient) async throws -> String? {
        let began = ContinuousClock.now
        let patience = Task {
            try await Task.sleep(for: .seconds(5 * Sanitizer.patience))
            try await client.close()
        }
        defer { patience.cancel() }
        let answer = String(buffer: try await client.receiveAll())
        return ContinuousClock.now - began < .seconds(4 * Sanitizer.patience) ? answer : nil
    }

    @Test("silence after the opening is closed with 1008, pings or not (D15, threat E1)", arguments: [false, true])
    func silentExtended(_ pings: Bool) async throws {
        try await withServer {
            $0.timeouts.extended = .milliseconds(200)
            $0.timeouts.close = .milliseconds(200)
        } endpoints: {
            echo()
        } body: { port in
            let client = try await RawClient.connect(port)
            try await client.send(openingRequest("/echo", protocols: "x-kaazing-handshake"))
            if pings { try await client.send(maskedFrame(9, [1])) }
            let answer = try await client.receiveAll()
            #expect(answer.readableBytesView.suffix(4).elementsEqual([0x88, 0x02, 0x03, 0xF0]))
        }
    }

    @Test("a message over the limit is closed with 1009, before it has arrived (threats B1, B2)")
    func tooBig() async throws {
        try await withServer {
            $0.limits.messages.messageBytes = 1000
        } endpoints: {
            echo()
        } body: { port in
            let client = try await RawClient.connect(port)
            try await client.send(openingRequest("/echo"))
            try await client.send([0x82, 0xFF, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4])
            let answer = try await client.receiveAll()
            #expect(answer.readableBytesView.contains(sequence: [0x03, 0xF1]))
        }
    }

    @Test("connections beyond the maximum are turned away (R-C2, threat H2)")
    func maximum() async throws {
        try await withServer {
            $0.limits.connections = 1
        } endpoints: {
            echo()
        } body: { port in
            let first = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/echo")
            let second = try await RawClient.connect(port)
            let answer = String(buffer: try await second.receiveAll())
            #expect(answer.hasPrefix("HTTP/1.1 503 "))
            try await first.close()
        }
    }

    @Test("a consumer that does not take messages stops the sender, and loses nothing (threat B16)")
    func backPressure() async throws {
        let (release, open) = AsyncStream.makeStream(of: Void.self)
        try await withServer {
            Endpoint("/slow") { socket in
                for await _ in release { break }
                var count = 0
                for try await message in socket.messages {
                    #expect(message.byteCount == 100_000)
                    count += 1
                    if count == 200 { try await socket.send("all") }
                }
            }
        } body: { port in
            try await WebSocketClient().withConnection(to: "ws://127.0.0.1:\(port)/slow") { socket in
                let sent = Mutex(0)
                let send: @Sendable () async throws -> Void = {
                    for _ in 0..<200 {
                        try await socket.send(ByteBuffer(repeating: 1, count: 100_000))
                        sent.withLock { $0 += 1 }
                    }
                }
                async let sending: Void = send()
                // 20 MB cannot all be under way while nobody reads: the sender stands still, and goes on once it is let go.
                let stood = await Self.standstill(of: sent)
                #expect(stood < 200, "\(stood) of 200 messages were taken while nobody read")
                open.yield()
                try await sending
                var messages = socket.messages.makeAsyncIterator()
                #expect(try await messages.next() == .text("all"))
            }
        }
    }

    /// The count once it has begun, and has not moved for a while.
    private static func standstill(of count: borrowing Mutex<Int>) async -> Int {
        var (last, quiet) = (0, 0)
        while quiet < 5 {
            try? await Task.sleep(for: .milliseconds(10))
            let now = count.withLock { $0 }
            quiet = now > 0 && now == last ? quiet + 1 : 0
            last = now
        }
        return last
    }

    @Test("an idle connection is closed with 1001")
    func idle() async throws {
        try await withServer {
            $0.keepAlive.idleTimeout = .milliseconds(100)
        } endpoints: {
            echo()
        } body: { port in
            let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/echo")
            let info = try await socket.closed()
            #expect(info.code == .goingAway)
            #expect(info.clean)
        }
    }

    @Test("a peer that does not answer pings is dropped")
    func deadPeer() async throws {
        try await withServer {
            $0.keepAlive.pingInterval = .milliseconds(50)
            $0.keepAlive.pongTimeout = .milliseconds(50)
        } endpoints: {
            echo()
        } body: { port in
            let client = try await RawClient.connect(port)
            try await client.send(openingRequest("/echo"))
            let answer = try await client.receiveAll()
            #expect(answer.readableBytesView.contains(sequence: [0x89, 0x08]))
        }
    }
}

extension ByteBufferView {
    func contains(sequence: [UInt8]) -> Bool {
        guard self.count >= sequence.count else { return false }
        return self.indices.dropLast(sequence.count - 1).contains { start in
            self[start..<(start + sequence.count)].elementsEqual(sequence)
        }
    }
}
