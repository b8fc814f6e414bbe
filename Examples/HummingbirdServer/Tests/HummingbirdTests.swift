// Routes of a hummingbird application and endpoints of ours on its port, with hummingbird's own test client, a client of
// ours, and requests of both kinds on one connection.

import Hummingbird
import HummingbirdTLS
import HummingbirdTesting
import KHPClient
import KHPHummingbird
import KHPServer
import KHPTesting
import NIOCore
import NIOPosix
import NIOSSL
import Testing

@Suite("Endpoints in a hummingbird application") struct HummingbirdTests {
    private static func mount() throws -> WebSocketMount {
        try WebSocketMount {
            Endpoint("/echo") { socket in
                for try await message in socket.messages { try await socket.send(message) }
            }
            Endpoint("/moved") { _ in .redirect(to: "/echo", status: 307) }
        }
    }

    private static func router() -> Router<BasicRequestContext> {
        let router = Router()
        router.get("/page") { _, _ in "a page" }
        router.get("/echo") { _, _ in "a page of the same path" }
        router.post("/form") { request, _ in try await request.body.collect(upTo: 4 * 1024 * 1024) }
        return router
    }

    private static func echoes(_ client: WebSocketClient, _ url: String) async throws {
        let socket = try await client.connect(to: url)
        for text in ["hello", String(repeating: "x", count: 100_000)] {
            try await socket.send(text)
            #expect(try await socket.messages.first { _ in true } == .text(text))
        }
        #expect(try await socket.close().clean)
    }

    @Test("routes and WebSockets on one port")
    func onePort() async throws {
        let mount = try Self.mount()
        let application = Application(router: Self.router(), server: .khp(mount), services: [mount])
        try await application.test(.live) { client in
            let port = try #require(client.port)
            for _ in 0..<3 {
                try await client.execute(uri: "/page", method: .get) { response in
                    #expect(response.status == .ok)
                    #expect(String(buffer: response.body) == "a page")
                }
                let body = ByteBuffer(repeating: 7, count: 1_000_000)
                try await client.execute(uri: "/form", method: .post, body: body) { response in
                    #expect(response.body == body)
                }
                try await Self.echoes(WebSocketClient(), "ws://127.0.0.1:\(port)/echo")
            }
            try await client.execute(uri: "/echo", method: .get) { response in
                #expect(String(buffer: response.body) == "a page of the same path")
            }
            try await client.execute(uri: "/none", method: .get) { response in
                #expect(response.status == .notFound)
            }
        }
    }

    @Test("the opening handshake has every answer, which a WebSocket of hummingbird's own cannot give")
    func answers() async throws {
        let mount = try Self.mount()
        let application = Application(router: Self.router(), server: .khp(mount))
        try await application.test(.live) { client in
            let port = try #require(client.port)
            // Followed, as redirects of one's own host are.
            try await Self.echoes(WebSocketClient(), "ws://127.0.0.1:\(port)/moved")
            do {
                _ = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/none")
                Issue.record("the router opens a WebSocket")
            } catch let error as WebSocketError {
                #expect(error.response?.status == 404)
            }
        }
    }

    @Test("behind hummingbird's TLS")
    func tls() async throws {
        let made = try SelfSignedCertificate()
        let certificate = try NIOSSLCertificate(bytes: made.certificate, format: .pem)
        let server = TLSConfiguration.makeServerConfiguration(
            certificateChain: [.certificate(certificate)],
            privateKey: .privateKey(try NIOSSLPrivateKey(bytes: made.privateKey, format: .pem))
        )
        let mount = try Self.mount()
        let (ports, bound) = AsyncStream.makeStream(of: Int.self)
        let application = Application(
            router: Self.router(),
            server: try .tls(.khp(mount), tlsConfiguration: server),
            configuration: .init(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { channel in bound.yield(channel.localAddress?.port ?? 0) }
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await application.run() }
            let port = try #require(await ports.first { _ in true })
            var configuration = WebSocketClient.Configuration()
            configuration.tls.trustRoots = .certificates([certificate])
            try await Self.echoes(WebSocketClient(configuration: configuration), "wss://localhost:\(port)/echo")
            var trusting = TLSConfiguration.makeClientConfiguration()
            trusting.trustRoots = .certificates([certificate])
            let client = TestClient(
                host: "localhost",
                port: port,
                configuration: .init(tlsConfiguration: trusting, serverName: "localhost")
            )
            client.connect()
            for _ in 0..<2 {
                let response = try await client.execute(
                    TestClient.Request("/page", method: .get, authority: "localhost")
                )
                #expect(response.body.map { String(buffer: $0) } == "a page")
            }
            try await client.shutdown()
            group.cancelAll()
        }
    }

    @Test("sockets are closed with 1001 when the application shuts down")
    func shutdown() async throws {
        let mount = try Self.mount()
        let application = Application(router: Self.router(), server: .khp(mount), services: [mount])
        let socket = try await application.test(.live) { client in
            let port = try #require(client.port)
            return try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/echo")
        }
        #expect(try await socket.closed().code == .goingAway)
    }
}

/// A connection that bytes are sent on and awaited from.
private struct Wire: Sendable {
    private let channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>

    init(port: Int) async throws {
        self.channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture { try NIOAsyncChannel(wrappingChannelSynchronously: channel) }
            }
    }

    /// Sends each of the texts, and takes what comes until it has the text's mark.
    func converse(_ turns: [(send: String, mark: String)]) async throws -> [String] {
        try await self.channel.executeThenClose { inbound, outbound in
            var answers: [String] = []
            var bytes = inbound.makeAsyncIterator()
            for turn in turns {
                try await outbound.write(ByteBuffer(bytes: turn.send.unicodeScalars.map { UInt8($0.value) }))
                var answer = ""
                while !answer.contains(turn.mark), let more = try await bytes.next() {
                    answer += String(decoding: more.readableBytesView, as: UTF8.self)
                }
                answers.append(answer)
            }
            return answers
        }
    }
}

@Suite("Later requests of one connection") struct LaterRequestTests {
    @Test("a WebSocket on a connection that has carried routes")
    func behindRoutes() async throws {
        let mount = try WebSocketMount {
            Endpoint("/echo") { socket in
                for try await message in socket.messages { try await socket.send(message) }
            }
        }
        let router = Router()
        router.get("/page") { _, _ in "a page" }
        let application = Application(router: router, server: .khp(mount))
        try await application.test(.live) { client in
            let page = "GET /page HTTP/1.1\r\nHost: h\r\n\r\n"
            let opening =
                "GET /echo HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            // A text frame, whose mask is of zeros.
            let hello = "\u{81}\u{85}\0\0\0\0hello"
            let port = try #require(client.port)
            let answers = try await Wire(port: port).converse([
                (page, "a page"), (page, "a page"), (opening, "\r\n\r\n"), (hello, "hello"), (hello, "hello"),
            ])
            #expect(answers[0].hasPrefix("HTTP/1.1 200 "))
            #expect(answers[1].hasPrefix("HTTP/1.1 200 "))
            #expect(answers[2].hasPrefix("HTTP/1.1 101 "))
            #expect(answers[2].contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
            #expect(answers[4].hasSuffix("hello"))
            // All at once: the opening waits for two responses.
            let atOnce = try await Wire(port: port).converse([(page + page + opening, "+xOo=")])
            #expect(atOnce[0].ranges(of: "HTTP/1.1 200 ").count == 2)
        }
    }
}
