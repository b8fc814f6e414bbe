import HTTPTypes
import KHPClient
import KHPHTTP2
import KHPProtocol
import KHPServer
import NIOCore
import NIOHPACK
import NIOHTTP2
import NIOSSL
import Synchronization
import TestSupport
import Testing

@Suite("Streams of HTTP/2 on a server's port", .serialized)
struct StreamTests {
    private func port(_ url: String) throws -> Int { try #require(Int(url.split(separator: ":").last ?? "")) }

    /// Waits for what nothing tells, for five seconds at most.
    private func wait(_ isThere: () -> Bool) async {
        for _ in 0..<(500 * Sanitizer.patience) where !isThere() { try? await Task.sleep(for: .milliseconds(10)) }
        #expect(isThere())
    }

    /// A text frame, masked with zeros.
    private func text(_ text: String) -> ByteBuffer {
        ByteBuffer(bytes: [0x81, 0x80 | UInt8(text.utf8.count), 0, 0, 0, 0] + text.utf8)
    }

    @Test("the bounds on what HTTP/2 makes cheap are those that are documented (threats A18, A19 and A21)")
    func defaults() {
        let http2 = WebSocketServer.HTTP2()
        #expect(http2.streamsPerConnection == 100 && http2.windowBytes == 128 * 1024)
        #expect(http2.resets == 200 && http2.controlFrames == 200 && http2.floodWindow == .seconds(30))
        #expect(http2.idleTime == .seconds(60))
    }

    @Test("WebSockets and ordinary requests share a connection, and each is counted and observed for itself")
    func sharing() async throws {
        let paths = Mutex<[String]>([])
        try await withHTTP2Server {
            $0.respondToHTTP = { request in
                paths.withLock { $0.append(request.path ?? "") }
                return request.path == "/page" ? HandshakeResponse(status: 200, body: ByteBuffer(string: "page")) : nil
            }
        } endpoints: {
            echo()
        } body: { url in
            try await StreamPeer.connected(to: try self.port(url)) { peer in
                await peer.awaitSettings()
                let first = try await peer.open("/echo")
                let second = try await peer.open("/echo")
                #expect(await first.answer(count: 0).status == "200")
                #expect(await second.answer(count: 0).status == "200")
                let page = await (try peer.get("/page")).answer()
                #expect(page.status == "200" && String(buffer: page.content) == "page" && page.isWhole)
                #expect(await (try peer.get("/none")).answer().status == "404")
                #expect(await (try peer.get("/echo")).answer().status == "426")
                let head = await (try peer.get("/page", method: "HEAD")).answer()
                #expect(head.status == "200" && head.content.readableBytes == 0 && head.isWhole)
                #expect(await (try peer.open("/none")).answer().status == "404")
                for stream in [second, first] {
                    try await stream.send(self.text("hello"))
                    #expect(await stream.answer(count: 7).content == ByteBuffer(bytes: [0x81, 5] + "hello".utf8))
                }
            }
        }
        #expect(paths.withLock { $0 } == ["/page", "/none", "/echo", "/page"])
    }

    @Test("END_STREAM ends the input, and RST_STREAM is a lost connection (RFC 8441 section 5)")
    func ends() async throws {
        let infos = Mutex<[CloseInfo]>([])
        try await withHTTP2Server {
            Endpoint("/echo") { socket in
                do { for try await _ in socket.messages {} } catch {}
                let info = try await socket.closed()
                infos.withLock { $0.append(info) }
            }
        } body: { url in
            try await StreamPeer.connected(to: try self.port(url)) { peer in
                await peer.awaitSettings()
                let ended = try await peer.open("/echo")
                _ = await ended.answer(count: 0)
                try await ended.send(ByteBuffer(), endStream: true)
                _ = await ended.answer()
                await self.wait { infos.withLock { $0.count } == 1 }
                let reset = try await peer.open("/echo")
                _ = await reset.answer(count: 0)
                try? await reset.channel.close()
                await self.wait { infos.withLock { $0.count } == 2 }
                // The connection, and the others on it, go on.
                #expect(await (try peer.open("/echo")).answer(count: 0).status == "200")
            }
        }
        // Nobody has said why (1006).
        #expect(infos.withLock { $0.map(\.clean) }.prefix(2) == [false, false])
    }

    @Test("a stream for which there is no room is refused so that it can be asked for again (threat A18)")
    func room() async throws {
        try await withHTTP2Server {
            $0.limits.connections = 2
        } endpoints: {
            echo()
        } body: { url in
            try await StreamPeer.connected(to: try self.port(url)) { peer in
                await peer.awaitSettings()
                let first = try await peer.open("/echo")
                #expect(await first.answer(count: 0).status == "200")
                let refused = await (try peer.open("/echo")).answer()
                #expect(refused.status == nil && !refused.isWhole)
                try await first.send(ByteBuffer(bytes: [0x88, 0x82, 0, 0, 0, 0, 3, 0xE8]))
                _ = await first.answer()
                try await first.send(ByteBuffer(), endStream: true)
                await self.wait { !first.channel.isActive }
                // The server has let go of it a moment later.
                while await (try peer.open("/echo")).answer(count: 0).status != "200" { try Task.checkCancellation() }
            }
        }
    }

    @Test("a connection without streams says GOAWAY and ends (threat A18)")
    func idle() async throws {
        try await withHTTP2Server {
            $0.http2?.idleTime = .milliseconds(50)
            $0.timeouts.opening = .milliseconds(200)
        } endpoints: {
            echo()
        } body: { url in
            for asks in [false, true] {
                try await StreamPeer.connected(to: try self.port(url)) { peer in
                    if asks { _ = await (try peer.get("/none")).answer() }
                    var hasGoneAway = false
                    for await frame in peer.frames {
                        if case .goAway(_, .noError, _) = frame.payload { hasGoneAway = true }
                    }
                    #expect(hasGoneAway)
                }
            }
        }
    }

    @Test("a shutdown says GOAWAY, closes each stream's socket with 1001, and waits for the last")
    func drain() async throws {
        let opened = Mutex(false)
        let peerIsDone = Mutex<Task<[UInt8], any Error>?>(nil)
        try await withHTTP2Server {
            Endpoint("/echo") { socket in
                opened.withLock { $0 = true }
                for try await _ in socket.messages {}
            }
        } body: { url in
            let port = try self.port(url)
            let task = Task {
                var seen: [UInt8] = []
                try await StreamPeer.connected(to: port) { peer in
                    await peer.awaitSettings()
                    let stream = try await peer.open("/echo")
                    _ = await stream.answer(count: 0)
                    seen = Array(buffer: await stream.answer(count: 4).content)
                    try await stream.send(ByteBuffer(bytes: [0x88, 0x82, 0, 0, 0, 0, 3, 0xE9]), endStream: true)
                    var goAways = 0
                    for await frame in peer.frames { if case .goAway = frame.payload { goAways += 1 } }
                    #expect(goAways == 1)
                }
                return seen
            }
            peerIsDone.withLock { $0 = task }
            await self.wait { opened.withLock { $0 } }
        }
        let seen = try await peerIsDone.withLock { $0 }?.value
        #expect(seen?.prefix(4) == [0x88, 2, 3, 0xE9])
    }

    @Test("a connection that is retired takes no further stream, and those that are open go on (RFC 9113 section 6.8)")
    func retired() async throws {
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(try Certificates.shared.get().server)
                .map { .certificate($0) },
            privateKey: .privateKey(
                try NIOSSLPrivateKey(file: try Certificates.shared.get().serverKey, format: .pem)
            )
        )
        tls.applicationProtocols = ["h2", "http/1.1"]
        var configuration = WebSocketMount.Configuration()
        configuration.http2 = .init()
        let mount = try WebSocketMount(configuration: configuration) { echo() }
        var listening = WebSocketListener.Configuration(address: .hostname("127.0.0.1", port: 0))
        listening.tls = tls
        let listener = WebSocketListener(configuration: listening, mount: mount)
        let port = try await listener.listen().port ?? 0
        try await StreamPeer.connected(to: port) { peer in
            await peer.awaitSettings()
            let open = try await peer.open("/echo")
            #expect(await open.answer(count: 0).status == "200")
            mount.retireConnections()
            var isTold = false
            for await frame in peer.frames {
                guard case .goAway(_, .noError, _) = frame.payload else { continue }
                isTold = true
                break
            }
            #expect(isTold)
            let late = try? await peer.open("/echo")
            #expect(await late?.answer(count: 0).status == nil)
            try await open.send(ByteBuffer(bytes: maskedFrame(1, Array("hi".utf8))))
            #expect(await open.answer(count: 4).content == ByteBuffer(bytes: [0x81, 2] + Array("hi".utf8)))
        }
        await listener.close()
        await mount.drain()
    }

    @Test("a client that breaks HTTP/2 loses its connection (threat A19)")
    func broken() async throws {
        try await withHTTP2Server {
            $0.http2?.resets = 5
        } endpoints: {
            echo()
        } body: { url in
            try await StreamPeer.connected(to: try self.port(url)) { peer in
                await peer.awaitSettings()
                for _ in 0..<8 {
                    guard let stream = try? await peer.open("/echo") else { break }
                    stream.channel.close(promise: nil)
                }
                var error: Int?
                for await frame in peer.frames {
                    if case .goAway(_, let code, _) = frame.payload { error = code.networkCode }
                }
                // ENHANCE_YOUR_CALM
                #expect(error == 0x0B)
            }
        }
    }

    @Test("a stream whose client takes nothing is given up as a connection is, and the others go on (threat A21)")
    func stalled() async throws {
        let infos = Mutex<[CloseInfo]>([])
        try await withHTTP2Server {
            $0.timeouts.stalledWrite = .milliseconds(300)
        } endpoints: {
            Endpoint("/flood") { socket in
                do {
                    while true { try await socket.send(.binary(ByteBuffer(repeating: 0, count: 16 * 1024))) }
                } catch {
                    let info = try await socket.closed()
                    infos.withLock { $0.append(info) }
                }
            }
            echo()
        } body: { url in
            try await StreamPeer.connected(to: try self.port(url)) { peer in
                await peer.awaitSettings()
                let stalled = try await peer.open("/flood")
                try await stalled.channel.setOption(.autoRead, value: false).get()
                await self.wait { infos.withLock { $0.count } == 1 }
                let other = try await peer.open("/echo")
                #expect(await other.answer(count: 0).status == "200")
                try await other.send(self.text("on"))
                #expect(await other.answer(count: 4).content == ByteBuffer(bytes: [0x81, 2] + "on".utf8))
            }
        }
        let info = try #require(infos.withLock { $0.first })
        #expect(!info.clean && info.error?.code == .timeout)
    }

    @Test(
        "who does not read is not written to without end, and who is not read from cannot send without end (threat A21)"
    )
    func backPressure() async throws {
        let sent = Mutex(0)
        try await withHTTP2Server {
            Endpoint("/flood") { socket in
                for _ in 0..<200 {
                    try await socket.send(.binary(ByteBuffer(repeating: 0, count: 16 * 1024)))
                    sent.withLock { $0 += 1 }
                }
            }
        } body: { url in
            try await makeClient(.required) { $0.limits.inboundQueueMessages = 2 }
                .withConnection(to: url + "/flood") { socket in
                    var last = -1
                    // It stands still once the windows and the buffers are full.
                    while true {
                        let count = sent.withLock { $0 }
                        if count == last, count > 0 { break }
                        last = count
                        try await Task.sleep(for: .milliseconds(100))
                    }
                    #expect(last < 100)
                    var count = 0
                    for try await _ in socket.messages { count += 1 }
                    #expect(count == 200)
                }
        }
    }
}
