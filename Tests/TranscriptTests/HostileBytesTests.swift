// The peers of KHPTesting meet any bytes of a program under test: none of them stops the test's own process.

import KHPProtocol
import KHPTesting
import NIOCore
import Testing

struct HostileBytesTests {
    private static func masked(_ payload: [UInt8]) -> ByteBuffer {
        var buffer = ByteBuffer()
        FrameWriter(role: .client).write(
            .binary,
            payload: ByteBuffer(bytes: payload),
            mask: Transcript.Constants.mask,
            into: &buffer
        )
        return buffer
    }

    private static let opening =
        "GET /echo HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Protocol: x-kaazing-handshake\r\n"
        + "Sec-WebSocket-Key: \(Transcript.Constants.key)\r\n"

    @Test("the gateway reads heads that are no UTF-8, and what follows them")
    func gateway() {
        for bytes: [UInt8] in [[0xE4], [0xFF, 0xFE], [0xC3], [0xF0, 0x9F]] {
            var gateway = ScriptedKaazingGateway()
            let head = Array((Self.opening + "X: ").utf8) + bytes + Array("\r\n\r\n".utf8)
            let said = gateway.receive(ByteBuffer(bytes: head))
            guard case .send(let answer)? = said.first else {
                Issue.record("the gateway says nothing")
                continue
            }
            #expect(String(buffer: answer).hasPrefix("HTTP/1.1 101 "))
            // The opening is taken whole, so that the next frame begins where it does.
            let request = Array("GET /echo HTTP/1.1\r\nX: ".utf8) + bytes + Array("\r\n\r\n".utf8)
            let open = gateway.receive(Self.masked(request))
            guard case .send(let extended)? = open.first else {
                Issue.record("the gateway says nothing to the extended request")
                continue
            }
            #expect(String(buffer: extended).contains("HTTP/1.1 101 "))
            #expect(gateway.requests.count == 2)
        }
    }

    @Test(
        "heads without anything in them",
        arguments: ["\r\n\r\n", "\r\n\r\n\r\n\r\n", " \r\n\r\n", ":\r\n\r\n", "\r\nA: b\r\n\r\n"]
    )
    func empty(_ text: String) {
        var gateway = ScriptedKaazingGateway()
        _ = gateway.receive(ByteBuffer(string: text))
        var inside = ScriptedKaazingGateway()
        _ = inside.receive(ByteBuffer(string: Self.opening + "\r\n"))
        _ = inside.receive(Self.masked(Array(text.utf8)))
        _ = ScriptedKaazingClient.goesOn(afterPreflight: ByteBuffer(string: text))
    }

    @Test(
        "the client reads a server's head and response that are no UTF-8",
        arguments: ScriptedKaazingClient.Kind.allCases
    )
    func client(_ kind: ScriptedKaazingClient.Kind) throws {
        let head =
            Array(
                ("HTTP/1.1 101 Web Socket Protocol Handshake\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    + "Sec-WebSocket-Accept: \(Transcript.Constants.accept)\r\n"
                    + "Sec-WebSocket-Protocol: x-kaazing-handshake\r\nX: ").utf8
            ) + [0xE4, 0xFF] + Array("\r\n\r\n".utf8)
        let balancer: [UInt8] = [0x82, 0x04, 0xEF, 0x83, 0xBF, 0x4E]
        var client = try ScriptedKaazingClient(kind, url: "ws://h/echo")
        _ = client.start()
        let said = client.receive(ByteBuffer(bytes: head + balancer))
        #expect(said.readableBytes > 0, "the extended request follows the balancer message")
        for payload: [UInt8] in [[0xFF], [0xEF, 0x83, 0xBF, 0x52, 0xFF], Array("HTTP/1.1".utf8), Array("\r\n".utf8)] {
            var other = client
            _ = other.receive(ByteBuffer(bytes: [0x82, UInt8(payload.count)] + payload + [0x82, 0x00]))
        }
        for length: [UInt8] in [
            [0x82, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], [0x88, 0x01, 0x03], [0x88, 0x00],
        ] {
            var other = client
            _ = other.receive(ByteBuffer(bytes: length))
        }
    }

    @Test("any bytes at all")
    func fuzz() throws {
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15
        func byte() -> UInt8 {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return UInt8(truncatingIfNeeded: state)
        }
        let pieces = [Self.opening, "\r\n\r\n", "HTTP/1.1 101 ", "GET ", "?", ":", " ", "\n", ".kl=Y", "Upgrade: "].map
        { Array($0.utf8) }
        for _ in 0..<400 {
            var bytes: [UInt8] = []
            for _ in 0..<12 {
                bytes += byte() & 1 == 0 ? pieces[Int(byte()) % pieces.count] : (0..<4).map { _ in byte() }
            }
            var gateway = ScriptedKaazingGateway()
            _ = gateway.receive(ByteBuffer(bytes: bytes))
            _ = gateway.receive(ByteBuffer(string: Self.opening + "\r\n"))
            _ = gateway.receive(Self.masked(bytes))
            for kind in ScriptedKaazingClient.Kind.allCases {
                var client = try ScriptedKaazingClient(kind, url: "ws://h/echo", credentials: "Basic eA==")
                _ = client.start()
                _ = client.receive(ByteBuffer(bytes: bytes))
                _ = client.receive(ByteBuffer(bytes: bytes))
                _ = ScriptedKaazingClient.goesOn(afterPreflight: ByteBuffer(bytes: bytes))
            }
        }
    }
}
