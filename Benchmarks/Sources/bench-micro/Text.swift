// UTF-8, and the heads of HTTP messages.

import KHPProtocol
import NIOCore
import NIOEmbedded
import NIOHTTP1

enum Text {
    static var all: [Comparison] {
        [125, 1024, 65_536].map { validate("ASCII", String(repeating: "All is well. ", count: $0 / 13 + 1), $0) }
            + [validate("mixed", String(repeating: "Grüße aus 東京 🙂 ", count: 2000), 1024), requestHead]
    }

    private static func validate(_ kind: String, _ text: String, _ size: Int) -> Comparison {
        var bytes = Array(text.utf8.prefix(size))
        // Not within a character.
        while String(validating: bytes, as: UTF8.self) == nil { bytes.removeLast() }
        let all = bytes
        return Comparison(
            name: "validate \(all.count) B of UTF-8, \(kind)",
            bytes: all.count,
            peerName: "Swift's String"
        ) {
            all.withUnsafeBytes { UTF8Validator.isValid($0) ? 1 : 0 }
        } peer: {
            String(validating: all, as: UTF8.self) == nil ? 0 : 1
        }
    }

    static let request = """
        GET /echo HTTP/1.1\r
        Host: example.com:8080\r
        Upgrade: websocket\r
        Connection: Upgrade\r
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
        Sec-WebSocket-Version: 13\r
        Sec-WebSocket-Protocol: x-kaazing-handshake, amqp\r
        Origin: http://example.com:8080\r
        User-Agent: bench-micro\r
        \r

        """

    private static var requestHead: Comparison {
        let bytes = ByteBuffer(string: request)
        // Without the Upgrade that would end the peer's parser.
        let plain = ByteBuffer(
            string: request.replacing("Upgrade: websocket", with: "X-grade: websocket")
                .replacing("Connection: Upgrade", with: "X-nnection: Upgrade")
        )
        var decoder = RequestHeadDecoder(limits: .opening)
        let channel = EmbeddedChannel(handler: ByteToMessageHandler(HTTPRequestDecoder()))
        return Comparison(
            name: "parse a request head of \(bytes.readableBytes) B",
            bytes: bytes.readableBytes,
            peerName: "NIOHTTP1"
        ) {
            var input = bytes
            return (try? decoder.decode(&input))?.fields.count ?? 0
        } peer: {
            guard (try? channel.writeInbound(plain)) != nil else { return 0 }
            var count = 0
            while (try? channel.readInbound(as: HTTPServerRequestPart.self)) != nil { count += 1 }
            return count
        }
    }
}
