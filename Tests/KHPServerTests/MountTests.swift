// Endpoints behind the port of somebody else's HTTP: each request goes where it belongs, with all its bytes, and neither
// side's limits or shutdown are the other's.

import Foundation
import KHPClient
import KHPProtocol
import KHPWebSocket
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import TestSupport
import Testing

@testable import KHPServer

@Suite("Endpoints mounted into another server") struct MountTests {
    typealias Whose = WebSocketMount.Accepted<String>

    /// A server with these endpoints mounted, and where each of its connections went.
    struct Mounted: Sendable {
        let mount: WebSocketMount
        let server: HostServer
        let decisions: AsyncStream<EventLoopFuture<Whose>>

        var port: Int { self.server.port }

        /// Where the next connection goes.
        func decision() async throws -> Whose? {
            for await decision in self.decisions { return try await decision.get() }
            return nil
        }

        /// A request on a connection of its own; the answer as far as `isEnough` wants it.
        func answer(_ request: String, _ mark: String = "\r\n\r\n") async throws -> String {
            let client = try await RawClient.connect(self.port)
            try await client.send(request)
            let answer = try await client.receive { String(buffer: $0).contains(mark) }
            try? await client.close()
            return String(buffer: answer)
        }
    }

    static func withMount(
        _ configure: (inout WebSocketMount.Configuration) -> Void = { _ in },
        tls: NIOSSLContext? = nil,
        isSecure: Bool? = nil,
        sharing: WebSocketMount.Sharing = .everyRequest,
        endpoints: [Endpoint] = [echo()],
        http: @escaping @Sendable (any Channel) -> EventLoopFuture<String> = { Self.setUpHTTP($0) },
        _ body: (Mounted) async throws -> Void
    ) async throws {
        var configuration = WebSocketMount.Configuration()
        configuration.gracefulShutdownTimeout = .seconds(2)
        configure(&configuration)
        let mount = try WebSocketMount(configuration: configuration, endpoints: endpoints)
        let (decisions, decided) = AsyncStream.makeStream(of: EventLoopFuture<Whose>.self)
        let server = try await HostServer.start(tls: tls) { channel in
            decided.yield(mount.accept(channel, isSecure: isSecure, sharing: sharing, http: http))
        }
        let result: Result<Void, any Error>
        do { result = .success(try await body(Mounted(mount: mount, server: server, decisions: decisions))) } catch {
            result = .failure(error)
        }
        await mount.drain()
        try await server.stop()
        try result.get()
    }

    @Sendable private static func setUpHTTP(_ channel: any Channel) -> EventLoopFuture<String> {
        channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(HostHTTP())
            return "theirs"
        }
    }

    static let get = "GET /page HTTP/1.1\r\nHost: h\r\n\r\n"
    static let post = "POST /form HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\n\r\na=1&b=2"

    static func hosted(_ request: String) -> String {
        "HTTP/1.1 200 OK\r\nContent-Length: \(request.utf8.count)\r\n\r\n\(request)"
    }

    // MARK: Where requests go

    @Test("a request that is no endpoint's gets the other server's answer, and arrives unchanged")
    func theirs() async throws {
        let requests = [
            Self.get, Self.post, openingRequest("/theirs"), "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /auth HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        ]
        try await Self.withMount { mounted in
            for request in requests {
                #expect(try await mounted.answer(request, Self.hosted(request)) == Self.hosted(request))
                guard case .http("theirs")? = try await mounted.decision() else {
                    Issue.record("\(request) is not handed on")
                    continue
                }
            }
            #expect(mounted.mount.connections == 0)
        }
    }

    @Test("requests that come byte by byte, and many at once, keep their order")
    func order() async throws {
        let requests = [Self.post, Self.get, openingRequest("/theirs"), Self.post]
        let all = requests.joined()
        let answers = requests.map { Self.hosted($0) }.joined()
        try await Self.withMount { mounted in
            let client = try await RawClient.connect(mounted.port)
            try await client.send(all)
            #expect(try await String(buffer: client.receive { $0.readableBytes >= answers.utf8.count }) == answers)
            try? await client.close()
            let slow = try await RawClient.connect(mounted.port)
            for byte in all.utf8 { try await slow.send([byte]) }
            #expect(try await String(buffer: slow.receive { $0.readableBytes >= answers.utf8.count }) == answers)
            try await slow.close()
        }
    }

    @Test("a request of an endpoint's gets the endpoint's answer, a refusal too")
    func ours() async throws {
        let moved = Endpoint("/moved") { _ in .redirect(to: "/echo", status: 307) }
        try await Self.withMount(endpoints: [echo(), moved]) { mounted in
            let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(mounted.port)/echo")
            guard case .webSocket(let closed)? = try await mounted.decision() else {
                return #expect(Bool(false), "it is not an endpoint's")
            }
            try await socket.send("hello")
            #expect(try await socket.messages.first { _ in true } == .text("hello"))
            #expect(mounted.mount.connections == 1)
            try await socket.close()
            try await closed.get()
            let rows: [(String, Int)] = [
                ("GET /echo HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n", 400),
                ("POST /echo HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n", 405),
                (openingRequest("/moved"), 307),
            ]
            for (request, status) in rows {
                #expect(try await mounted.answer(request).hasPrefix("HTTP/1.1 \(status) "), "\(request)")
            }
        }
    }

    @Test("what comes while the other pipeline is set up waits, the end of the stream too", arguments: [true, false])
    func lateSetUp(fails: Bool) async throws {
        let (channels, setUp) = AsyncStream.makeStream(of: ((any Channel), EventLoopPromise<String>).self)
        try await Self.withMount(http: { channel in
            let ready = channel.eventLoop.makePromise(of: String.self)
            setUp.yield((channel, ready))
            return ready.futureResult
        }) { mounted in
            let client = try await RawClient.connect(mounted.port)
            try await client.send(Self.post)
            var waiting = channels.makeAsyncIterator()
            let (channel, ready) = try #require(await waiting.next())
            try await client.send(Self.get)
            try await client.endOutput()
            // The loop has read it by now, and it waits.
            try await channel.eventLoop.submit {}.get()
            if fails {
                ready.fail(ChannelError.operationUnsupported)
                #expect(try await client.receiveAll().readableBytes == 0)
                await #expect(throws: ChannelError.self) { try await mounted.decision() }
            } else {
                try await channel.eventLoop.submit {
                    try channel.pipeline.syncOperations.addHandler(HostHTTP())
                }.get()
                ready.succeed("late")
                let both = Self.hosted(Self.post) + Self.hosted(Self.get)
                #expect(try await String(buffer: client.receiveAll()) == both)
            }
            try? await client.close()
        }
    }

    @Test("a connection that ends before its request does is nobody's")
    func ended() async throws {
        try await Self.withMount { mounted in
            let client = try await RawClient.connect(mounted.port)
            try await client.send("GET /page HT")
            try? await client.close()
            guard case .ended? = try await mounted.decision() else { return #expect(Bool(false)) }
        }
    }

    @Test("the channel's settings are the other server's again")
    func settings() async throws {
        try await Self.withMount { mounted in
            #expect(try await mounted.answer(Self.get, Self.hosted(Self.get)) == Self.hosted(Self.get))
            let client = try await RawClient.connect(mounted.port)
            try await client.send(Self.get)
            _ = try await client.receive { $0.readableBytes > 0 }
            let channel = try #require(mounted.server.connections.last)
            #expect(try await channel.getOption(.allowRemoteHalfClosure).get() == false)
            try? await client.close()
        }
    }

    // MARK: Later requests

    /// Has a WebSocket on a connection that has carried these requests.
    private static func echoes(behind requests: [String], atOnce: Bool, on port: Int) async throws {
        let client = try await RawClient.connect(port)
        if atOnce { try await client.send(requests.joined() + openingRequest("/echo")) }
        for request in requests {
            if !atOnce { try await client.send(request) }
            let answer = Self.hosted(request)
            let taken = try await client.take { $0.readableBytes >= answer.utf8.count ? answer.utf8.count : nil }
            #expect(String(buffer: taken) == answer)
        }
        if !atOnce { try await client.send(openingRequest("/echo")) }
        let head = try await client.take { buffer in
            String(buffer: buffer).range(of: "\r\n\r\n").map { String(buffer: buffer)[..<$0.upperBound].utf8.count }
        }
        #expect(String(buffer: head).hasPrefix("HTTP/1.1 101 "))
        for length in [5, 100_000] {
            try await client.send(maskedFrame(2, Array(repeating: 7, count: length)))
            let frame = length + (length < 126 ? 2 : 10)
            let echo = try await client.take { $0.readableBytes >= frame ? frame : nil }
            #expect(echo.readableBytes == frame)
        }
        try await client.send(maskedFrame(8, [0x03, 0xE8]))
        #expect(try await Array(client.receiveAll().readableBytesView) == [0x88, 2, 0x03, 0xE8])
        try? await client.close()
    }

    @Test(
        "a WebSocket behind other requests of its connection",
        .timeLimit(.minutes(1)),
        arguments: [false, true]
    )
    func laterRequest(atOnce: Bool) async throws {
        try await Self.withMount { mounted in
            try await Self.echoes(behind: [Self.get], atOnce: atOnce, on: mounted.port)
            try await Self.echoes(behind: [Self.post, Self.get, Self.post], atOnce: atOnce, on: mounted.port)
            // The client may know of the end first.
            while mounted.mount.connections > 0 { await Task.yield() }
        }
    }

    @Test("where only the first request counts, a later WebSocket is the other server's")
    func firstRequestOnly() async throws {
        try await Self.withMount(sharing: .firstRequest) { mounted in
            let requests = Self.get + openingRequest("/echo")
            let answers = Self.hosted(Self.get) + Self.hosted(openingRequest("/echo"))
            let all = try await mounted.answer(requests, answers)
            #expect(all == answers)
        }
    }

    @Test("a refusal behind other requests of its connection reaches the client, and a drain a socket there")
    func laterEnds() async throws {
        try await Self.withMount { mounted in
            for request in ["GET /echo HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n", openingRequest("/echo")] {
                let client = try await RawClient.connect(mounted.port)
                try await client.send(Self.get + request)
                let isOpen = request == openingRequest("/echo")
                let all = try await client.receive {
                    String(buffer: $0).contains(isOpen ? "HTTP/1.1 101 " : "HTTP/1.1 400 ")
                }
                #expect(String(buffer: all).hasPrefix(Self.hosted(Self.get)))
                if isOpen {
                    #expect(mounted.mount.connections == 1)
                    async let drained: Void = mounted.mount.drain()
                    let last = try await client.receive { $0.readableBytesView.suffix(4) == [0x88, 2, 0x03, 0xE9] }
                    #expect(last.readableBytesView.suffix(4) == [0x88, 2, 0x03, 0xE9])
                    try await client.send(maskedFrame(8, [0x03, 0xE9]))
                    await drained
                } else {
                    _ = try await client.receiveAll()
                }
                try? await client.close()
            }
        }
    }

    @Test("the requests of one connection go by the endpoints in force when each comes")
    func replacedEndpoints() async throws {
        try await Self.withMount { mounted in
            let opening = openingRequest("/late")
            let client = try await RawClient.connect(mounted.port)
            func theirs() async throws {
                try await client.send(opening)
                let answer = Self.hosted(opening)
                let taken = try await client.take { $0.readableBytes >= answer.utf8.count ? answer.utf8.count : nil }
                #expect(String(buffer: taken) == answer)
            }
            try await theirs()
            try mounted.mount.replaceEndpoints { echo("/late") }
            try mounted.mount.replaceEndpoints([echo()])
            try await theirs()
            try mounted.mount.replaceEndpoints { echo("/late") }
            try await client.send(opening)
            let head = try await client.receive { String(buffer: $0).contains("\r\n\r\n") }
            #expect(String(buffer: head).hasPrefix("HTTP/1.1 101 "))
            try? await client.close()
        }
    }

    /// Tells of the first request, and leaves the answer to the test.
    private final class Slow: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        private let asked: AsyncStream<any Channel>.Continuation

        init(_ asked: AsyncStream<any Channel>.Continuation) { self.asked = asked }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { self.asked.yield(context.channel) }
    }

    @Test("a request of ours that waits behind a response of theirs is ours, though its endpoint goes meanwhile")
    func replacedWhileHeld() async throws {
        let (asked, asking) = AsyncStream.makeStream(of: (any Channel).self)
        let setUps = Mutex(0)
        try await Self.withMount(http: { channel in
            setUps.withLock { $0 += 1 }
            return channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(Slow(asking))
                return "slow"
            }
        }) { mounted in
            let client = try await RawClient.connect(mounted.port)
            try await client.send(Self.get + openingRequest("/echo"))
            for await channel in asked {
                try mounted.mount.replaceEndpoints([echo("/other")])
                let answer = ByteBuffer(string: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                try await channel.writeAndFlush(answer)
                break
            }
            let all = String(buffer: try await client.receive { String(buffer: $0).contains("HTTP/1.1 404 ") })
            #expect(all.hasPrefix("HTTP/1.1 200 OK\r\n") && all.contains("HTTP/1.1 404 "))
            #expect(setUps.withLock { $0 } == 1)
            try? await client.close()
        }
    }

    @Sendable private static func setUpElsewhere(_ channel: any Channel) -> EventLoopFuture<String> {
        let loops = Array(MultiThreadedEventLoopGroup.singleton.makeIterator())
        let other = loops.first { $0 !== channel.eventLoop } ?? channel.eventLoop
        return self.setUpHTTP(channel).hop(to: other)
    }

    @Test("their pipeline may be set up by another event loop")
    func otherLoop() async throws {
        try await Self.withMount(http: Self.setUpElsewhere) { mounted in
            let answer = try await mounted.answer(Self.get, Self.hosted(Self.get))
            #expect(answer == Self.hosted(Self.get))
        }
    }

    // MARK: TLS

    @Test("behind the other server's TLS")
    func tls() async throws {
        let authority = try CertificateAuthority()
        let context = try NIOSSLContext(configuration: authority.server("DNS:localhost"))
        try await Self.withMount(tls: context) { mounted in
            var configuration = WebSocketClient.Configuration()
            configuration.tls = .makeClientConfiguration()
            configuration.tls.trustRoots = try authority.roots()
            let client = WebSocketClient(configuration: configuration)
            let socket = try await client.connect(to: "wss://localhost:\(mounted.port)/echo")
            try await socket.send("hello")
            #expect(try await socket.messages.first { _ in true } == .text("hello"))
            try await socket.close()
        }
    }

    @Test("clients come by TLS up to a proxy, as the caller says", arguments: [false, true])
    func secureByProxy(isSecure: Bool) async throws {
        let old = Endpoint("/old", options: .init(dialects: [.hixie75])) { try await $0.send("hello") }
        try await Self.withMount(isSecure: isSecure, endpoints: [old]) { mounted in
            let answer = try await mounted.answer(
                "GET /old HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nOrigin: http://h\r\n\r\n"
            )
            #expect(answer.contains("WebSocket-Location: \(isSecure ? "wss" : "ws")://h/old\r\n"))
        }
    }

    // MARK: Limits

    @Test("beyond the limit of connections an endpoint's request gets 503, and the other server goes on")
    func connectionLimit() async throws {
        try await Self.withMount({ $0.limits.connections = 1 }) { mounted in
            let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(mounted.port)/echo")
            #expect(try await mounted.answer(openingRequest("/echo")).hasPrefix("HTTP/1.1 503 "))
            #expect(try await mounted.answer(Self.get, Self.hosted(Self.get)) == Self.hosted(Self.get))
            try await socket.close()
        }
    }

    @Test("where no more may be in a handshake, connections are the other server's from their first byte")
    func pendingLimit() async throws {
        try await Self.withMount({ $0.limits.pendingHandshakesPerAddress = 1 }) { mounted in
            let silent = try await RawClient.connect(mounted.port)
            // It counts once its event loop has set it up.
            for await _ in mounted.decisions { break }
            #expect(try await mounted.answer(Self.get, Self.hosted(Self.get)) == Self.hosted(Self.get))
            let opening = openingRequest("/echo")
            #expect(try await mounted.answer(opening, Self.hosted(opening)) == Self.hosted(opening))
            try await silent.close()
        }
    }

    // MARK: Shutdown

    @Test("a drain, and the other server's quiescing, close with 1001", arguments: [false, true])
    func goesAway(quiesces: Bool) async throws {
        try await Self.withMount { mounted in
            let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(mounted.port)/echo")
            if quiesces {
                let channel = try #require(mounted.server.connections.first)
                channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
            } else {
                await mounted.mount.drain()
                #expect(mounted.mount.connections == 0)
                let opening = openingRequest("/echo")
                #expect(try await mounted.answer(opening, Self.hosted(opening)) == Self.hosted(opening))
            }
            #expect(try await socket.closed().code == .goingAway)
        }
    }

    @Test("its run drains once it is cancelled")
    func run() async throws {
        try await Self.withMount { mounted in
            let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(mounted.port)/echo")
            let run = Task { try await mounted.mount.run() }
            run.cancel()
            try await run.value
            #expect(try await socket.closed().code == .goingAway)
        }
    }

    // MARK: Observing, and no HTTP at all

    @Test("an observer hears of the connections of endpoints only")
    func observer() async throws {
        let names = Mutex<[String]>([])
        let connections = Mutex<Set<UInt64>>([])
        try await Self.withMount({
            $0.observe = { event, connection in
                names.withLock { $0.append(String("\(event)".prefix { $0 != "(" })) }
                connections.withLock { _ = $0.insert(connection.id) }
            }
        }) { mounted in
            #expect(try await mounted.answer(Self.get, Self.hosted(Self.get)) == Self.hosted(Self.get))
            let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(mounted.port)/echo")
            try await socket.close()
        }
        #expect(connections.withLock { $0 }.count == 1)
        #expect(names.withLock { $0.first } == "connected")
    }

    @Test("without somebody else's HTTP every request is answered here")
    func alone() async throws {
        let mount = try WebSocketMount { echo() }
        let server = try await HostServer.start { channel in _ = mount.accept(channel) }
        let rows: [(String, Int)] = [
            (Self.get, 404), ("GET /echo HTTP/1.1\r\nHost: h\r\n\r\n", 426), (openingRequest("/echo"), 101),
            ("nonsense\r\n\r\n", 400),
        ]
        for (request, status) in rows {
            let client = try await RawClient.connect(server.port)
            try await client.send(request)
            let answer = try await client.receive { String(buffer: $0).contains("\r\n\r\n") }
            #expect(String(buffer: answer).hasPrefix("HTTP/1.1 \(status) "), "\(request)")
            try? await client.close()
        }
        await mount.drain()
        try await server.stop()
    }
}
