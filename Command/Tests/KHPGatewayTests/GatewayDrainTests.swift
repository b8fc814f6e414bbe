// Drains: those of an operator, which can be called off, and the end of a gateway, behind which nothing new begins.

import CommandTestSupport
import HTTPTypes
import KHPClient
import KHPServer
import NIOCore
import NIOPosix
import NIOSSL
import Testing

@testable import KHPGateway

@Suite("A gateway that drains", .timeLimit(.minutes(1)))
struct GatewayDrainTests {
    private static func next(_ backend: Int = 1, _ hash: String = "2") -> GatewayMaterials {
        var configuration = BareGateway.configuration(backend: backend)
        configuration.services.append(.init(name: "new", path: PathPattern(path: "/new"), kind: .echo))
        return GatewayMaterials(configuration, hash: hash)
    }

    @Test("a reload lets nobody in while an operator drains")
    func reload() async throws {
        try await BareGateway.run { gateway in
            _ = try await gateway.gateway.drain(over: .zero)
            #expect(try await gateway.status() == 503)
            _ = try await gateway.gateway.reload(Self.next())
            #expect(try await gateway.status() == 503)
            #expect(try await gateway.status("/new") == 503, "a service that the reload has brought")
            try await gateway.gateway.undrain()
            #expect(try await gateway.status() == 101)
            #expect(try await gateway.status("/new") == 101)
        }
    }

    @Test("sessions whose end was put off live on when the drain is called off")
    func calledOff() async throws {
        try await BareGateway.run { gateway in
            let sockets = [try await gateway.connect(), try await gateway.connect()]
            #expect(try await gateway.gateway.drain(over: .milliseconds(60)) == 2)
            try await gateway.gateway.undrain()
            // Past the moment at which the second was to be closed.
            try await Task.sleep(for: .milliseconds(70))
            var left = 0
            for socket in sockets {
                guard (try? await socket.send("hello")) != nil, (try? await socket.receive()) == .text("hello") else {
                    continue
                }
                left += 1
                try await socket.close()
            }
            #expect(left >= 1)
        }
    }

    @Test("from the announcement on no reload, drain and undrain is taken")
    func ending() async throws {
        try await BareGateway.run {
            $0.shutdown.announce = .milliseconds(100)
        } body: { gateway in
            let end = Task { await gateway.gateway.shutDown() }
            while await gateway.gateway.phase == .serving { await Task.yield() }
            await #expect(throws: Gateway.Failure.self) { try await gateway.gateway.reload(Self.next()) }
            for (method, path) in [(HTTPRequest.Method.post, "/drain"), (.delete, "/drain")] {
                let answer = await gateway.admin(method, path)
                #expect(answer.status == 409)
                #expect(String(buffer: answer.body) == "{\"error\":\"the gateway shuts down\"}\n")
            }
            #expect(await gateway.gateway.phase == .announcing)
            // It is announced, and clients still come.
            let status = try await gateway.status()
            #expect(status == 101)
            #expect(await end.value == 0)
            await #expect(throws: Gateway.Failure.self) { try await gateway.gateway.undrain() }
        }
    }

    @Test("a session that was let in before the drain, and opens behind its choice, is closed at once")
    func late() async throws {
        for kind in [GatewayConfiguration.Kind.echo, .broadcast] {
            let drain = Drain()
            try await withService(backends: [], kind: kind, drain: drain, opened: { _ in drain.begin() }) { view in
                let socket = try await WebSocketClient().connect(to: view.url)
                #expect(try await socket.closed().code == .goingAway)
                #expect(await view.ends.next()?.end == .shutdown)
            }
        }
    }

    @Test("the log tells of a drain that an operator begins and calls off, and how it goes")
    func log() async throws {
        try await BareGateway.run(progress: .milliseconds(10)) { gateway in
            let socket = try await gateway.connect()
            _ = try await gateway.gateway.drain(over: .zero)
            #expect(try await socket.closed().code == .goingAway)
            #expect(gateway.lines.with("drain.start", "an operator", #""sessions":1,"over":"0 s""#).count == 1)
            let lines = gateway.lines
            #expect(await Patience.wait { lines.with("drain.progress", #""sessions":0"#).first } != nil)
            try await gateway.gateway.undrain()
            #expect(gateway.lines.with("drain.end", "lets clients in again").count == 1)
            // No drain is on: nothing to be called off, and nothing to tell.
            try await gateway.gateway.undrain()
            #expect(gateway.lines.with("drain.end").count == 1)
        }
    }

    /// A client of TLS that falls silent: in a session, on a connection of HTTP/2, or behind the answer to a request.
    enum SilentClient: Sendable, CaseIterable {
        case session
        case http2
        case visitor

        fileprivate var protocols: [String] { self == .http2 ? ["h2"] : [] }

        fileprivate var request: String {
            switch self {
            case .session:
                "GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            case .http2:
                // The preface, and SETTINGS without any (RFC 9113 section 3.4).
                "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0"
            case .visitor: "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
            }
        }
    }

    @Test("a client of TLS that has fallen silent is cut when its time is over", arguments: SilentClient.allCases)
    func silentTLS(_ client: SilentClient) async throws {
        var materials = GatewayMaterials(BareGateway.configuration(), hash: "1")
        materials.listenerTLS["public"] = try CertificateAuthority.shared.get().server("IP:127.0.0.1")
        try await BareGateway.run(materials, grace: .milliseconds(30)) { gateway in
            var tls = TLSConfiguration.makeClientConfiguration()
            tls.certificateVerification = .none
            tls.applicationProtocols = client.protocols
            let context = try NIOSSLContext(configuration: tls)
            let eventLoop = MultiThreadedEventLoopGroup.singleton.any()
            let isSilent = eventLoop.makePromise(of: Void.self)
            let channel = try await ClientBootstrap(group: eventLoop).channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(NIOSSLClientHandler(context: context, serverHostname: nil))
                    try pipeline.addHandler(FallsSilent(behind: ByteBuffer(string: client.request), isSilent))
                }
            }.connect(host: "127.0.0.1", port: gateway.ports["public"] ?? 0).get()
            defer { channel.close(promise: nil) }
            try await isSilent.futureResult.get()
            let expected = client == .session ? 1 : 0
            while await gateway.gateway.sessions.count() < expected { await Task.yield() }
            let clock = ContinuousClock()
            let start = clock.now
            let cut = await gateway.gateway.shutDown()
            #expect(clock.now - start < .milliseconds(900), "TLS waits a second for a goodbye")
            #expect(cut == expected)
        }
    }
}

/// A client that reads nothing any more, TLS's goodbye neither, once its request is being answered.
private final class FallsSilent: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let request: ByteBuffer
    private let isSilent: EventLoopPromise<Void>

    init(behind request: ByteBuffer, _ isSilent: EventLoopPromise<Void>) {
        self.request = request
        self.isSilent = isSilent
    }

    // TLS keeps it until it is there.
    func channelActive(context: ChannelHandlerContext) {
        context.writeAndFlush(self.wrapOutboundOut(self.request), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        try? context.channel.syncOptions?.setOption(.autoRead, value: false)
        self.isSilent.succeed()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.isSilent.fail(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { self.isSilent.fail(ChannelError.eof) }
}
