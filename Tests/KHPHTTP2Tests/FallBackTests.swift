// Servers that offer HTTP/2 and do nothing with a WebSocket there: the client asks over HTTP/1.1 where that will do, or once
// more on another connection.

import KHPClient
import KHPHTTP2
import KHPProtocol
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import TestSupport
import Testing

/// A server that speaks HTTP/2 as a script has it, on the first connections, and HTTP/1.1 behind them.
final class RefusingServer: Sendable {
    enum Manner: String, Sendable, CaseIterable {
        /// RST_STREAM with HTTP_1_1_REQUIRED.
        case wantsHTTP1
        /// RST_STREAM with REFUSED_STREAM.
        case refuses
        /// GOAWAY whose last stream is none.
        case leaves
        /// SETTINGS_MAX_CONCURRENT_STREAMS of 0.
        case hasNoRoom
    }

    private let channels = Mutex<[any Channel]>([])

    /// The connections that came.
    var connections: Int { self.channels.withLock { $0.count } }

    /// - Parameter streams: how many connections speak HTTP/2.
    func run(_ manner: Manner, streams: Int, _ body: (_ url: String) async throws -> Void) async throws {
        let certificates = try Certificates.shared.get()
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(certificates.server).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: certificates.serverKey, format: .pem))
        )
        let plain = try NIOSSLContext(configuration: tls)
        tls.applicationProtocols = ["h2"]
        let agreeing = try NIOSSLContext(configuration: tls)
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let count = self.channels.withLock { channels in
                        channels.append(channel)
                        return channels.count
                    }
                    let pipeline = channel.pipeline.syncOperations
                    if count <= streams {
                        try pipeline.addHandler(NIOSSLServerHandler(context: agreeing))
                        try pipeline.addHandler(Script(manner))
                    } else {
                        try pipeline.addHandler(NIOSSLServerHandler(context: plain))
                        try pipeline.addHandler(Answer())
                    }
                }
            }
            .bind(host: "127.0.0.1", port: 0)
            .get()
        defer {
            listener.close(promise: nil)
            for channel in self.channels.withLock({ $0 }) { channel.close(promise: nil) }
        }
        try await body("wss://localhost:\(listener.localAddress?.port ?? 0)/")
    }

    /// Its settings, and one frame behind the request.
    private final class Script: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let manner: Manner
        private var bytes = ByteBuffer()
        private var isBehindPreface = false

        init(_ manner: Manner) { self.manner = manner }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            var part = self.unwrapInboundIn(data)
            self.bytes.writeBuffer(&part)
            if !self.isBehindPreface {
                guard self.bytes.readableBytes >= 24 else { return }
                self.bytes.moveReaderIndex(forwardBy: 24)
                self.isBehindPreface = true
                var settings: [UInt8] = [0, 8, 0, 0, 0, 1]
                if self.manner == .hasNoRoom { settings += [0, 3, 0, 0, 0, 0] }
                self.send([0, 0, UInt8(settings.count), 4, 0, 0, 0, 0, 0] + settings, context)
            }
            while let head = self.bytes.getBytes(at: self.bytes.readerIndex, length: 9) {
                let length = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
                guard self.bytes.readSlice(length: 9 + length) != nil else { return }
                // HEADERS of the first stream.
                guard head[3] == 1 else { continue }
                switch self.manner {
                case .wantsHTTP1: self.send([0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 13], context)
                case .refuses: self.send([0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7], context)
                case .leaves: self.send([0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], context)
                case .hasNoRoom: break
                }
            }
        }

        private func send(_ bytes: [UInt8], _ context: ChannelHandlerContext) {
            context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
        }
    }

    /// Opens a WebSocket, and ends it at its first bytes.
    private final class Answer: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private var text = ""
        private var isDone = false

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            if self.isDone { return context.close(promise: nil) }
            self.text += String(buffer: self.unwrapInboundIn(data))
            guard self.text.hasSuffix("\r\n\r\n") else { return }
            self.isDone = true
            let field = self.text.split(separator: "\r\n").first { $0.lowercased().hasPrefix("sec-websocket-key:") }
            let key = field?.split(separator: " ").last.map(String.init) ?? ""
            let answer =
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + "Sec-WebSocket-Accept: \(AcceptKey.accept(for: key))\r\n\r\n"
            context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: answer)), promise: nil)
        }
    }
}

@Suite("A server of HTTP/2 that does nothing with a stream (RFC 9113 sections 7 and 8.7)", .serialized)
struct FallBackTests {
    @Test("is asked over HTTP/1.1 where HTTP/2 is preferred", arguments: RefusingServer.Manner.allCases)
    func preferred(_ manner: RefusingServer.Manner) async throws {
        let server = RefusingServer()
        try await server.run(manner, streams: 1) { url in
            let client = try makeClient(.preferred) { $0.extended.policy = .off }
            let socket = try await client.connect(to: url)
            #expect(server.connections == 2)
            _ = try? await socket.close()
        }
    }

    @Test(
        "fails where HTTP/2 is required: at once for HTTP/1.1, or behind one more connection",
        arguments: RefusingServer.Manner.allCases
    )
    func required(_ manner: RefusingServer.Manner) async throws {
        let server = RefusingServer()
        try await server.run(manner, streams: .max) { url in
            let client = try makeClient(.required) { $0.extended.policy = .off }
            let error = await #expect(throws: WebSocketError.self) {
                try await client.withConnection(to: url) { _ in }
            }
            let code: WebSocketError.Code = manner == .wantsHTTP1 ? .openingInvalid : .connectFailed
            #expect(error?.code == code)
            #expect(error?.message.contains("HTTP/2") == true)
            #expect(server.connections == (manner == .wantsHTTP1 ? 1 : 2))
        }
    }
}
