// Messages sent before a close arrive at a peer that is slow to read them, however short the close timeout is.

import Foundation
import KHPServer
import NIOCore
import TestSupport
import Testing

@Suite("A slow reader of what was sent before the close", .timeLimit(.minutes(1)))
struct SlowReaderTests {
    private static let piece = 256 * 1024
    private static let pieces = 12

    @Test("every byte arrives, then the end in good order", arguments: [Dialect.rfc6455, .hixie75])
    func slow(_ dialect: Dialect) async throws {
        try await withServer {
            $0.timeouts.close = .milliseconds(400)
            $0.gracefulShutdownTimeout = .seconds(20)
        } endpoints: {
            Endpoint("/feed", options: .init(dialects: [dialect])) { socket in
                let text = String(repeating: "x", count: Self.piece)
                for _ in 0..<Self.pieces { try await socket.send(text) }
                let info = try await socket.close()
                // In hixie-75 no byte of the peer confirms the end.
                if dialect == .hixie75 { #expect(info.clean) }
            }
        } body: { port in
            let client = try BlockingSocket.connect(port, receiveBuffer: 16_384)
            let hixie =
                "GET /feed HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: 127.0.0.1:\(port)\r\n"
                + "Origin: http://127.0.0.1:\(port)\r\n\r\n"
            try client.send(dialect == .hixie75 ? hixie : openingRequest("/feed"))
            let all = try await offThread {
                _ = try client.receiveHead()
                // Slower than the close timeout, and never still.
                return client.receiveAll { _ in usleep(4000) }
            }
            #expect(all.bytes.count { $0 == 0x78 } == Self.piece * Self.pieces)
            #expect(all.end == .orderly)
        }
    }
}
