import HTTPTypes
import KHPServer
import NIOCore
import TestSupport
import Testing

@Suite(
    "A message before completion is refused, however quickly the endpoint answers (KHP-E3, D33)",
    .timeLimit(.minutes(1))
)
struct EarlyMessageTests {
    private static let request = Array("GET /x HTTP/1.1\r\n\r\n".utf8)

    struct Row: Sendable, CustomTestStringConvertible {
        var name: String
        var behind: [UInt8]
        var testDescription: String { self.name }
    }

    static let early: [Row] = [
        Row(name: "a text", behind: maskedFrame(1, Array("hello".utf8))),
        Row(name: "an empty binary message", behind: maskedFrame(2, [])),
        Row(name: "two messages", behind: maskedFrame(1, [0x61]) + maskedFrame(2, [0x62])),
        Row(name: "a ping and a text", behind: maskedFrame(9, [1]) + maskedFrame(1, [0x61])),
        Row(name: "the first fragment of a text", behind: maskedFrame(1, [0x61], final: false)),
        Row(name: "a frame without its last byte", behind: Array(maskedFrame(1, Array("hello".utf8)).dropLast())),
        Row(name: "the header of a frame", behind: Array(maskedFrame(2, Array("hello".utf8)).prefix(6))),
        Row(name: "the first byte of a frame", behind: [0x81]),
    ]

    private static func server(_ body: (Int) async throws -> Void) async throws {
        try await withServer {
            Endpoint("/x") { socket in
                for try await message in socket.messages { try await socket.send(message) }
            }
            // An endpoint without `respond` decides at once, one with it takes its time: two ways through the server.
            Endpoint("/x/respond", respond: { _ in .complete() }) { socket in
                for try await message in socket.messages { try await socket.send(message) }
            }
        } body: { port in
            try await body(port)
        }
    }

    /// Opens, sends `bytes` and returns the bytes until a close frame or `isEnough`.
    private static func answer(
        _ port: Int,
        _ path: String,
        _ bytes: [UInt8],
        _ isEnough: @escaping @Sendable (ByteBuffer) -> Bool = { _ in false }
    ) async throws -> ByteBuffer {
        let client = try await RawClient.connect(port)
        try await client.send(openingRequest(path, protocols: "x-kaazing-handshake"))
        _ = try await client.take { buffer in
            buffer.readableBytesView.endOfHead.map { $0 - buffer.readableBytesView.startIndex }
        }
        try await client.send(bytes)
        let answer = try await client.receive { buffer in
            isEnough(buffer) || buffer.readableBytesView.suffix(4).starts(with: [0x88, 2])
        }
        try? await client.close()
        return answer
    }

    /// The part of frames and heads that can be shown.
    private static func text(_ bytes: ByteBuffer) -> String {
        String(decoding: bytes.readableBytesView.filter { $0 < 0x80 }, as: UTF8.self)
    }

    @Test("400, then 1002", arguments: Self.early, ["/x", "/x/respond"])
    func refused(_ row: Row, path: String) async throws {
        try await Self.server { port in
            let request = maskedFrame(2, Array("GET \(path) HTTP/1.1\r\n\r\n".utf8))
            let answer = try await Self.answer(port, path, request + row.behind)
            let text = Self.text(answer)
            #expect(text.contains("HTTP/1.1 400 Bad Request\r\n"), "\(text)")
            #expect(!text.contains("HTTP/1.1 101 "))
            #expect(answer.readableBytesView.suffix(4).elementsEqual([0x88, 2, 0x03, 0xEA]))
        }
    }

    /// A read takes a power of two at most: a message behind a request that ends there comes with another read, which
    /// the channel makes before it lets anything out.
    @Test("behind a request that fills a read", arguments: ["/x", "/x/respond"])
    func anotherRead(path: String) async throws {
        try await Self.server { port in
            for size in [1024, 2048, 4096, 8192] {
                for length in (size - 1)...(size + 1) {
                    // Beside the filler: the first line, the field's name, three ends of lines, the header of the
                    // frame.
                    let filler = String(repeating: "a", count: length - path.utf8.count - 30)
                    let request = maskedFrame(2, Array("GET \(path) HTTP/1.1\r\nX: \(filler)\r\n\r\n".utf8))
                    #expect(request.count == length)
                    let answer = try await Self.answer(port, path, request + maskedFrame(1, [0x61]))
                    #expect(Self.text(answer).contains("HTTP/1.1 400 "), "\(length)")
                }
            }
        }
    }

    @Test("control frames are no messages", arguments: ["/x", "/x/respond"])
    func control(path: String) async throws {
        try await Self.server { port in
            let request = maskedFrame(2, Array("GET \(path) HTTP/1.1\r\n\r\n".utf8))
            for behind in [maskedFrame(9, [0x70]), maskedFrame(0xA, [0x71]), maskedFrame(9, [1]) + [0x89]] {
                let answer = try await Self.answer(port, path, request + behind) { buffer in
                    buffer.readableBytesView.endOfHead != nil
                }
                #expect(Self.text(answer).contains("HTTP/1.1 101 "))
            }
        }
    }

    @Test("half a ping before completion is a ping behind it")
    func halfAPing() async throws {
        try await Self.server { port in
            let client = try await RawClient.connect(port)
            try await client.send(openingRequest("/x", protocols: "x-kaazing-handshake"))
            _ = try await client.take { buffer in
                buffer.readableBytesView.endOfHead.map { $0 - buffer.readableBytesView.startIndex }
            }
            let ping = maskedFrame(9, [0x70, 0x71])
            try await client.send(maskedFrame(2, Self.request) + ping.prefix(4))
            _ = try await client.receive { $0.readableBytesView.endOfHead != nil }
            try await client.send(Array(ping.dropFirst(4)))
            let answer = try await client.receive { $0.readableBytesView.suffix(4).starts(with: [0x8A, 2]) }
            #expect(answer.readableBytesView.suffix(4).elementsEqual([0x8A, 2, 0x70, 0x71]))
            try? await client.close()
        }
    }
}
