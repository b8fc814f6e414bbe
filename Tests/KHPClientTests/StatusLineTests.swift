// Status codes outside 100 to 599, in both handshakes: three digits from 100 on are an unknown code, and everything
// else is no status line (RFC 9112 section 4; Specs/status-codes.md).

import KHPClient
import KHPProtocol
import NIOCore
import TestSupport
import Testing

@Suite("Status lines at the edges of what is one")
struct StatusLineTests {
    static let rows: [(line: String, isCode: Bool)] = [
        ("HTTP/1.1 600 Odd", true), ("HTTP/1.1 999 Odd", true), ("HTTP/1.1 600", true), ("HTTP/1.1 099 Odd", false),
        ("HTTP/1.1 000 Odd", false), ("HTTP/1.1 1000 Odd", false), ("HTTP/1.1 99 Odd", false),
        ("HTTP/1.1 +99 Odd", false), ("HTTP/1.1 6 0 Odd", false), ("HTTP/1.1  600 Odd", false),
    ]

    private static func client(_ policy: ExtendedHandshakePolicy) -> WebSocketClient {
        var configuration = WebSocketClient.Configuration()
        configuration.extended.policy = policy
        configuration.timeouts.total = .seconds(10)
        return WebSocketClient(configuration: configuration)
    }

    private static func failure(_ port: Int, _ policy: ExtendedHandshakePolicy) async throws -> WebSocketError? {
        do {
            try await Self.client(policy).withConnection(to: "ws://127.0.0.1:\(port)/") { _ in }
            return nil
        } catch let error as WebSocketError {
            return error
        }
    }

    @Test("of the opening", arguments: Self.rows)
    func opening(line: String, isCode: Bool) async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, outbound in
                for try await _ in inbound {
                    try await outbound.write(ByteBuffer(string: "\(line)\r\nContent-Length: 3\r\n\r\nodd"))
                    break
                }
            }
        } body: { port in
            let error = try #require(try await Self.failure(port, .off))
            #expect(error.code == (isCode ? .openingRefused : .openingInvalid), "\(error)")
            #expect(error.response?.status == (isCode ? Int(line.split(separator: " ")[1]) : nil))
        }
    }

    @Test("of the extended handshake", arguments: Self.rows)
    func extended(line: String, isCode: Bool) async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, outbound in
                var received = ByteBuffer()
                var isOpen = false
                for try await var bytes in inbound {
                    received.writeBuffer(&bytes)
                    guard !isOpen else {
                        // The client's close frame, 1011, is answered by the end.
                        if received.readableBytesView.firstRange(of: [0x88, 0x82]) != nil { return }
                        continue
                    }
                    let head = String(buffer: received)
                    guard head.hasSuffix("\r\n\r\n"), let key = head.firstMatch(of: /Sec-WebSocket-Key: (\S+)/)
                    else { continue }
                    isOpen = true
                    received.clear()
                    let accept = AcceptKey.accept(for: String(key.1))
                    try await outbound.write(
                        ByteBuffer(
                            string: "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                + "Sec-WebSocket-Protocol: x-kaazing-handshake\r\n"
                                + "Sec-WebSocket-Accept: \(accept)\r\n\r\n"
                        )
                    )
                    let answer = Array("\(line)\r\nContent-Length: 3\r\n\r\nodd".utf8)
                    try await outbound.write(ByteBuffer(bytes: [0x82, UInt8(answer.count)] + answer))
                }
            }
        } body: { port in
            let error = try #require(try await Self.failure(port, .required))
            #expect(error.code == (isCode ? .extendedRefused : .extendedInvalid), "\(error)")
            #expect(error.closeCode == .internalError)
        }
    }
}
