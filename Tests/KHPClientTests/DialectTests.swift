// Every dialect over real sockets, our client against our server: messages, both handshakes, closing, selection, and
// what hostile peers may try (threats D1 to D10).

import HTTPTypes
import KHPClient
import KHPServer
import NIOCore
import TestSupport
import Testing

@Suite("Dialects before RFC 6455")
struct DialectTests {
    static let old: [Dialect] = [.hixie75, .hixie76, .whatwg2010]

    static func configuration(
        _ dialect: Dialect,
        _ extended: ExtendedHandshakePolicy = .preferred
    ) -> WebSocketClient.Configuration {
        var configuration = WebSocketClient.Configuration()
        configuration.dialect = dialect
        configuration.extended.policy = extended
        return configuration
    }

    static func echo(_ dialects: [Dialect], subprotocols: [String] = []) -> Endpoint {
        Endpoint("/echo", options: .init(dialects: dialects, subprotocols: subprotocols)) { socket in
            for try await message in socket.messages { try await socket.send(message) }
        }
    }

    @Test(
        "ASCII, other characters, empty and 64 KiB messages come back, with and without the extended handshake",
        arguments: Dialect.all,
        [ExtendedHandshakePolicy.required, .off]
    )
    func echoes(_ dialect: Dialect, _ extended: ExtendedHandshakePolicy) async throws {
        let texts = [
            "hello", "", "grüße 漢 🌍", String(repeating: "x", count: 65_536), String(repeating: "ä", count: 99_999),
        ]
        try await withServer {
            Self.echo([dialect], subprotocols: ["amqp"])
        } body: { port in
            let client = WebSocketClient(configuration: Self.configuration(dialect, extended))
            let socket = try await client.connect(to: "ws://127.0.0.1:\(port)/echo?a=b", subprotocols: ["amqp"])
            #expect(socket.negotiated.dialect == dialect)
            #expect(socket.negotiated.subprotocol == "amqp")
            #expect(socket.negotiated.status == (extended == .off ? nil : 101))
            var received = socket.messages.makeAsyncIterator()
            for text in texts {
                try await socket.send(text)
                #expect(try await received.next() == .text(text))
            }
            let info = try await socket.close()
            #expect(info.clean)
            #expect(info.error == nil)
            #expect(info.code == (dialect == .rfc6455 ? .normalClosure : nil))
        }
    }

    @Test("the server closes, and the messages before it arrive", arguments: old)
    func serverCloses(_ dialect: Dialect) async throws {
        let (ends, tell) = AsyncStream.makeStream(of: CloseInfo.self)
        try await withServer {
            Endpoint("/bye", options: .init(dialects: [dialect])) { socket in
                for number in 0..<100 { try await socket.send("message \(number)") }
                tell.yield(try await socket.close(code: .goingAway))
            }
        } body: { port in
            let client = WebSocketClient(configuration: Self.configuration(dialect))
            let socket = try await client.connect(to: "ws://127.0.0.1:\(port)/bye")
            var count = 0
            for try await message in socket.messages {
                #expect(message == .text("message \(count)"))
                count += 1
            }
            #expect(count == 100)
            let info = try await socket.closed()
            #expect(info.clean)
            #expect(info.initiator == .peer)
            for await info in ends {
                #expect(info.clean)
                break
            }
        }
    }

    @Test("a redirect, a challenge and the end of both handshakes", arguments: old)
    func journey(_ dialect: Dialect) async throws {
        try await withServer {
            Endpoint("/old", options: .init(dialects: [dialect])) { (_: WebSocket) in }
                .answering { _ in .redirect(to: "/new") }
            Endpoint(
                "/new",
                options: .init(
                    dialects: [dialect],
                    authentication: .init(
                        realm: "desk",
                        .basic { $0 == "joe" && $1 == "welcome" ? Principal($0) : nil }
                    )
                )
            ) {
                try await $0.send("welcome")
            }
        } body: { port in
            for extended in [ExtendedHandshakePolicy.required, .off] {
                var configuration = Self.configuration(dialect, extended)
                configuration.authentication.challengeHandler = BasicChallengeHandler { _ in
                    .basic(user: "joe", password: "welcome")
                }
                let client = WebSocketClient(configuration: configuration)
                try await client.withConnection(to: "ws://127.0.0.1:\(port)/old") { socket in
                    let layer: HandshakeLayer = extended == .off ? .opening : .extended
                    #expect(socket.negotiated.redirects.map(\.layer) == [layer])
                    #expect(socket.negotiated.challenges == 1)
                    #expect(socket.negotiated.url.path == "/new")
                    var received = socket.messages.makeAsyncIterator()
                    let first = try await received.next()
                    #expect(first == .text("welcome"))
                }
            }
        }
    }

    @Test("binary goes where Kaazing's frames were agreed on, and nowhere else", arguments: old)
    func binary(_ dialect: Dialect) async throws {
        let bytes = ByteBuffer(bytes: (0..<70_000).map { UInt8(truncatingIfNeeded: $0) })
        try await withServer {
            Self.echo([dialect])
        } body: { port in
            for extended in [ExtendedHandshakePolicy.required, .off] {
                let client = WebSocketClient(configuration: Self.configuration(dialect, extended))
                try await client.withConnection(to: "ws://127.0.0.1:\(port)/echo") { socket in
                    var received = socket.messages.makeAsyncIterator()
                    if extended == .required, dialect != .whatwg2010 {
                        try await socket.send(bytes)
                        #expect(try await received.next() == .binary(bytes))
                    } else {
                        await #expect(throws: WebSocketError.self) { try await socket.send(bytes) }
                        try await socket.send("still here")
                        #expect(try await received.next() == .text("still here"))
                    }
                    let error = await #expect(throws: WebSocketError.self) { try await socket.ping() }
                    #expect(error?.code == .invalidArgument)
                }
            }
        }
    }

    @Test("text in pieces where the dialect can, chunks on the other side", arguments: old)
    func pieces(_ dialect: Dialect) async throws {
        try await withServer {
            Endpoint("/echo", options: .init(dialects: [dialect], delivery: .chunks)) { socket in
                for try await chunk in socket.chunks {
                    #expect(chunk.isFirst && chunk.isLast)
                    try await socket.send(String(buffer: chunk.bytes))
                }
            }
        } body: { port in
            let client = WebSocketClient(configuration: Self.configuration(dialect, .off))
            try await client.withConnection(to: "ws://127.0.0.1:\(port)/echo") { socket in
                let send = {
                    try await socket.stream(.text) { stream in
                        try await stream.write(ByteBuffer(string: "one "))
                        try await stream.write(ByteBuffer(string: "two"))
                    }
                }
                guard dialect != .whatwg2010 else {
                    let error = await #expect(throws: WebSocketError.self) { try await send() }
                    #expect(error?.code == .invalidArgument)
                    return
                }
                try await send()
                var received = socket.messages.makeAsyncIterator()
                #expect(try await received.next() == .text("one two"))
            }
        }
    }

    // MARK: Selection

    @Test("an endpoint serves what it lists, and RFC 6455 alone by default (threat D1)")
    func selection() async throws {
        try await withServer {
            Endpoint("/default") { (_: WebSocket) in }
            Endpoint("/all", options: .init(dialects: Dialect.all)) { try await $0.send("\($0.negotiated.dialect)") }
            Endpoint("/old", options: .init(dialects: [.hixie75, .whatwg2010])) {
                try await $0.send("\($0.negotiated.dialect)")
            }
        } body: { port in
            func answer(_ dialect: Dialect, _ path: String) async -> String {
                do {
                    let client = WebSocketClient(configuration: Self.configuration(dialect))
                    return try await client.withConnection(to: "ws://127.0.0.1:\(port)\(path)") { socket in
                        for try await case .text(let text) in socket.messages { return text }
                        return ""
                    }
                } catch {
                    return (error as? WebSocketError)?.code.description ?? "\(error)"
                }
            }
            for old in Self.old { #expect(await answer(old, "/default") == "opening-refused") }
            for known in [Dialect.rfc6455, .hixie75, .hixie76] {
                #expect(await answer(known, "/all") == known.name)
            }
            for known in [Dialect.hixie75, .whatwg2010] {
                #expect(await answer(known, "/old") == known.name)
            }
            #expect(await answer(.rfc6455, "/old") == "opening-refused")
        }
    }

    @Test("a client falls back only where it is told to (threat D9)")
    func fallback() async throws {
        try await withServer {
            Self.echo([.hixie76])
        } body: { port in
            let url = "ws://127.0.0.1:\(port)/echo"
            let error = await #expect(throws: WebSocketError.self) { try await WebSocketClient().connect(to: url) }
            #expect(error?.code == .openingRefused)
            var configuration = WebSocketClient.Configuration()
            configuration.fallbackDialects = [.hixie75]
            await #expect(throws: WebSocketError.self) {
                try await WebSocketClient(configuration: configuration).connect(to: url)
            }
            configuration.fallbackDialects = [.hixie75, .hixie76]
            let negotiated = try await WebSocketClient(configuration: configuration).withConnection(to: url) {
                $0.negotiated
            }
            #expect(negotiated.dialect == .hixie76)
            #expect(negotiated.status == 101)
            // A server that has understood and refuses is asked once.
            let refusal = await #expect(throws: WebSocketError.self) {
                try await WebSocketClient(configuration: configuration).connect(to: "ws://127.0.0.1:\(port)/other")
            }
            #expect(refusal?.response?.status == 404)
        }
    }

    @Test("an endpoint that speaks nothing is refused")
    func noDialect() async throws {
        let server = WebSocketServer(configuration: .init(address: .hostname("127.0.0.1", port: 0))) {
            Endpoint("/x", options: .init(dialects: [])) { (_: WebSocket) in }
        }
        await #expect(throws: WebSocketError.self) { try await server.run() }
    }

    // MARK: Peers of other makes

    @Test(
        "hixie: a server that just ends, or never answers the closing frame, is no failure",
        arguments: [true, false]
    )
    func simpleEnds(_ ends: Bool) async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, outbound in
                var request = ByteBuffer()
                for try await bytes in inbound {
                    request.writeImmutableBuffer(bytes)
                    guard let text = request.getString(at: 0, length: request.readableBytes), text.contains("\r\n\r\n")
                    else {
                        continue
                    }
                    let fields = text.split(separator: "\r\n").filter {
                        $0.hasPrefix("Host: ") || $0.hasPrefix("Origin: ")
                    }
                    let host = fields.first { $0.hasPrefix("Host") }?.dropFirst(6) ?? ""
                    try await outbound.write(
                        ByteBuffer(
                            string: "HTTP/1.1 101 Web Socket Protocol Handshake\r\nUpgrade: WebSocket\r\n"
                                + "Connection: Upgrade\r\nWebSocket-Origin: http://\(host)\r\n"
                                + "WebSocket-Location: ws://\(host)/x\r\n\r\n"
                        )
                    )
                    try await outbound.write(ByteBuffer(bytes: [0x00, 0x41, 0xFF]))
                    if ends { return }
                }
            }
        } body: { port in
            var configuration = Self.configuration(.hixie75)
            configuration.timeouts.close = .milliseconds(200)
            let socket = try await WebSocketClient(configuration: configuration).connect(to: "ws://127.0.0.1:\(port)/x")
            var received = socket.messages.makeAsyncIterator()
            #expect(try await received.next() == .text("A"))
            if ends { #expect(try await received.next() == nil) } else { try await socket.close() }
            let info = try await socket.closed()
            #expect(info.error == nil)
            #expect(info.clean)
        }
    }

    @Test("the key bytes may come late, and with the first frame (X76-1)")
    func lateKeyBytes() async throws {
        try await withServer {
            Self.echo([.hixie76])
        } body: { port in
            let client = try await RawClient.connect(port)
            try await client.send(
                "GET /echo HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: 127.0.0.1\r\n"
                    + "Origin: http://127.0.0.1\r\nSec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\n"
                    + "Sec-WebSocket-Key2: 12998 5 Y3 1  .P00\r\n\r\n^n:"
            )
            try await client.send(Array("ds[4U".utf8) + [0x00, 0x41, 0xFF])
            let end: [UInt8] = Array("8jKS'y:G*Co,Wxa-".utf8) + [0x00, 0x41, 0xFF]
            let answer = try await client.receive { $0.readableBytesView.reversed().starts(with: end.reversed()) }
            #expect(answer.readableBytesView.starts(with: "HTTP/1.1 101 Web Socket Protocol Handshake\r\n".utf8))
            try await client.send([0xFF, 0x00])
            #expect(try await client.receiveAll().readableBytesView.suffix(2) == [0xFF, 0x00])
        }
    }

    @Test(
        "hostile frames end the connection (threats D3, D4)",
        arguments: [
            [0x80] + [UInt8](repeating: 0xFF, count: 20), [0x80] + [UInt8](repeating: 0x80, count: 20),
            [0x00] + [UInt8](repeating: 0x41, count: 3000), [0x01] + [UInt8](repeating: 0x41, count: 3000),
        ] as [[UInt8]]
    )
    func hostile(_ bytes: [UInt8]) async throws {
        try await withServer {
            $0.limits.messages.messageBytes = 2000
        } endpoints: {
            Self.echo([.hixie75])
        } body: { port in
            let client = try await RawClient.connect(port)
            try await client.send(
                "GET /echo HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: h\r\nOrigin: http://h\r\n\r\n"
            )
            try await client.send(bytes)
            let answer = try await client.receiveAll()
            #expect(String(buffer: answer).hasSuffix("WebSocket-Location: ws://h/echo\r\n\r\n"))
        }
    }

    @Test("key bytes that never come are waited for no longer than the opening (threat D5)")
    func missingKeyBytes() async throws {
        try await withServer {
            $0.timeouts.opening = .milliseconds(200)
        } endpoints: {
            Self.echo([.hixie76])
        } body: { port in
            let client = try await RawClient.connect(port)
            try await client.send(
                "GET /echo HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: h\r\nOrigin: http://h\r\n"
                    + "Sec-WebSocket-Key1: 1 2\r\nSec-WebSocket-Key2: 1 2\r\n\r\n1234567"
            )
            #expect(String(buffer: try await client.receiveAll()).hasPrefix("HTTP/1.1 408 "))
        }
    }

    // MARK: States (W10-13)

    @Test("W10-13: states from open to closed, and what is buffered", arguments: Dialect.all)
    func states(_ dialect: Dialect) async throws {
        try await withServer {
            Self.echo([dialect])
        } body: { port in
            let client = WebSocketClient(configuration: Self.configuration(dialect))
            let socket = try await client.connect(to: "ws://127.0.0.1:\(port)/echo")
            #expect(await socket.state == .open)
            let states = socket.states
            try await socket.send("grüße")
            var received = socket.messages.makeAsyncIterator()
            _ = try await received.next()
            #expect(await socket.bufferedAmount == 0)
            try await socket.close()
            #expect(await socket.state == .closed(wasClean: true))
            var seen: [WebSocketState] = []
            for await state in states { seen.append(state) }
            #expect(seen.first == .open)
            #expect(seen.last == .closed(wasClean: true))
            #expect(seen.filter { $0 != .closing }.count == 2)
            for await state in socket.states { #expect(state == .closed(wasClean: true)) }
        }
    }

    @Test("W10-13: bufferedAmount grows with what a peer does not take, by its payload", .timeLimit(.minutes(1)))
    func bufferedAmount() async throws {
        let release = AsyncStream.makeStream(of: Void.self)
        try await withServer {
            Endpoint("/deaf", options: .init(dialects: [.hixie76])) { socket in
                for await _ in release.stream { break }
                for try await _ in socket.messages {}
            }
        } body: { port in
            let client = WebSocketClient(configuration: Self.configuration(.hixie76))
            let socket = try await client.connect(to: "ws://127.0.0.1:\(port)/deaf")
            let text = String(repeating: "ü", count: 400_000)
            let sender = Task { for _ in 0..<40 { try await socket.send(text) } }
            // Of the message that the peer takes no more of, whatever is left; never less than the low-water mark. The number
            // is there to be asked for, and has no event.
            while await socket.bufferedAmount < 10_000 { try await Task.sleep(for: .milliseconds(5)) }
            #expect(await socket.bufferedAmount <= 40 * 800_000)
            release.continuation.yield()
            try await sender.value
            while await socket.bufferedAmount > 0 { try await Task.sleep(for: .milliseconds(5)) }
            try await socket.close()
        }
    }
}

extension Endpoint {
    fileprivate func answering(_ respond: @escaping @Sendable (HandshakeRequest) async -> HandshakeResponse) -> Endpoint
    {
        var endpoint = self
        endpoint.respond = respond
        return endpoint
    }
}
