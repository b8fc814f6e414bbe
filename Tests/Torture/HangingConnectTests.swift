// A connect that hangs: the peer's system has no room, and answers nothing. Over sockets only, where no other fault does
// the same: the caller gives up, or a deadline comes, or another address answers.

#if os(Linux)
    import KHPProtocol
    import KHPServer
    import NIOCore
    import NIOPosix
    import TestSupport
    import Testing

    @testable import KHPClient

    @Suite("A connect that hangs", .serialized)
    struct HangingConnectTests {
        /// The thing that ends the wait.
        enum End: String, CaseIterable, CustomTestStringConvertible {
            case cancelled = "the caller is cancelled"
            case connectDeadline = "the deadline of TCP comes"
            case totalDeadline = "the deadline of the whole connect comes"
            case otherAddress = "another address answers"
            case nextInLine = "the caller is cancelled, and so is one that waits for its place"

            var testDescription: String { self.rawValue }
        }

        private static let wait = Duration.milliseconds(200)
        /// Far longer than any of it takes, and shorter than what the system takes to give up.
        private static let life = Duration.seconds(5) * Sanitizer.patience

        @Test("ends at once, and nothing is left", arguments: End.allCases)
        func ends(_ end: End) async throws {
            // All that is made once is there before.
            _ = (TortureRun.connections, TortureRun.callers, TortureSettings.serverContext)
            try await Self.leavingNothing {
                try await BlockingSocket.withoutRoom { port in
                    try await withServer {
                        echo()
                    } body: { other in
                        try await Self.connect(to: end == .otherAddress ? [port, other] : [port], end)
                    }
                }
            }
        }

        private static func connect(to ports: [Int], _ end: End) async throws {
            let watch = Watch()
            let (dialled, tell) = AsyncStream.makeStream(of: Void.self)
            var configuration = TortureSettings(FaultPlan(nil), watch).client(
                Scenario.all[0],
                hooks: ShellHooks(prepare: { channel in
                    watch.note(channel, "client channel")
                    tell.yield()
                })
            )
            configuration.timeouts.connect = end == .connectDeadline ? Self.wait : Self.life
            configuration.timeouts.total = end == .totalDeadline ? Self.wait : Self.life
            // One connect at a time goes to an address, so the other one is another.
            configuration.lookUp = { _, _ in
                try zip([BlockingSocket.fullAddress, "127.0.0.1"], ports).map { host, port in
                    try SocketAddress(ipAddress: host, port: port)
                }
            }
            let client = WebSocketClient(configuration: configuration, eventLoopGroup: TortureRun.connections)
            let began = ContinuousClock.now
            func call() -> Task<WebSocketMessage, any Error> {
                Task {
                    try await client.withConnection(to: "ws://localhost:\(ports[0])/echo") { socket in
                        try await socket.send("hi")
                        return try await socket.receive()
                    }
                }
            }
            let caller = call()
            for await _ in dialled { break }
            // Behind the turn that begins to connect.
            for _ in 0..<3 { try await TortureRun.connections.next().submit {}.get() }
            switch end {
            case .cancelled:
                caller.cancel()
                await #expect(throws: CancellationError.self) { try await caller.value }
            case .nextInLine:
                let next = call()
                // The gate tells nobody who waits at it.
                while client.gate.waiting == 0 { try await Task.sleep(for: .milliseconds(1)) }
                caller.cancel()
                await #expect(throws: CancellationError.self) { try await caller.value }
                // Its turn has come.
                for await _ in dialled { break }
                next.cancel()
                await #expect(throws: CancellationError.self) { try await next.value }
            case .connectDeadline, .totalDeadline:
                let error = await #expect(throws: WebSocketError.self) { try await caller.value }
                #expect(error?.code == .timeout)
                #expect(ContinuousClock.now - began >= Self.wait)
            case .otherAddress:
                #expect(try await caller.value == .text("hi"))
            }
            #expect(ContinuousClock.now - began < Self.life / 2)
            // One turn later at the latest.
            for _ in 0..<1000 where watch.open > 0 || !watch.left.isEmpty {
                try await Task.sleep(for: .milliseconds(1))
            }
            #expect(watch.left == [])
            #expect((client.gate.held, client.gate.waiting) == (0, 0))
        }

        private static func leavingNothing(_ body: () async throws -> Void) async throws {
            let before = Descriptors.sockets()
            try await body()
            for _ in 0..<1000 * Sanitizer.patience where !Descriptors.sockets().isSubset(of: before) {
                try await Task.sleep(for: .milliseconds(1))
            }
            #expect(Descriptors.sockets().subtracting(before).isEmpty)
        }
    }
#endif
