// Ordinary HTTP over HTTP/2, on our port and on a bare NIOHTTP2: a line at /, one event loop each. A program of its own, so
// that the other benchmarks wait for no build of HTTP/2.

import Foundation
import HTTPTypes
import KHPHTTP2
import KHPServer
import NIOCore
import NIOHTTP1
import NIOHTTP2
import NIOPosix
import NIOSSL

@main
struct BenchHTTP2 {
    static let usage = """
        usage: bench-http2 khp-http2|nio-http2 CERTIFICATE KEY PORT

        Listens with TLS on 127.0.0.1:PORT (0: a free port), prints "listening PORT" and answers until it is stopped.

        """

    static let line = "hello, hello!\n"

    static func main() async throws {
        let arguments = Array(CommandLine.arguments.dropFirst())
        guard arguments.count == 4, let port = Int(arguments[3]) else {
            print(self.usage, terminator: "")
            return
        }
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(arguments[1]).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: arguments[2], format: .pem))
        )
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        if arguments[0] == "khp-http2" {
            try await self.serveKHP(tls, port: port, on: group)
        } else {
            tls.applicationProtocols = ["h2"]
            try await self.serveNIO(tls, port: port, on: group)
        }
    }

    private static func announce(_ address: SocketAddress?) {
        print("listening \(address?.port ?? 0)")
        fflush(nil)
    }

    private static func serveKHP(_ tls: TLSConfiguration, port: Int, on group: MultiThreadedEventLoopGroup) async throws
    {
        var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: port))
        configuration.tls = tls
        configuration.http2 = .init()
        configuration.httpLimits.exchanges = 20_000
        configuration.limits.connections = 40_000
        configuration.limits.pendingHandshakes = 20_000
        configuration.limits.pendingHandshakesPerAddress = 20_000
        configuration.serveHTTP = { try await $0.respond(.init(status: .ok), self.line) }
        let server = WebSocketServer(configuration: configuration, eventLoopGroup: group) {
            Endpoint("/socket") { (_: WebSocket) in }
        }
        async let end: Void = server.run()
        self.announce(try await server.boundAddress())
        try await end
    }

    private static func serveNIO(_ tls: TLSConfiguration, port: Int, on group: MultiThreadedEventLoopGroup) async throws
    {
        let context = try NIOSSLContext(configuration: tls)
        let listener = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
                    _ = try channel.pipeline.syncOperations.configureHTTP2Pipeline(
                        mode: .server,
                        connectionConfiguration: .init(),
                        streamConfiguration: .init()
                    ) { stream in
                        stream.eventLoop.makeCompletedFuture {
                            try stream.pipeline.syncOperations.addHandlers(
                                HTTP2FramePayloadToHTTP1ServerCodec(),
                                Line()
                            )
                        }
                    }
                }
            }
            .bind(host: "127.0.0.1", port: port).get()
        self.announce(listener.localAddress)
        try await listener.closeFuture.get()
    }

    private final class Line: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard case .end = self.unwrapInboundIn(data) else { return }
            let text = ByteBuffer(string: BenchHTTP2.line)
            let head = HTTPResponseHead(
                version: .http2,
                status: .ok,
                headers: ["content-length": "\(text.readableBytes)"]
            )
            context.write(self.wrapOutboundOut(.head(head)), promise: nil)
            context.write(self.wrapOutboundOut(.body(.byteBuffer(text))), promise: nil)
            context.writeAndFlush(self.wrapOutboundOut(.end(nil)), promise: nil)
        }
    }
}
