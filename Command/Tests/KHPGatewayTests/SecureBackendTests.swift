// Backends of TLS: verified under the name that the configuration gives, and a handshake that tells when that fails.

import CommandTestSupport
import KHPClient
import KHPServer
import NIOCore
import NIOPosix
import NIOSSL
import Testing

@testable import KHPGateway

@Suite("Backends of TLS", .timeLimit(.minutes(1)))
struct SecureBackendTests {
    /// Sends everything back.
    private final class Echoing: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            context.writeAndFlush(self.wrapOutboundOut(self.unwrapInboundIn(data)), promise: nil)
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    /// A byte stream behind TLS while the body runs.
    private static func withStream(_ tls: TLSConfiguration, body: (Int) async throws -> Void) async throws {
        let context = try NIOSSLContext(configuration: tls)
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers([NIOSSLServerHandler(context: context)])
                    try channel.pipeline.syncOperations.addHandler(Echoing())
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        do {
            try await body(listener.localAddress?.port ?? 0)
            try await listener.close()
        } catch {
            try? await listener.close()
            throw error
        }
    }

    private static func trusting(_ authority: CertificateAuthority) throws -> TLSConfiguration {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.trustRoots = try authority.roots()
        return tls
    }

    /// Talks through a gateway to a backend whose certificate is for `backend.test`.
    private static func talk(_ scheme: GatewayConfiguration.Backend.Scheme, port: Int, tls: TLSConfiguration)
        async throws
    {
        let path = scheme == .wss ? "/in" : ""
        let backend = GatewayConfiguration.Backend(scheme: scheme, host: "127.0.0.1", port: port, path: path)
        for (name, isRight) in [("backend.test", true), ("other.test", false)] {
            try await withService(backends: [backend], tls: tls) { pool in
                pool.tls.serverName = name
            } body: { view in
                do {
                    let socket = try await WebSocketClient().connect(to: view.url)
                    for count in [1, 16_385, 100_000] {
                        try await socket.send(ByteBuffer(repeating: 7, count: count))
                        var got = 0
                        while got < count, case .binary(let bytes) = try await socket.receive() {
                            got += bytes.readableBytes
                        }
                        #expect(got == count)
                    }
                    try await socket.close()
                    #expect(isRight)
                    #expect(await view.ends.next()?.end.cause == .clientClose)
                } catch let error as WebSocketError {
                    #expect(!isRight)
                    #expect(error.response?.status == 502)
                    #expect(view.pool.members.first?.snapshot.connects["tls"] == 1)
                }
            }
        }
    }

    @Test("a byte stream")
    func stream() async throws {
        let authority = try CertificateAuthority.shared.get()
        let tls = try Self.trusting(authority)
        try await Self.withStream(try authority.server("DNS:backend.test")) { port in
            try await Self.talk(.tls, port: port, tls: tls)
        }
    }

    @Test("a WebSocket")
    func webSocket() async throws {
        let authority = try CertificateAuthority.shared.get()
        let tls = try Self.trusting(authority)
        let server = try authority.server("DNS:backend.test")
        try await withServer {
            $0.tls = server
        } endpoints: {
            Endpoint("/in") { socket in
                for try await message in socket.messages { try await socket.send(message) }
            }
        } body: { port in
            try await Self.talk(.wss, port: port, tls: tls)
        }
    }

    @Test("the words of a failure are for people: without dumps of BoringSSL, paths and parts of milliseconds")
    func words() async throws {
        let texts = [
            ("HTTP/1.1 400 Bad Request\r\n\r\n", ""), ("", "it ended the connection in the middle of the handshake"),
            // An alert: no parameters to agree on.
            ("\u{15}\u{3}\u{3}\u{0}\u{2}\u{2}\u{28}", "it found no parameters"),
        ]
        for (text, words) in texts {
            try await withRawServer { connection in
                try await connection.executeThenClose { inbound, outbound in
                    for try await _ in inbound {
                        if !text.isEmpty { try await outbound.write(ByteBuffer(string: text)) }
                        break
                    }
                }
            } body: { port in
                var rules = GatewayConfiguration.Pool(name: "p")
                rules.backends = [.init(scheme: .tls, host: "127.0.0.1", port: port)]
                let pool = try BackendPool(rules, tls: .makeClientConfiguration())
                let checks = BackendChecks(pool: pool, eventLoop: MultiThreadedEventLoopGroup.singleton.any())
                let failure = await checks.check(pool.members[0], GatewayConfiguration.Check())
                let told = failure?.words ?? ""
                #expect(told.hasPrefix("TLS failed: \(words)"), "\(told)")
                #expect(!told.contains { "/[]()".contains($0) } && !told.contains("Error"), "\(told)")
            }
        }
    }

    @Test("a connect to a backend of WebSocket is timed in whole milliseconds")
    func milliseconds() async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, _ in for try await _ in inbound {} }
        } body: { port in
            let backend = GatewayConfiguration.Backend(scheme: .ws, host: "127.0.0.1", port: port, path: "/")
            let connector = WebSocketConnector(backend: backend, tls: nil, serverName: nil)
            let call = BackendCall(on: MultiThreadedEventLoopGroup.singleton.any())
            let failure = await #expect(throws: ConnectFailure.self) {
                try await connector.connect(call, within: .nanoseconds(19_999_659))
            }
            #expect(failure?.kind == .timeout)
            #expect(failure?.words.contains("0.02 ") ?? false, "\(failure?.words ?? "")")
        }
    }

    @Test("a check goes through TLS as well")
    func check() async throws {
        let authority = try CertificateAuthority.shared.get()
        let tls = try Self.trusting(authority)
        try await Self.withStream(try authority.server("DNS:backend.test")) { port in
            for (name, kind) in [("backend.test", nil), ("other.test", ConnectFailure.Kind.tls)] {
                var rules = GatewayConfiguration.Pool(name: "p")
                rules.backends = [.init(scheme: .tls, host: "127.0.0.1", port: port)]
                rules.tls.serverName = name
                let pool = try BackendPool(rules, tls: tls)
                var check = GatewayConfiguration.Check()
                check.send = Array("PING".utf8)
                check.expect = Array("PI".utf8)
                let checks = BackendChecks(pool: pool, eventLoop: MultiThreadedEventLoopGroup.singleton.any())
                #expect(await checks.check(pool.members[0], check)?.kind == kind)
            }
        }
    }
}
