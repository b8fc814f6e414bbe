import HTTPTypes
import KHPClient
import KHPNIOHTTP1
import KHPProtocol
import KHPServer
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization
import TestSupport
import Testing

/// The host's answer to what is no endpoint's.
private final class HostPage: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .end = self.unwrapInboundIn(data) else { return }
        let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: ["content-length": "4"])
        context.write(self.wrapOutboundOut(.head(head)), promise: nil)
        context.write(self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: "host")))), promise: nil)
        context.writeAndFlush(self.wrapOutboundOut(.end(nil)), promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // An upgrader leaves the request to others.
    }
}

/// Has the client's stream end in the turn in which its first bytes come.
private final class EndsAtOnce: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        context.fireChannelRead(data)
        context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    }
}

private enum Pipeline: CaseIterable {
    case untyped, typed
}

/// A server of SwiftNIO's with a mount behind its codec.
private func withHost(
    _ pipeline: Pipeline,
    tls: NIOSSLContext? = nil,
    endsAtOnce: Bool = false,
    configure: (inout WebSocketMount.Configuration) -> Void = { _ in },
    @EndpointBuilder _ endpoints: () -> [Endpoint],
    outcomes told: Outcomes = Outcomes(),
    body: (Int, WebSocketMount) async throws -> Void
) async throws {
    var configuration = WebSocketMount.Configuration()
    configure(&configuration)
    let mount = try WebSocketMount(configuration: configuration, endpoints: endpoints())
    let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .childChannelInitializer { channel in
            if endsAtOnce { try? channel.pipeline.syncOperations.addHandler(EndsAtOnce()) }
            switch pipeline {
            case .untyped:
                return channel.eventLoop.makeCompletedFuture {
                    try channel.speakTLS(tls)
                    let host = channel.pipeline.syncOperations
                    try host.configureHTTPServerPipeline(
                        withServerUpgrade: (upgraders: [mount.upgrader()], completionHandler: { _ in })
                    )
                    try host.addHandler(HostPage())
                }
            case .typed:
                return channel.eventLoop.makeCompletedFuture {
                    try channel.speakTLS(tls)
                    let upgrade = NIOTypedHTTPServerUpgradeConfiguration<String>(
                        upgraders: [mount.typedUpgrader("mount")]
                    ) { channel in
                        channel.eventLoop.makeCompletedFuture {
                            try channel.pipeline.syncOperations.addHandler(HostPage())
                            return "host"
                        }
                    }
                    let outcome = try channel.pipeline.syncOperations.configureUpgradableHTTPServerPipeline(
                        configuration: .init(upgradeConfiguration: upgrade)
                    )
                    outcome.whenSuccess { told.add($0) }
                }
            }
        }
        .bind(host: "127.0.0.1", port: 0)
        .get()
    do {
        try await body(listener.localAddress?.port ?? 0, mount)
    } catch {
        try? await listener.close()
        throw error
    }
    try await listener.close()
    await mount.drain()
}

extension Channel {
    /// The host's TLS, where it has any.
    fileprivate func speakTLS(_ context: NIOSSLContext?) throws {
        guard let context else { return }
        try self.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
    }
}

/// Endpoints that a page in clear may not use where they are behind TLS.
@EndpointBuilder private func guarded() -> [Endpoint] {
    echo()
    Endpoint("/guarded", options: .init(origins: .sameOrigin)) { (_: WebSocket) in }
}

private final class Outcomes: Sendable {
    private let outcomes = Mutex<[String]>([])

    var all: [String] { self.outcomes.withLock { $0 } }
    func add(_ outcome: String) { self.outcomes.withLock { $0.append(outcome) } }
}

@Suite("Endpoints behind SwiftNIO's HTTP/1 codec")
struct UpgraderTests {
    private static let rows: [(name: String, request: String, starts: String, contains: String)] = [
        ("a page", "GET /page HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\n", "host"),
        ("a WebSocket of nobody's", openingRequest("/none"), "HTTP/1.1 200 OK\r\n", "host"),
        (
            "a wrong version", openingRequest("/echo").replacing("Version: 13", with: "Version: 99"),
            "HTTP/1.1 426 Upgrade Required\r\n", "Sec-WebSocket-Version: 13"
        ),
        (
            "a wrong key", openingRequest("/echo").replacing("dGhlIHNhbXBsZSBub25jZQ==", with: "short"),
            "HTTP/1.1 400 Bad Request\r\n", "Sec-WebSocket-Key"
        ),
        ("a refusal", openingRequest("/refused"), "HTTP/1.1 403 Forbidden\r\n", "not you"),
        ("a redirect", openingRequest("/moved"), "HTTP/1.1 302 Found\r\n", "Location: /echo"),
    ]

    @Test("each request has one answer, in full: the endpoint's, or the host's", arguments: Pipeline.allCases)
    private func answers(_ pipeline: Pipeline) async throws {
        try await withHost(pipeline) {
            echo()
            Endpoint("/refused", respond: { _ in .refuse(403, "not you\n") })
            Endpoint("/moved", respond: { _ in .redirect(to: "/echo") })
        } body: { port, _ in
            for row in Self.rows {
                let client = try await RawClient.connect(port)
                try await client.send(row.request)
                let answer = String(
                    buffer: try await client.receive { String(buffer: $0).contains(row.contains) }
                )
                #expect(answer.hasPrefix(row.starts), "\(row.name): \(answer)")
                #expect(answer.ranges(of: "HTTP/1.1 ").count == 1, "\(row.name): \(answer)")
                try? await client.close()
            }
        }
    }

    @Test("a socket opens, and frames glued to its request are not lost (threat A6)", arguments: Pipeline.allCases)
    private func socket(_ pipeline: Pipeline) async throws {
        let outcomes = Outcomes()
        try await withHost(pipeline, { echo() }, outcomes: outcomes) { port, mount in
            let client = try await RawClient.connect(port)
            try await client.send(Array(openingRequest("/echo").utf8) + maskedFrame(1, [0x68, 0x69]))
            let answer = try await client.receive {
                $0.readableBytesView.suffix(4).elementsEqual([0x81, 2, 0x68, 0x69])
            }
            #expect(String(buffer: answer).hasPrefix("HTTP/1.1 101 "))
            #expect(mount.connections == 1)
            try await client.send(maskedFrame(1, [0x6F]))
            _ = try await client.receive { $0.readableBytesView.suffix(3).elementsEqual([0x81, 1, 0x6F]) }
            try await client.close()
            let page = try await RawClient.connect(port)
            try await page.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            _ = try await page.receive { String(buffer: $0).hasSuffix("host") }
            try await page.close()
        }
        if pipeline == .typed { #expect(outcomes.all.sorted() == ["host", "mount"]) }
    }

    @Test(
        "a client whose stream ends with its request is seen to have ended",
        .timeLimit(.minutes(1)),
        arguments: Pipeline.allCases
    )
    private func endsAtOnce(_ pipeline: Pipeline) async throws {
        try await withHost(pipeline, endsAtOnce: true, configure: { $0.keepAlive.pingInterval = nil }) {
            echo()
        } body: { port, _ in
            let client = try await RawClient.connect(port)
            try await client.send(openingRequest("/echo"))
            #expect(String(buffer: try await client.receiveAll()).hasPrefix("HTTP/1.1 101 "))
        }
    }

    @Test("our client, in the extended handshake and in hixie-76", arguments: Pipeline.allCases)
    private func dialects(_ pipeline: Pipeline) async throws {
        try await withHost(pipeline) {
            Endpoint("/echo", options: .init(dialects: [.rfc6455, .hixie76])) { socket in
                for try await message in socket.messages { try await socket.send(message) }
            }
        } body: { port, _ in
            for dialect in [Dialect.rfc6455, .hixie76] {
                var configuration = WebSocketClient.Configuration()
                configuration.dialect = dialect
                let client = WebSocketClient(configuration: configuration)
                try await client.withConnection(to: "ws://127.0.0.1:\(port)/echo") { socket in
                    try await socket.send("hello")
                    #expect(try await socket.receive() == .text("hello"))
                }
            }
        }
    }

    @Test("behind the host's TLS, and they know that they are", arguments: Pipeline.allCases, [false, true])
    private func tls(_ pipeline: Pipeline, isSecure: Bool) async throws {
        let authority = try CertificateAuthority.shared.get()
        let tls = try NIOSSLContext(configuration: authority.server("DNS:localhost"))
        try await withHost(pipeline, tls: isSecure ? tls : nil, guarded) { port, _ in
            let roots = isSecure ? try authority.roots() : nil
            let client = try await RawClient.connect(port, trusting: roots)
            try await client.send(Array(openingRequest("/echo").utf8) + maskedFrame(1, [0x68]) + maskedFrame(8, []))
            let answer = try await client.receiveAll()
            #expect(String(buffer: answer).hasPrefix("HTTP/1.1 101 "))
            #expect(answer.readableBytesView.suffix(5).elementsEqual([0x81, 1, 0x68, 0x88, 0]))
            let page = try await RawClient.connect(port, trusting: roots)
            try await page.send(openingRequest("/guarded", extra: "Origin: http://127.0.0.1\r\n"))
            let refusal = String(buffer: try await page.receive { String(buffer: $0).contains("\r\n\r\n") })
            #expect(refusal.hasPrefix("HTTP/1.1 \(isSecure ? 403 : 101) "), "\(refusal)")
            try? await page.close()
        }
    }

    @Test("a connection for which there is no room is refused with 503", arguments: Pipeline.allCases)
    private func room(_ pipeline: Pipeline) async throws {
        try await withHost(pipeline, configure: { $0.limits.connections = 0 }, { echo() }) { port, _ in
            let client = try await RawClient.connect(port)
            try await client.send(openingRequest("/echo"))
            #expect(String(buffer: try await client.receiveAll()).hasPrefix("HTTP/1.1 503 "))
        }
    }
}

/// A codec of somebody's own: one line, the path, and then the mount has the connection.
private final class OneLine: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private let mount: WebSocketMount
    private var line = ByteBuffer()

    init(_ mount: WebSocketMount) { self.mount = mount }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.line.writeImmutableBuffer(self.unwrapInboundIn(data))
        guard let end = self.line.readableBytesView.firstIndex(of: 0x0A) else { return }
        let path = self.line.readString(length: end - self.line.readerIndex) ?? ""
        self.line.moveReaderIndex(forwardBy: 1)
        var fields: HTTPFields = [.upgrade: "websocket", .connection: "Upgrade"]
        fields[.secWebSocketKey] = "dGhlIHNhbXBsZSBub25jZQ=="
        fields[.secWebSocketVersion] = "13"
        fields[.origin] = "http://a"
        let head = HTTPRequest(method: .get, scheme: nil, authority: "a", path: path, headerFields: fields)
        let channel = context.channel
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
        self.mount.takeOver(channel, after: head, leftover: self.line).whenFailure { _ in channel.close(promise: nil) }
    }
}

@Suite("Endpoints behind a codec of somebody's own")
struct TakeOverTests {
    private func withLines(
        tls: NIOSSLContext? = nil,
        @EndpointBuilder _ endpoints: () -> [Endpoint] = { [echo()] },
        _ body: (Int) async throws -> Void
    ) async throws {
        let mount = try WebSocketMount(endpoints: endpoints)
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.speakTLS(tls)
                    try channel.pipeline.syncOperations.addHandler(OneLine(mount))
                }
            }
            .bind(host: "127.0.0.1", port: 0)
            .get()
        try await body(listener.localAddress?.port ?? 0)
        try await listener.close()
        await mount.drain()
    }

    @Test("what came behind the head comes first")
    func leftover() async throws {
        try await self.withLines { port in
            let client = try await RawClient.connect(port)
            try await client.send(Array("/echo\n".utf8) + maskedFrame(1, [0x68, 0x69]))
            let answer = try await client.receive {
                $0.readableBytesView.suffix(4).elementsEqual([0x81, 2, 0x68, 0x69])
            }
            #expect(String(buffer: answer).hasPrefix("HTTP/1.1 101 "))
            try await client.send(maskedFrame(1, [0x6F]))
            _ = try await client.receive { $0.readableBytesView.suffix(3).elementsEqual([0x81, 1, 0x6F]) }
            try await client.close()
        }
    }

    @Test("behind the host's TLS, and they know that they are", arguments: [false, true])
    func tls(isSecure: Bool) async throws {
        let authority = try CertificateAuthority.shared.get()
        let tls = try NIOSSLContext(configuration: authority.server("DNS:localhost"))
        try await self.withLines(tls: isSecure ? tls : nil, guarded) { port in
            let roots = isSecure ? try authority.roots() : nil
            let client = try await RawClient.connect(port, trusting: roots)
            try await client.send(Array("/echo\n".utf8) + maskedFrame(1, [0x68]) + maskedFrame(8, []))
            let answer = try await client.receiveAll()
            #expect(String(buffer: answer).hasPrefix("HTTP/1.1 101 "))
            #expect(answer.readableBytesView.suffix(5).elementsEqual([0x81, 1, 0x68, 0x88, 0]))
            let page = try await RawClient.connect(port, trusting: roots)
            try await page.send("/guarded\n")
            let refusal = String(buffer: try await page.receive { String(buffer: $0).contains("\r\n\r\n") })
            #expect(refusal.hasPrefix("HTTP/1.1 \(isSecure ? 403 : 101) "), "\(refusal)")
            try? await page.close()
        }
    }

    @Test("a refusal is answered, and a head that cannot stand in HTTP is none")
    func refusals() async throws {
        try await self.withLines { port in
            let client = try await RawClient.connect(port)
            try await client.send("/none\n")
            #expect(String(buffer: try await client.receiveAll()).hasPrefix("HTTP/1.1 404 "))
            for path in ["", "/a b"] {
                let client = try await RawClient.connect(port)
                try await client.send(path + "\n")
                #expect(try await client.receiveAll().readableBytes == 0)
            }
        }
    }
}
