import KHPClient
import KHPServer
import NIOCore
import TestSupport
import Testing

@Suite("The open socket")
struct SocketTests {
    @Test("text, binary, empty and large messages come back as they were", arguments: [true, false])
    func echoes(_ extended: Bool) async throws {
        var configuration = WebSocketClient.Configuration()
        configuration.extended.policy = extended ? .required : .off
        let client = WebSocketClient(configuration: configuration)
        let messages: [WebSocketMessage] = [
            .text("hello"), .text(""), .text("grüße 🌍"), .binary(ByteBuffer()), .binary(ByteBuffer(bytes: 0...255)),
            .binary(ByteBuffer(repeating: 7, count: 125)), .binary(ByteBuffer(repeating: 7, count: 126)),
            .binary(ByteBuffer(repeating: 7, count: 65_535)), .binary(ByteBuffer(repeating: 7, count: 65_536)),
            .binary(ByteBuffer(repeating: 7, count: 1_048_576)), .text(String(repeating: "ä", count: 100_000)),
        ]
        try await withServer {
            echo()
        } body: { port in
            try await client.withConnection(to: "ws://127.0.0.1:\(port)/echo") { socket in
                var received = socket.messages.makeAsyncIterator()
                for message in messages {
                    try await socket.send(message)
                    #expect(try await received.next() == message)
                }
            }
        }
    }

    @Test("a body that throws closes with 1011, one that was cancelled with 1001", arguments: [false, true])
    func bodyThrows(_ isCancelled: Bool) async throws {
        struct Failed: Error {}
        let (codes, tell) = AsyncStream.makeStream(of: UInt16?.self)
        try await withServer {
            Endpoint("/x") { socket in tell.yield(try await socket.closed().code?.rawValue) }
        } body: { port in
            await #expect(throws: (any Error).self) {
                try await WebSocketClient().withConnection(to: "ws://127.0.0.1:\(port)/x") { _ in
                    if isCancelled { throw CancellationError() }
                    throw Failed()
                }
            }
            for await code in codes {
                #expect(code == (isCancelled ? 1001 : 1011))
                break
            }
        }
    }

    @Test("a synchronous handler echoes the same")
    func synchronous() async throws {
        final class Echo: MessageHandler {
            func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {
                try? socket.send(message.kind, message.bytes)
            }
        }
        try await withServer {
            Endpoint("/echo", messageHandler: { Echo() })
        } body: { port in
            try await WebSocketClient().withConnection(to: "ws://127.0.0.1:\(port)/echo") { socket in
                for size in [0, 1, 125, 126, 5_000, 70_000, 1_000_000] {
                    try await socket.send(ByteBuffer(repeating: 1, count: size))
                }
                var received = socket.messages.makeAsyncIterator()
                for size in [0, 1, 125, 126, 5_000, 70_000, 1_000_000] {
                    #expect(try await received.next()?.byteCount == size)
                }
            }
        }
    }

    @Test("a message streamed in and out in chunks is never whole")
    func chunks() async throws {
        try await withServer {
            $0.limits.messages.messageBytes = 100_000_000
        } endpoints: {
            Endpoint("/count", options: .init(delivery: .chunks)) { socket in
                var total = 0
                var largest = 0
                for try await chunk in socket.chunks {
                    total += chunk.bytes.readableBytes
                    largest = max(largest, chunk.bytes.readableBytes)
                    if chunk.isLast { try await socket.send("\(total) \(largest < 1_000_000)") }
                }
            }
        } body: { port in
            try await WebSocketClient().withConnection(to: "ws://127.0.0.1:\(port)/count") { socket in
                try await socket.stream(.binary) { stream in
                    for _ in 0..<500 { try await stream.write(ByteBuffer(repeating: 9, count: 40_000)) }
                }
                var received = socket.messages.makeAsyncIterator()
                #expect(try await received.next() == .text("20000000 true"))
            }
        }
    }

    @Test("ping tells a round trip; several at once are answered")
    func ping() async throws {
        try await withServer {
            echo()
        } body: { port in
            try await WebSocketClient().withConnection(to: "ws://127.0.0.1:\(port)/echo") { socket in
                async let first = socket.ping()
                async let second = socket.ping()
                let trips = try await [first, second]
                #expect(trips.allSatisfy { $0 > .zero && $0 < .seconds(10) })
            }
        }
    }

    @Test("pings have payloads of their own, equal ones among them; what is too long is not sent; pongs go unasked")
    func payloads() async throws {
        try await withServer {
            echo()
        } body: { port in
            try await WebSocketClient().withConnection(to: "ws://127.0.0.1:\(port)/echo") { socket in
                #expect(try await socket.ping(ByteBuffer(repeating: 7, count: 125)) > .zero)
                #expect(try await socket.ping(ByteBuffer()) > .zero)
                let trips = try await withThrowingTaskGroup(of: Duration.self) { group in
                    for number in 0..<30 {
                        group.addTask { try await socket.ping(ByteBuffer(string: number % 3 == 0 ? "own" : "same")) }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                #expect(trips.count == 30)
                #expect(trips.allSatisfy { $0 > .zero && $0 < .seconds(10) })
                let long = ByteBuffer(repeating: 7, count: 126)
                let ping = await #expect(throws: WebSocketError.self) { try await socket.ping(long) }
                let pong = await #expect(throws: WebSocketError.self) { try await socket.pong(long) }
                #expect(ping?.code == .invalidArgument && pong?.code == .invalidArgument)
                try await socket.pong()
                try await socket.pong(ByteBuffer(string: "I am here"))
                try await socket.send("still open")
                var messages = socket.messages.makeAsyncIterator()
                #expect(try await messages.next() == .text("still open"))
            }
        }
    }

    @Test("everything sent before a close arrives before it")
    func nothingLost() async throws {
        try await withServer {
            echo()
        } body: { port in
            let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/echo")
            for number in 0..<100 { try await socket.send("\(number)") }
            let closing = Task { try await socket.close(code: WebSocketCloseCode(rawValue: 4000), reason: "done") }
            var count = 0
            for try await _ in socket.messages { count += 1 }
            #expect(count == 100)
            let info = try await closing.value
            #expect(info.clean)
            #expect(info.code == WebSocketCloseCode(rawValue: 4000))
            await #expect(throws: WebSocketError.self) { try await socket.send("late") }
        }
    }

    @Test("close codes that must not be sent, and reasons that do not fit, are refused")
    func invalidClose() async throws {
        try await withServer {
            echo()
        } body: { port in
            try await WebSocketClient().withConnection(to: "ws://127.0.0.1:\(port)/echo") { socket in
                for code: UInt16 in [0, 999, 1004, 1005, 1006, 1015, 5000] {
                    await #expect(throws: WebSocketError.self) {
                        try await socket.close(code: WebSocketCloseCode(rawValue: code))
                    }
                }
                await #expect(throws: WebSocketError.self) {
                    try await socket.close(reason: String(repeating: "x", count: 124))
                }
            }
        }
    }

    @Test("a consumer that is cancelled is told so, and the socket goes on")
    func cancelledConsumer() async throws {
        try await withServer {
            echo()
        } body: { port in
            try await WebSocketClient().withConnection(to: "ws://127.0.0.1:\(port)/echo") { socket in
                let consumer = Task {
                    var messages = socket.messages.makeAsyncIterator()
                    return try await messages.next()
                }
                consumer.cancel()
                let error = await #expect(throws: WebSocketError.self) { try await consumer.value }
                #expect(error?.code == .cancelled)
                let receiver = Task { try await socket.receive() }
                receiver.cancel()
                await #expect(throws: CancellationError.self) { try await receiver.value }
                try await socket.send("still here")
                var messages = socket.messages.makeAsyncIterator()
                #expect(try await messages.next() == .text("still here"))
            }
        }
    }

    @Test("a socket that nobody holds any more is closed with 1001")
    func abandoned() async throws {
        let (ends, tell) = AsyncStream.makeStream(of: CloseInfo.self)
        try await withServer {
            Endpoint("/x") { socket in tell.yield(try await socket.closed()) }
        } body: { port in
            do { _ = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/x") }
            for await info in ends {
                #expect(info.code == .goingAway)
                break
            }
        }
    }

    @Test("leaving while the peer floods closes at once, and cleanly")
    func leavingAFlood() async throws {
        try await withServer {
            Endpoint("/flood") { socket in
                for number in 0..<100_000 { try await socket.send("line \(number)") }
            }
        } body: { port in
            // The server's close lies behind what the sockets hold of the flood, and that has to be read.
            var configuration = WebSocketClient.Configuration()
            configuration.timeouts.close *= Sanitizer.patience
            let client = WebSocketClient(configuration: configuration)
            let socket = try await client.connect(to: "ws://127.0.0.1:\(port)/flood")
            for try await _ in socket.messages { break }
            let began = ContinuousClock.now
            let info = try await socket.close()
            #expect(info.clean)
            #expect(ContinuousClock.now - began < .seconds(5 * Sanitizer.patience))
        }
    }

    @Test("a handler that throws closes with 1011")
    func throwing() async throws {
        struct Failure: Error {}
        try await withServer {
            Endpoint("/x") { (_: WebSocket) in throw Failure() }
        } body: { port in
            let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/x")
            #expect(try await socket.closed().code == .internalError)
        }
    }
}
