// A peer that goes, over real sockets: what TCP and TLS make of it, and in which stage it counts (KHP-E12, D16, D28).

import KHPClient
import KHPServer
import NIOCore
import NIOPosix
import NIOSSL
import TestSupport
import Testing

@Suite("The peer goes, over sockets")
struct PeerGoesTests {
    private static func failure(
        _ url: String,
        _ configure: (inout WebSocketClient.Configuration) -> Void = { _ in }
    ) async throws -> WebSocketError {
        var configuration = WebSocketClient.Configuration()
        configuration.timeouts.opening = .milliseconds(200)
        configuration.timeouts.extended = .milliseconds(200)
        configuration.timeouts.connect = .milliseconds(400)
        configure(&configuration)
        let client = WebSocketClient(configuration: configuration)
        return try await #require(throws: WebSocketError.self) { try await client.connect(to: url) }
    }

    @Test(
        "in both handshakes, with and without a part of the answer",
        arguments: GoingPeer.Stage.allCases,
        GoingPeer.End.allCases
    )
    func handshakes(_ stage: GoingPeer.Stage, _ end: GoingPeer.End) async throws {
        try await GoingPeer.run(stage, end) { port in
            let error = try await Self.failure("ws://127.0.0.1:\(port)/")
            #expect(error.phase == (stage.isExtended ? .extended : .opening))
            switch (stage, end) {
            case (_, .silence): #expect(error.code == .timeout)
            case (.opening, .reset): #expect(error.code == .connectFailed)
            default: #expect(error.code == .closedDuringHandshake, "\(error)")
            }
        }
    }

    @Test("while TLS is negotiated, which has the time for connecting (threat H5)", arguments: GoingPeer.End.allCases)
    func tls(_ end: GoingPeer.End) async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, _ in
                var reads = inbound.makeAsyncIterator()
                _ = try await reads.next()
                try await end.happen(to: connection.channel)
                while try await reads.next() != nil {}
            }
        } body: { port in
            let error = try await Self.failure("wss://127.0.0.1:\(port)/") { $0.timeouts.total = .seconds(4) }
            #expect(error.phase == .tls, "\(error)")
            let isLate = error.message.hasPrefix("The TLS handshake was not complete within")
            #expect(isLate == (end == .silence), "\(error)")
            let codes: [WebSocketError.Code] = end == .silence ? [.timeout] : [.tlsFailed, .connectFailed]
            #expect(codes.contains(error.code), "\(error)")
        }
    }

    @Test("nobody listens")
    func connect() async throws {
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        let port = listener.localAddress?.port ?? 0
        try await listener.close()
        let error = try await Self.failure("ws://127.0.0.1:\(port)/")
        #expect(error.code == .connectFailed)
        #expect(error.phase == .connect)
    }

    /// Stands below TLS, to end TCP past it.
    private final class Below: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private var context: ChannelHandlerContext?

        func handlerAdded(context: ChannelHandlerContext) { self.context = context }
        func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

        func end() { self.context?.close(promise: nil) }
    }

    /// Ends TCP without the close notification of TLS, behind some of an answer.
    private final class Vanishing: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let answer: String
        private let below: Below

        init(_ answer: String, _ below: Below) {
            self.answer = answer
            self.below = below
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let below = NIOLoopBound(self.below, eventLoop: context.eventLoop)
            context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: self.answer)))
                .whenComplete { _ in below.value.end() }
        }
    }

    @Test(
        "TLS that ends without its close notification ends an answer that has begun; before, TLS has failed",
        arguments: [("", WebSocketError.Code.tlsFailed), ("HTTP/1.1 503 Busy\r\n\r\nno", .openingRefused)]
    )
    func uncleanEnd(_ answer: String, _ code: WebSocketError.Code) async throws {
        let certificates = try Certificates.shared.get()
        let context = try NIOSSLContext(
            configuration: .makeServerConfiguration(
                certificateChain: try NIOSSLCertificate.fromPEMFile(certificates.server).map { .certificate($0) },
                privateKey: .privateKey(try NIOSSLPrivateKey(file: certificates.serverKey, format: .pem))
            )
        )
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let below = Below()
                    let handlers: [any ChannelHandler] = [
                        below, NIOSSLServerHandler(context: context), Vanishing(answer, below),
                    ]
                    try channel.pipeline.syncOperations.addHandlers(handlers)
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        defer { listener.close(promise: nil) }
        let error = try await Self.failure("wss://127.0.0.1:\(listener.localAddress?.port ?? 0)/") {
            $0.tls.trustRoots = .file(certificates.authority)
            $0.timeouts.connect = .seconds(10)
            $0.timeouts.opening = .seconds(10)
        }
        #expect(error.code == code, "\(error)")
        #expect(error.phase == (answer.isEmpty ? .tls : .opening))
    }

    @Test("a refusal that never ends, of a server and of a proxy, counts after two seconds (D28)")
    func neverEnds() async throws {
        let body = "Content-Length: 100\r\n\r\nThe desk"
        func outcome(_ head: String, throughProxy: Bool) async throws -> WebSocketError {
            try await withRawServer { connection in
                try await connection.executeThenClose { inbound, outbound in
                    var reads = inbound.makeAsyncIterator()
                    _ = try await reads.next()
                    try await outbound.write(ByteBuffer(string: head + body))
                    while try await reads.next() != nil {}
                }
            } body: { port in
                try await Self.failure("ws://127.0.0.1:\(port)/") {
                    $0.timeouts.opening = .seconds(10)
                    $0.timeouts.connect = .seconds(10)
                    if throughProxy {
                        $0.proxy = (try? Proxy("http://127.0.0.1:\(port)")).map { .proxy($0) } ?? .direct
                    }
                }
            }
        }
        let began = ContinuousClock.now
        async let refused = outcome("HTTP/1.1 503 Busy\r\n", throughProxy: false)
        async let challenged = outcome("HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=x\r\n", throughProxy: false)
        async let proxy = outcome("HTTP/1.1 403 No\r\n", throughProxy: true)
        async let asking = outcome("HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\n", throughProxy: true)
        let errors = try await [refused, challenged, proxy, asking]
        #expect(ContinuousClock.now - began < .seconds(6))
        #expect(
            errors.map(\.code) == [.openingRefused, .authenticationFailed, .proxyRefused, .proxyAuthenticationRequired]
        )
        #expect(errors.map { $0.response?.status } == [503, 401, 403, 407])
        #expect(errors.allSatisfy { $0.response?.body == ByteBuffer(string: "The desk") })
    }
}
