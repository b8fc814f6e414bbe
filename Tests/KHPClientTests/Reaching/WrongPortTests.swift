import KHPClient
import KHPProtocol
import KHPServer
import NIOCore
import NIOPosix
import NIOSSL
import TestSupport
import Testing

/// A URL whose scheme does not fit the port: both ways it is said which one would.
@Suite("ws to a TLS port, and wss to a plain one")
struct WrongPortTests {
    private static func error(_ url: String) async throws -> WebSocketError {
        var configuration = WebSocketClient.Configuration()
        configuration.tls.trustRoots = try CertificateAuthority.shared.get().roots()
        return try await #require(throws: WebSocketError.self) {
            try await WebSocketClient(configuration: configuration).connect(to: url)
        }
    }

    @Test("a server that speaks TLS is asked about")
    func server() async throws {
        let tls = try CertificateAuthority.shared.get().server("IP:127.0.0.1")
        try await withServer {
            $0.tls = tls
        } endpoints: {
            echo()
        } body: { port in
            let error = try await Self.error("ws://127.0.0.1:\(port)/echo")
            #expect(error.message.contains("does it speak TLS?"), "\(error)")
            #expect(error.message.contains("wss://"), "\(error)")
        }
    }

    @Test(
        "an alert or another record of TLS, and an end without a byte, are asked about; other answers are not",
        arguments: [
            ("\u{15}\u{3}\u{1}\u{0}\u{2}\u{2}\u{46}", true), ("\u{15}\u{3}\u{3}\u{0}\u{2}\u{2}\u{28}", true),
            ("\u{16}\u{3}\u{3}\u{0}\u{7A}", true), ("", true), ("SSH-2.0-x\r\n", false), ("\u{15}\r\n\r\n", false),
            ("HTTP/1.1 1", false),
        ]
    )
    func raw(_ answer: String, isAsked: Bool) async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, outbound in
                for try await _ in inbound { break }
                try await outbound.write(ByteBuffer(string: answer))
            }
        } body: { port in
            let error = try await Self.error("ws://127.0.0.1:\(port)/")
            #expect(error.message.contains("does it speak TLS?") == isAsked, "\(error)")
            #expect((error.detail == .speaksTLS) == isAsked, "\(error)")
            #expect(error.code == .openingInvalid || error.code == .closedDuringHandshake, "\(error)")
        }
    }

    @Test("a server that resets the connection is asked about")
    func reset() async throws {
        // Closing while there is more to read resets the stream.
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 1))
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(HangUp()) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(listener.localAddress?.port)
        let error = try await Self.error("ws://127.0.0.1:\(port)/")
        #expect(error.message.contains("reset") && error.message.contains("does it speak TLS?"), "\(error)")
        #expect(error.detail == .speaksTLS)
        try await listener.close()
    }

    private final class HangUp: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.close(promise: nil) }
    }

    @Test("wss to a plain port says that no TLS is spoken there")
    func reverse() async throws {
        try await withServer {
            echo()
        } body: { port in
            let error = try await Self.error("wss://127.0.0.1:\(port)/echo")
            #expect(error.code == .tlsFailed && error.message.contains("does not speak TLS"), "\(error)")
        }
        try await withRawServer { connection in
            try await connection.executeThenClose { _, outbound in
                try await outbound.write(ByteBuffer(string: "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"))
            }
        } body: { port in
            let error = try await Self.error("wss://127.0.0.1:\(port)/")
            #expect(error.code == .tlsFailed && error.message.contains("TLS there"), "\(error)")
            #expect(error.detail == .speaksNoTLS)
        }
    }
}
