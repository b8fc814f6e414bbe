// Kaazing's own extensions, byte for byte as deployed peers speak them.

import KHPProtocol
import NIOCore
import Synchronization
import Testing

@testable import KHPTesting

@Suite("Kaazing's extensions")
struct KaazingTests {
    private static let control: [UInt8] = [1, 1, 1, 2]
    private static let ping = WireFrame(0x81, [1, 1, 1, 2, 0x09, 0x00])
    private static let pong = WireFrame(0x81, [1, 1, 1, 2, 0x0A, 0x00])

    private static func peer(
        _ role: Role,
        _ extensions: [any WebSocketExtension],
        keepAlive: KeepAliveConfiguration = KeepAliveConfiguration()
    ) throws -> WirePeer {
        role == .server
            ? try .server(
                extensions,
                offer: extensions.map(\.name).joined(separator: ", "),
                keepAlive: keepAlive
            )
            : try .client(
                extensions,
                answer: extensions.map { item in
                    let parameters = item.name == "x-kaazing-idle-timeout" ? "timeout=1000" : "01010102"
                    return "\(item.name); \(parameters)"
                }.joined(separator: ", "),
                keepAlive: keepAlive
            )
    }

    // MARK: x-kaazing-ping-pong

    @Test(
        "pings in text messages get pongs in text messages; the application sees neither",
        arguments: [Role.client, .server]
    )
    func pingPong(role: Role) throws {
        var peer = try Self.peer(role, [KaazingPingPong()])
        if role == .server { #expect(peer.extensionsField == "x-kaazing-ping-pong; 01010102") }
        peer.feed(Self.ping, Self.pong, WireFrame(0x89, [7]), WireFrame(0x81, Array("hello".utf8)))
        #expect(peer.takeMessages() == [.text("hello")])
        #expect(peer.takeFrames() == [Self.pong, WireFrame(0x8A, [7])])
    }

    @Test(
        "pings in text messages count as ping frames do, and of their answers only the latest waits (threat B9)",
        arguments: [Role.client, .server]
    )
    func pingFlood(role: Role) throws {
        var peer = try Self.peer(role, [KaazingPingPong()])
        peer.driven.connection.setBacklogged(true, now: peer.driven.now)
        for _ in 0..<50 { peer.feed(Self.ping) }
        #expect(peer.takeFrames().isEmpty)
        peer.driven.connection.setBacklogged(false, now: peer.driven.now)
        peer.run()
        #expect(peer.takeFrames() == [Self.pong])
        for _ in 0..<51 { peer.feed(Self.ping) }
        #expect(peer.takeCloseCode() == 1008)
    }

    @Test(
        "pings in text messages are no messages of the application's: time goes on to be idle",
        arguments: [Role.client, .server]
    )
    func idleTime(role: Role) throws {
        var keepAlive = KeepAliveConfiguration()
        keepAlive.pingInterval = nil
        keepAlive.idleTimeout = .seconds(5)
        var peer = try Self.peer(role, [KaazingPingPong()], keepAlive: keepAlive)
        // Messages count, either way.
        peer.advance(by: .seconds(4))
        try peer.send(.text("x"))
        peer.advance(by: .seconds(4))
        peer.feed(WireFrame(0x81, Array("hello".utf8)))
        for _ in 0..<4 {
            peer.advance(by: .seconds(1))
            peer.feed(Self.ping)
        }
        peer.advance(by: .milliseconds(999))
        #expect(peer.takeFrames().map(\.payload.count) == [1, 6, 6, 6, 6])
        peer.advance(by: .milliseconds(1))
        #expect(peer.takeCloseCode() == 1001)
    }

    /// Lets no message out.
    private struct Refusing: WebSocketExtension {
        let name = "x-refusing"

        func makeTransform(role: Role, parameters: ExtensionParameters) -> (any MessageTransform)? { Transform() }

        struct Transform: MessageTransform {
            mutating func inbound(_ message: WebSocketMessage) -> WebSocketMessage? { message }

            mutating func outbound(_ message: WebSocketMessage) throws -> WebSocketMessage? {
                throw WebSocketError(.extensionFailed, "nothing goes out")
            }
        }
    }

    @Test("a pong in a message that another extension refuses ends the connection")
    func refusedPong() throws {
        var peer = try Self.peer(.server, [KaazingPingPong(), Refusing()])
        peer.feed(Self.ping)
        #expect(peer.takeCloseCode() == 1011)
    }

    @Test("a ping in a text message counts as little when it comes in parts", arguments: [Role.client, .server])
    func idleTimeOfParts(role: Role) throws {
        var keepAlive = KeepAliveConfiguration()
        keepAlive.pingInterval = nil
        keepAlive.idleTimeout = .seconds(5)
        var peer = try Self.peer(role, [KaazingPingPong()], keepAlive: keepAlive)
        peer.advance(by: .seconds(4))
        peer.feed(WireFrame(0x01, Array(Self.ping.payload.prefix(2))))
        peer.feed(WireFrame(0x80, Array(Self.ping.payload.dropFirst(2))))
        peer.advance(by: .milliseconds(999))
        #expect(peer.takeCloseCode() == nil)
        peer.advance(by: .milliseconds(1))
        #expect(peer.takeCloseCode() == 1001)
    }

    @Test("a ping in a text message leaves a slow reader, and a pause of ours, as they are", arguments: [false, true])
    func idleTimeOfSlowReader(isPause: Bool) throws {
        var keepAlive = KeepAliveConfiguration()
        keepAlive.pingInterval = nil
        keepAlive.idleTimeout = .seconds(5)
        var peer = try Self.peer(.server, [KaazingPingPong()], keepAlive: keepAlive)
        if !isPause { peer.tell { $0.setCongested(true, now: $1) } }
        peer.advance(by: .seconds(4))
        peer.tell {
            if isPause {
                $0.readingResumes(now: $1, pausedSince: $1 - .seconds(4))
            } else {
                $0.writesProgressed(now: $1)
            }
        }
        peer.feed(Self.ping)
        peer.advance(by: .milliseconds(4999))
        #expect(peer.takeCloseCode() == nil)
        peer.advance(by: .milliseconds(1))
        #expect(peer.takeCloseCode() == 1001)
    }

    @Test("requests for another proof count as control frames do: a hundred at once (threat B9)")
    func revalidationFlood() throws {
        let paths = Mutex(0)
        let revalidate = KaazingHTTPRevalidate { _ in paths.withLock { $0 += 1 } }
        var peer = try Self.peer(.client, [revalidate])
        let request = WireFrame(0x81, [1, 1, 1, 2, 1, 0x2F])
        for _ in 0..<100 { peer.feed(request) }
        #expect(peer.takeCloseCode() == nil)
        for _ in 0..<100 { peer.feed(request) }
        #expect(peer.takeCloseCode() == 1008)
        #expect(paths.withLock { $0 } == 101)
    }

    @Test(
        "text that looks like a control message is escaped, binary never",
        arguments: [Role.client, .server]
    )
    func escapes(role: Role) throws {
        let texts: [[UInt8]] = [Self.control, Self.control + [0x09, 0x00], Self.control + Array("x".utf8)]
        var peer = try Self.peer(role, [KaazingPingPong()])
        for text in texts { try peer.send(.text(String(decoding: text, as: UTF8.self))) }
        try peer.send(.text("\u{1}\u{1}\u{1}"))
        try peer.send(.binary(ByteBuffer(bytes: Self.control)))
        let frames = peer.takeFrames()
        let escape = WireFrame(0x81, Self.control)
        #expect(
            frames == texts.flatMap { [escape, WireFrame(0x81, $0)] } + [
                WireFrame(0x81, [1, 1, 1]), WireFrame(0x82, Self.control),
            ]
        )
        // And back.
        var other = try Self.peer(role == .client ? .server : .client, [KaazingPingPong()])
        other.feed(frames, readBytes: 3)
        #expect(
            other.takeMessages() == texts.map { .text(String(decoding: $0, as: UTF8.self)) } + [
                .text("\u{1}\u{1}\u{1}"), .binary(ByteBuffer(bytes: Self.control)),
            ]
        )
        #expect(other.takeFrames().isEmpty)
    }

    @Test(
        "control messages that nobody knows: 1002",
        arguments: [[0x0B, 0], [0x09], [0x09, 1], [0x0A, 0, 0]] as [[UInt8]]
    )
    func malformed(content: [UInt8]) throws {
        var peer = try Self.peer(.server, [KaazingPingPong()])
        peer.feed(WireFrame(0x81, Self.control + content))
        #expect(peer.takeCloseCode() == 1002)
    }

    @Test(
        "answers that make no sense fail the client",
        arguments: [
            "", "0101010", "010101020", "0101010g", "+1010102", "-0000000", "01010180", "01010102; 01010103",
            "timeout=01010102", "01010102=1",
        ]
    )
    func pingPongAnswers(parameters: String) throws {
        let answer = parameters.isEmpty ? "x-kaazing-ping-pong" : "x-kaazing-ping-pong; \(parameters)"
        #expect(try WirePeer.client([KaazingPingPong()], answer: answer).failure?.code == .openingInvalid)
    }

    // MARK: x-kaazing-idle-timeout

    @Test("a server pings after half the timeout of its own silence, as a frame or as ping-pong has it")
    func serverPings() throws {
        var alone = try Self.peer(.server, [KaazingIdleTimeout(timeout: .seconds(4))])
        #expect(alone.extensionsField == "x-kaazing-idle-timeout; timeout=4000")
        alone.advance(by: .milliseconds(1999))
        #expect(alone.takeFrames().isEmpty)
        alone.advance(by: .milliseconds(1))
        #expect(alone.takeFrames() == [WireFrame(0x89, [])])
        // While a pong is owed a ping has a number, so that its pong answers no other.
        alone.advance(by: .milliseconds(4000))
        #expect(alone.takeFrames() == [2, 3].map { WireFrame(0x89, [0, 0, 0, 0, 0, 0, 0, $0]) })
        alone.feed(WireFrame(0x8A, [0, 0, 0, 0, 0, 0, 0, 3]))
        // A message that is sent counts as a sign of life.
        alone.advance(by: .milliseconds(1500))
        try alone.send(.text("x"))
        alone.advance(by: .milliseconds(1999))
        #expect(alone.takeFrames().map(\.first) == [0x81])
        alone.advance(by: .milliseconds(1))
        #expect(alone.takeFrames() == [WireFrame(0x89, [])])

        var both = try Self.peer(.server, [KaazingIdleTimeout(timeout: .seconds(4)), KaazingPingPong()])
        #expect(both.negotiated?.extensions.count == 2)
        both.advance(by: .seconds(2))
        #expect(both.takeFrames() == [Self.ping])
        both.feed(Self.pong)
        #expect(both.takeMessages().isEmpty)
    }

    @Test("a client that hears nothing for the timeout gives up; anything counts")
    func clientTimesOut() throws {
        var peer = try Self.peer(.client, [KaazingIdleTimeout(), KaazingPingPong()])
        for frame in [Self.ping, WireFrame(0x89, []), WireFrame(0x82, [1])] {
            peer.advance(by: .milliseconds(999))
            peer.feed(frame)
        }
        peer.advance(by: .milliseconds(999))
        let code = peer.takeCloseCode()
        #expect(peer.closed == nil && code == nil)
        peer.advance(by: .milliseconds(1))
        #expect(peer.takeCloseCode() == 1008)
        peer.endInput()
        #expect(peer.closed?.error?.code == .timeout)
    }

    @Test("a server without a timeout declines; one with streams goes on streaming")
    func idleTimeoutNegotiation() throws {
        #expect(try Self.peer(.server, [KaazingIdleTimeout()]).extensionsField == nil)
        for answer in [
            "", "timeout", "timeout=0", "timeout=-1", "timeout=x", "timeout=99999999999", "time=5", "timeout=5; x",
        ] {
            let field = answer.isEmpty ? "x-kaazing-idle-timeout" : "x-kaazing-idle-timeout; \(answer)"
            #expect(
                try WirePeer.client([KaazingIdleTimeout()], answer: field).failure?.code == .openingInvalid,
                "\(answer)"
            )
        }
        var peer = try Self.peer(.client, [KaazingIdleTimeout()])
        try peer.send(MessageChunk(kind: .text, bytes: ByteBuffer(string: "a"), isFirst: true, isLast: false))
        #expect(peer.takeFrames().map(\.first) == [0x01])
    }

    @Test("what is streamed is a sign of life as well")
    func streamedPieces() throws {
        var peer = try Self.peer(.server, [KaazingIdleTimeout(timeout: .seconds(4))])
        for number in 0..<3 {
            peer.advance(by: .milliseconds(1500))
            let bytes = ByteBuffer(string: "tick")
            try peer.send(MessageChunk(kind: .text, bytes: bytes, isFirst: number == 0, isLast: number == 2))
        }
        peer.advance(by: .milliseconds(1999))
        #expect(peer.takeFrames().map(\.first) == [0x01, 0x00, 0x80])
        peer.advance(by: .milliseconds(1))
        #expect(peer.takeFrames().map(\.first) == [0x89])
    }

    @Test("where there are no ping frames the promise needs ping-pong", arguments: [Dialect.hixie75, .hixie76])
    func idleTimeoutInDialects(dialect: Dialect) throws {
        let timeout = KaazingIdleTimeout(timeout: .seconds(2))
        for (asked, known, agreed) in [
            ([timeout], [timeout], []), ([timeout], [timeout, KaazingPingPong()], []),
            ([timeout, KaazingPingPong()], [timeout], []),
            (
                [timeout, KaazingPingPong(), PerMessageDeflate()], [timeout, KaazingPingPong(), PerMessageDeflate()],
                [timeout.name, "x-kaazing-ping-pong"]
            ),
        ] as [([any WebSocketExtension], [any WebSocketExtension], [String])] {
            var client = ConnectionPipe.Client(extensions: asked, extendedHandshake: .required)
            client.dialect = dialect
            let pipe = try ConnectionPipe(client: client, server: .init(extensions: known))
            #expect(try pipe.open().client.extensions.map(\.name).sorted() == agreed.sorted())
            // A silence much longer than the timeout.
            for _ in 0..<20 { pipe.advance(by: .milliseconds(500)) }
            #expect(pipe.closeInfo(at: .client) == nil)
            try pipe.send(.text("hello"), from: .server)
            #expect(pipe.takeMessages(at: .client) == [.text("hello")])
        }
    }

    /// Found by seeds 96394 and 144718 of the simulation.
    @Test("a message that the dialect refuses is no sign of life")
    func refusedMessages() throws {
        let extensions: [any WebSocketExtension] = [KaazingIdleTimeout(timeout: .seconds(2)), KaazingPingPong()]
        var client = ConnectionPipe.Client(extensions: extensions, extendedHandshake: .required)
        client.dialect = .whatwg2010
        let pipe = try ConnectionPipe(client: client, server: .init(extensions: extensions))
        _ = try pipe.open()
        for _ in 0..<5 {
            pipe.advance(by: .milliseconds(900))
            #expect(throws: WebSocketError.self) { try pipe.send(.binary(ByteBuffer(string: "x")), from: .server) }
        }
        #expect(pipe.closeInfo(at: .client) == nil)
    }

    // MARK: x-kaazing-http-revalidate

    @Test("the path to re-validate goes to the application, as text or binary")
    func revalidate() throws {
        let requests = Mutex<[KaazingHTTPRevalidate.Request]>([])
        let revalidation = KaazingHTTPRevalidate { request in requests.withLock { $0.append(request) } }
        var peer = try Self.peer(.client, [revalidation])
        let content = Self.control + [0x01] + Array("/echo/;a/x?.kc=1".utf8)
        peer.feed(WireFrame(0x81, content), WireFrame(0x82, content), WireFrame(0x81, Array("hello".utf8)))
        peer.feed(WireFrame(0x81, Self.control), WireFrame(0x81, content))
        #expect(peer.takeMessages() == [.text("hello"), .text(String(decoding: content, as: UTF8.self))])
        let asked = requests.withLock { $0 }
        #expect(asked.map(\.path) == ["/echo/;a/x?.kc=1", "/echo/;a/x?.kc=1"])
        #expect(asked.first?.url(nonce: "42") == "http://example.com/echo/;a/x?.kc=1&.krn=42")
        try peer.send(.text(String(decoding: content, as: UTF8.self)))
        #expect(peer.takeFrames() == [WireFrame(0x81, Self.control), WireFrame(0x81, content)])
        // Made for a client, it grants nothing.
        #expect(try Self.peer(.server, [revalidation]).extensionsField == nil)
    }

    @Test("a server grants it, asks with a path, escapes what looks the same, and is asked nothing")
    func grants() throws {
        var peer = try Self.peer(.server, [KaazingHTTPRevalidate()])
        #expect(peer.extensionsField == "x-kaazing-http-revalidate; 01010103")
        let control: [UInt8] = [1, 1, 1, 3]
        #expect(try peer.askToRevalidate("/chat/;a/x?.kc=1"))
        #expect(peer.takeFrames() == [WireFrame(0x81, control + [0x01] + Array("/chat/;a/x?.kc=1".utf8))])
        for path in ["", "x", "//evil.example/", "/a b", "/a\r\nX: y", "/\u{E9}"] {
            #expect(throws: WebSocketError.self, "\(path)") { try peer.askToRevalidate(path) }
        }
        try peer.send(.text(String(decoding: control + [0x01, 0x2F], as: UTF8.self)))
        #expect(peer.takeFrames() == [WireFrame(0x81, control), WireFrame(0x81, control + [0x01, 0x2F])])
        // As a client escapes its own.
        peer.feed(WireFrame(0x81, control), WireFrame(0x81, control + [0x41]))
        #expect(peer.takeMessages() == [.text(String(decoding: control + [0x41], as: UTF8.self))])
        peer.feed(WireFrame(0x81, control + [0x01] + Array("/x".utf8)))
        #expect(peer.takeCloseCode() == 1002)
        var other = try Self.peer(.server, [KaazingPingPong()])
        #expect(try !other.askToRevalidate("/x"))
    }

    @Test("binary messages that look like control messages of re-validation arrive, either way")
    func binaryBesideRevalidation() throws {
        let control: [UInt8] = [1, 1, 1, 3]
        let looksAlike = [control, control + [0x01] + Array("/x".utf8), control + [0xFF]]
        let messages = looksAlike.map { WebSocketMessage.binary(ByteBuffer(bytes: $0)) }
        let revalidation = KaazingHTTPRevalidate { _ in Issue.record("nobody has asked") }
        var server = try Self.peer(.server, [KaazingHTTPRevalidate()])
        var client = try Self.peer(.client, [revalidation])
        // The peer of a client here answers with the bytes of x-kaazing-ping-pong.
        for content in [[1, 1, 1, 2], [1, 1, 1, 2, 1, 0x2F]] as [[UInt8]] {
            try client.send(.binary(ByteBuffer(bytes: content)))
            #expect(client.takeFrames() == [WireFrame(0x82, content)])
        }
        for content in looksAlike { server.feed(WireFrame(0x82, content)) }
        #expect(server.takeMessages() == messages && server.takeCloseCode() == nil)
        for message in messages { try server.send(message) }
        #expect(
            server.takeFrames() == looksAlike.flatMap { [WireFrame(0x81, control), WireFrame(0x82, $0)] }
        )
        client.feed(WireFrame(0x81, [1, 1, 1, 2]), WireFrame(0x82, [1, 1, 1, 2, 1, 0x2F]))
        #expect(client.takeMessages() == [.binary(ByteBuffer(bytes: [1, 1, 1, 2, 1, 0x2F]))])
    }

    @Test(
        "a path that is none: 1002",
        arguments: ["", "x", "//evil.example/", "/a b", "/a\r\nX: y", "http://evil.example/"]
    )
    func revalidatePath(path: String) throws {
        var peer = try Self.peer(.client, [KaazingHTTPRevalidate { _ in Issue.record("called") }])
        peer.feed(WireFrame(0x81, Self.control + [0x01] + Array(path.utf8)))
        #expect(peer.takeCloseCode() == 1002)
    }
}
