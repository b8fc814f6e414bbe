// Several listeners for the endpoints of one mount: each has an address, a bound and a rule for clients' addresses of its
// own, and comes and goes while the others stay.

import Foundation
import KHPClient
import KHPProtocol
import KHPServer
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite("Listeners of a mount") struct ListenerTests {
    /// An endpoint that says by which listener the client has come, and who it is.
    private static let who = Endpoint("/who") { socket, request in
        try await socket.send(.text("\(request.listener ?? "-") \(request.client?.ipAddress ?? "-")"))
        for try await message in socket.messages { try await socket.send(message) }
    }

    private static func configuration(
        _ name: String,
        _ change: (inout WebSocketListener.Configuration) -> Void = { _ in }
    ) -> WebSocketListener.Configuration {
        var configuration = WebSocketListener.Configuration(address: .hostname("127.0.0.1", port: 0))
        configuration.name = name
        change(&configuration)
        return configuration
    }

    private static func withMount(
        _ configure: (inout WebSocketMount.Configuration) -> Void = { _ in },
        _ body: (WebSocketMount) async throws -> Void
    ) async throws {
        var configuration = WebSocketMount.Configuration()
        configuration.gracefulShutdownTimeout = .seconds(2)
        configure(&configuration)
        let mount = try WebSocketMount(configuration: configuration) { Self.who }
        let result: Result<Void, any Error>
        do { result = .success(try await body(mount)) } catch { result = .failure(error) }
        await mount.drain()
        try result.get()
    }

    private static func open(_ port: Int?) async throws -> (WebSocket, String) {
        let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port ?? 0)/who")
        guard case .text(let who) = try await socket.receive() else { return (socket, "binary") }
        return (socket, who)
    }

    private static func end(of socket: WebSocket) async throws -> WebSocketCloseCode? {
        for try await _ in socket.messages {}
        return try await socket.closed().code
    }

    @Test("each has its name, its counts and its port; one closes, and the sockets that came by it stay")
    func comesAndGoes() async throws {
        try await Self.withMount { mount in
            let first = WebSocketListener(configuration: Self.configuration("first"), mount: mount)
            let second = WebSocketListener(configuration: Self.configuration("second"), mount: mount)
            #expect(first.counts.accepted == 0)
            let port = try await first.listen().port
            let run = Task { try await second.run() }
            let other = try await second.boundAddress().port
            let (one, byFirst) = try await Self.open(port)
            let (two, bySecond) = try await Self.open(other)
            #expect(byFirst == "first 127.0.0.1" && bySecond == "second 127.0.0.1")
            #expect(first.counts.connections == 1 && second.counts.connections == 1 && mount.connections == 2)
            await first.close()
            await #expect(throws: WebSocketError.self) { try await Self.open(port) }
            try await one.send("still here")
            #expect(try await one.receive() == .text("still here"))
            // The address is free for another one, which opens while the second goes on.
            let third = WebSocketListener(
                configuration: Self.configuration("third") { $0.address = .hostname("127.0.0.1", port: port ?? 0) },
                mount: mount
            )
            try await third.listen()
            let (three, byThird) = try await Self.open(port)
            #expect(byThird == "third 127.0.0.1")
            run.cancel()
            try await run.value
            await #expect(throws: WebSocketError.self) { try await Self.open(other) }
            async let codes = (Self.end(of: one), Self.end(of: two), Self.end(of: three))
            await mount.drain()
            let ended = try await codes
            #expect(ended == (.goingAway, .goingAway, .goingAway))
            await third.close()
            #expect(first.counts.connections == 0 && first.counts.accepted == 1 && third.counts.accepted == 1)
        }
    }

    @Test("one that is full turns away, and the others take")
    func full() async throws {
        try await Self.withMount { mount in
            let small = WebSocketListener(
                configuration: Self.configuration("small") { $0.connections = 1 },
                mount: mount
            )
            let other = WebSocketListener(configuration: Self.configuration("other"), mount: mount)
            let port = try await small.listen().port
            let (socket, _) = try await Self.open(port)
            let refused = try await RawClient.connect(port ?? 0)
            #expect(try await String(buffer: refused.receiveAll()).hasPrefix("HTTP/1.1 503 "))
            #expect(small.counts.refused == 1 && small.counts.accepted == 1)
            let (there, _) = try await Self.open(try await other.listen().port)
            try await socket.close()
            while small.counts.connections > 0 { await Task.yield() }
            let (next, _) = try await Self.open(port)
            for socket in [there, next] { try await socket.close() }
            await small.close()
            await other.close()
        }
    }

    @Test("a configuration that makes no sense, an address that is taken, and a second time are errors")
    func errors() async throws {
        try await Self.withMount { mount in
            let taken = WebSocketListener(configuration: Self.configuration("taken"), mount: mount)
            let port = try await taken.listen().port ?? 0
            let rows: [(WebSocketError.Code, (inout WebSocketListener.Configuration) -> Void)] = [
                (.invalidArgument, { $0.proxyProtocol = .required(from: []) }),
                (.invalidArgument, { $0.proxyProtocol = .required(from: ["proxy.example"]) }),
                (.invalidArgument, { $0.clientAddress = .forwarded(.forwarded, trusted: ["x"]) }),
                (.invalidArgument, { $0.connections = 0 }),
                (.connectFailed, { $0.address = .hostname("127.0.0.1", port: port) }),
                (.connectFailed, { $0.address = .unixDomainSocket(path: "/nowhere/khp.sock") }),
            ]
            for (code, change) in rows {
                let listener = WebSocketListener(configuration: Self.configuration("x", change), mount: mount)
                let error = try await #require(throws: WebSocketError.self) { try await listener.listen() }
                #expect(error.code == code, "\(error)")
                await #expect(throws: WebSocketError.self) { try await listener.boundAddress() }
            }
            let error = try await #require(throws: WebSocketError.self) { try await taken.listen() }
            #expect(error.code == .invalidArgument)
            await taken.close()
        }
    }

    @Test("a file that was left behind by a listener is in nobody's way, and a listener that is there is")
    func unixDomainSocket() async throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("khp-\(UUID().uuidString.prefix(8))")
            .path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await Self.withMount { mount in
            func listener() -> WebSocketListener {
                WebSocketListener(
                    configuration: Self.configuration("unix") { $0.address = .unixDomainSocket(path: path) },
                    mount: mount
                )
            }
            let first = listener()
            #expect(try await first.listen().pathname == path)
            let error = try await #require(throws: WebSocketError.self) { try await listener().listen() }
            #expect(error.code == .connectFailed && error.message.contains("in use"), "\(error)")
            var configuration = WebSocketClient.Configuration()
            configuration.connectTo = .unixDomainSocket(path: path)
            let socket = try await WebSocketClient(configuration: configuration).connect(to: "ws://a.example/who")
            #expect(try await socket.receive() == .text("unix -"))
            // As a process that is killed leaves it.
            try FileManager.default.moveItem(atPath: path, toPath: path + "x")
            await first.close()
            try FileManager.default.moveItem(atPath: path + "x", toPath: path)
            let second = listener()
            try await second.listen()
            let next = try await WebSocketClient(configuration: configuration).connect(to: "ws://a.example/who")
            for socket in [socket, next] { try await socket.close() }
            await second.close()
            #expect(!FileManager.default.fileExists(atPath: path))
            try Data("a file of somebody's".utf8).write(to: URL(fileURLWithPath: path))
            await #expect(throws: WebSocketError.self) { try await listener().listen() }
            #expect(try String(contentsOfFile: path, encoding: .utf8) == "a file of somebody's")
        }
    }

    @Test("a socket that is bound already, listened on or not", arguments: [false, true])
    func boundSocket(isListening: Bool) async throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let address = try SocketAddress(ipAddress: "127.0.0.1", port: 0)
        let isBound = address.withSockAddr { bind(descriptor, $0, socklen_t($1)) == 0 }
        #expect(isBound && (!isListening || listen(descriptor, 5) == 0))
        try await Self.withMount { mount in
            let listener = WebSocketListener(
                configuration: Self.configuration("handed over") { $0.address = .boundSocket(descriptor) },
                mount: mount
            )
            let (socket, who) = try await Self.open(try await listener.listen().port)
            #expect(who == "handed over 127.0.0.1")
            try await socket.close()
            await listener.close()
            // It was the listener's to close.
            #expect(fcntl(descriptor, F_GETFD) == -1)
            let none = WebSocketListener(
                configuration: Self.configuration("none") { $0.address = .boundSocket(1_000_000) },
                mount: mount
            )
            let error = try await #require(throws: WebSocketError.self) { try await none.listen() }
            #expect(error.code == .connectFailed, "\(error)")
            #expect(error.message.hasSuffix("descriptor 1000000: bad file descriptor."), "\(error)")
        }
    }

    // MARK: Clients' addresses

    @Test("each believes its own proxies")
    func forwarded() async throws {
        try await Self.withMount { mount in
            let believing = WebSocketListener(
                configuration: Self.configuration("believing") {
                    $0.clientAddress = .forwarded(.xForwardedFor, trusted: ["127.0.0.1"])
                },
                mount: mount
            )
            let other = WebSocketListener(configuration: Self.configuration("other"), mount: mount)
            for (listener, who) in [(believing, "believing 203.0.113.9"), (other, "other 127.0.0.1")] {
                let client = try await RawClient.connect(try await listener.listen().port ?? 0)
                try await client.send(openingRequest("/who", extra: "X-Forwarded-For: 203.0.113.9\r\n"))
                let answer = try await client.receive { String(buffer: $0).hasSuffix(who) }
                #expect(String(buffer: answer).hasSuffix(who))
                try await client.close()
                await listener.close()
            }
        }
    }

    private static let named = "PROXY TCP4 203.0.113.9 127.0.0.1 4711 80\r\n"

    @Test("a proxy names its client ahead of everything, in any pieces, and with a forwarding field behind it")
    func proxyHeader() async throws {
        try await Self.withMount({ $0.clientAddress = .forwarded(.xForwardedFor, trusted: ["203.0.113.9"]) }) { mount in
            let listener = WebSocketListener(
                configuration: Self.configuration("behind") { $0.proxyProtocol = .required(from: ["127.0.0.0/8"]) },
                mount: mount
            )
            let port = try await listener.listen().port ?? 0
            let forwarded = openingRequest("/who", extra: "X-Forwarded-For: 198.51.100.7\r\n")
            let rows: [([String], String)] = [
                ([Self.named + openingRequest("/who")], "203.0.113.9"),
                ([Self.named, openingRequest("/who")], "203.0.113.9"),
                ((Self.named + openingRequest("/who")).map { String($0) }, "203.0.113.9"),
                (["PROXY UNKNOWN\r\n" + openingRequest("/who")], "127.0.0.1"),
                ([Self.named + forwarded], "198.51.100.7"),
                (["PROXY UNKNOWN\r\n" + forwarded], "127.0.0.1"),
            ]
            for (pieces, address) in rows {
                let client = try await RawClient.connect(port)
                for piece in pieces { try await client.send(piece) }
                let answer = try await client.receive { String(buffer: $0).hasSuffix("behind \(address)") }
                #expect(String(buffer: answer).hasPrefix("HTTP/1.1 101 "))
                #expect(String(buffer: answer).hasSuffix("behind \(address)"))
                try await client.close()
            }
            #expect(listener.counts.withoutProxyHeader == 0)
            await listener.close()
        }
    }

    @Test("no header, a wrong one and an untrusted peer end without an answer, and a line of the log says why")
    func noProxyHeader() async throws {
        let log = CollectingLog()
        try await Self.withMount({ $0.logger = Logger(label: "x") { _ in log } }) { mount in
            for (from, bytes, reason) in [
                ("127.0.0.1", openingRequest("/who"), "begins with no PROXY header"),
                ("127.0.0.1", "PROXY TCP4 x y 1 2\r\n" + openingRequest("/who"), "PROXY header is wrong"),
                ("192.0.2.1", Self.named + openingRequest("/who"), "from no trusted proxy"),
            ] {
                let listener = WebSocketListener(
                    configuration: Self.configuration("behind") { $0.proxyProtocol = .required(from: [from]) },
                    mount: mount
                )
                let client = try await RawClient.connect(try await listener.listen().port ?? 0)
                try? await client.send(bytes)
                #expect(try await client.receiveAll().readableBytes == 0)
                try? await client.close()
                #expect(log.text.contains(reason))
                let counts = listener.counts
                #expect(from == "127.0.0.1" ? counts.withoutProxyHeader == 1 : counts.untrusted == 1)
                #expect(counts.withoutProxyHeader + counts.untrusted == 1)
                await listener.close()
            }
            #expect(log.text.contains("GET /who"))
        }
    }

    @Test("a header where none is taken is told of in the log, before TLS too", arguments: [false, true])
    func unwantedHeader(isSecure: Bool) async throws {
        let tls = try CertificateAuthority.shared.get().server("DNS:localhost")
        let binary: [UInt8] = Array("\r\n\r\n\0\r\nQUIT\n".utf8) + [0x20, 0, 0, 0]
        for bytes in [Array(Self.named.utf8), binary, Array("HELLO\r\n".utf8)] {
            let log = CollectingLog()
            try await Self.withMount({ $0.logger = Logger(label: "x") { _ in log } }) { mount in
                let listener = WebSocketListener(
                    configuration: Self.configuration("plain") { if isSecure { $0.tls = tls } },
                    mount: mount
                )
                let client = try await RawClient.connect(try await listener.listen().port ?? 0)
                try await client.send(bytes + Array(openingRequest("/who").utf8))
                let answer = String(buffer: try await client.receiveAll())
                #expect(isSecure || answer.hasPrefix("HTTP/1.1 400 "), "\(answer)")
                let isHeader = !bytes.starts(with: Array("HELLO".utf8))
                #expect(log.text.contains("begins with a PROXY header, which is not taken here") == isHeader)
                #expect(log.text.contains("plain") || !isHeader, "\(log.text)")
                await listener.close()
            }
        }
    }

    @Test("a second header, where one is taken, is told of as any other opening that cannot be read")
    func secondHeader() async throws {
        let log = CollectingLog()
        try await Self.withMount({ $0.logger = Logger(label: "x") { _ in log } }) { mount in
            let listener = WebSocketListener(
                configuration: Self.configuration("behind") { $0.proxyProtocol = .required(from: ["127.0.0.1"]) },
                mount: mount
            )
            let client = try await RawClient.connect(try await listener.listen().port ?? 0)
            try await client.send(Self.named + Self.named + openingRequest("/who"))
            #expect(String(buffer: try await client.receiveAll()).hasPrefix("HTTP/1.1 400 "))
            #expect(!log.text.contains("begins with a PROXY header, which is not taken here"))
            await listener.close()
        }
    }

    @Test("limits count by the client that is named")
    func limitsByName() async throws {
        try await Self.withMount({ $0.limits.pendingHandshakesPerAddress = 1 }) { mount in
            let listener = WebSocketListener(
                configuration: Self.configuration("behind") { $0.proxyProtocol = .required(from: ["127.0.0.1"]) },
                mount: mount
            )
            let port = try await listener.listen().port ?? 0
            let silent = try await RawClient.connect(port)
            try await silent.send(Self.named)
            // The same client again, once the first counts.
            var isRefused = false
            while !isRefused {
                let again = try await RawClient.connect(port)
                try await again.send(Self.named + openingRequest("/who"))
                let answer = try await again.receive { String(buffer: $0).hasSuffix("behind 203.0.113.9") }
                isRefused = answer.readableBytes == 0
                try? await again.close()
            }
            let other = try await RawClient.connect(port)
            try await other.send("PROXY TCP4 203.0.113.8 127.0.0.1 1 2\r\n" + openingRequest("/who"))
            let answer = try await other.receive { String(buffer: $0).hasSuffix("behind 203.0.113.8") }
            #expect(String(buffer: answer).hasSuffix("behind 203.0.113.8"))
            for client in [silent, other] { try await client.close() }
            await listener.close()
        }
    }

    @Test("TLS begins behind the header, in the same bytes too", arguments: [false, true])
    func proxyHeaderBeforeTLS(atOnce: Bool) async throws {
        let authority = try CertificateAuthority.shared.get()
        let tls = try authority.server("DNS:localhost")
        try await Self.withMount { mount in
            let listener = WebSocketListener(
                configuration: Self.configuration("secure") {
                    $0.proxyProtocol = .required(from: ["127.0.0.1"])
                    $0.tls = tls
                },
                mount: mount
            )
            let port = try await listener.listen().port ?? 0
            let relay = try await HeaderRelay.start(to: port, header: Self.named, atOnce: atOnce)
            var configuration = WebSocketClient.Configuration()
            configuration.tls.trustRoots = try authority.roots()
            let client = WebSocketClient(configuration: configuration)
            let socket = try await client.connect(to: "wss://localhost:\(relay.port)/who")
            #expect(try await socket.receive() == .text("secure 203.0.113.9"))
            try await socket.close()
            try await relay.stop()
            await listener.close()
        }
    }
}

/// A proxy that only carries bytes, with a header of its own ahead of them.
private struct HeaderRelay: Sendable {
    let listener: any Channel
    var port: Int { self.listener.localAddress?.port ?? 0 }

    /// - Parameter atOnce: has the header wait for the client's first bytes and go out with them.
    static func start(to port: Int, header: String, atOnce: Bool) async throws -> HeaderRelay {
        let group = MultiThreadedEventLoopGroup.singleton
        let listener = try await ServerBootstrap(group: group)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { client in
                ClientBootstrap(group: client.eventLoop).connect(host: "127.0.0.1", port: port).flatMap { server in
                    var first = ByteBuffer(string: header)
                    if !atOnce {
                        server.writeAndFlush(first, promise: nil)
                        first.clear()
                    }
                    return client.eventLoop.makeCompletedFuture {
                        try client.pipeline.syncOperations.addHandler(Glue(to: server, behind: first))
                        try server.pipeline.syncOperations.addHandler(Glue(to: client, behind: ByteBuffer()))
                        client.eventLoop.execute { client.setOption(.autoRead, value: true).whenComplete { _ in } }
                    }
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return HeaderRelay(listener: listener)
    }

    func stop() async throws { try await self.listener.close().get() }

    private final class Glue: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let other: any Channel
        private var first: ByteBuffer

        init(to other: any Channel, behind first: ByteBuffer) {
            self.other = other
            self.first = first
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var bytes = self.first
            self.first.clear()
            bytes.writeImmutableBuffer(self.unwrapInboundIn(data))
            self.other.writeAndFlush(bytes, promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) { self.other.close(promise: nil) }
    }
}
