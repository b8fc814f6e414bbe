// Chunked content of an answer (RFC 9112 section 7.1) as peers write it: padded, with leading zeros, with extensions.

import KHPProtocol
import NIOCore
import Testing

struct BodyReaderTests {
    /// The client's reading of a response with this content, in one read or byte by byte.
    private static func response(_ content: String, drips: Bool = false) throws -> HandshakeResponse? {
        var client = try OpeningClient(OpeningClientPlan(url: Sample.url(), key: Sample.key))
        let text = "HTTP/1.1 401 A\r\nTransfer-Encoding: chunked\r\n\r\n" + content
        for piece in drips ? text.utf8.map({ [$0] }) : [Array(text.utf8)] {
            var input = ByteBuffer(bytes: piece)
            if case .response(let response)? = try client.receive(&input) { return response }
        }
        return nil
    }

    @Test(
        "blanks around the size, extensions and leading zeros are read",
        arguments: [
            "3\r\nabc\r\n0\r\n\r\n", "3 \r\nabc\r\n0 \r\n\r\n", "3  \t \r\nabc\r\n0\r\n\r\n",
            "3 ;a=b\r\nabc\r\n0;c\r\n\r\n", "3;\ta=b\r\nabc\r\n0\r\n\r\n",
            "3 ; a = \"b;c\" \r\nabc\r\n0\r\n\r\n", "0000000000000003\r\nabc\r\n0000000000000000\r\n\r\n",
            "000003\r\nabc\r\n00\r\n\r\n", "3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n", "1\r\na\r\n2 \r\nbc\r\n0\r\n\r\n",
        ]
    )
    func readable(_ content: String) throws {
        for drips in [false, true] {
            let response = try #require(try Self.response(content, drips: drips))
            #expect(String(buffer: response.body) == "abc")
        }
    }

    @Test("sixteen digits are a size as well: all that is kept of it counts")
    func large() throws {
        let content = "0FFFFFFFFFFFFFFF\r\n" + String(repeating: "x", count: HandshakeResponse.maximumBodyBytes)
        let response = try #require(try Self.response(content))
        #expect(response.body.readableBytes == HandshakeResponse.maximumBodyBytes)
    }

    /// Chunked content of this length, in chunks of at most `most` bytes.
    private static func chunked(_ count: Int, most: Int) -> String {
        var text = ""
        var rest = count
        while rest > 0 {
            let size = min(rest, most)
            text += String(size, radix: 16) + "\r\n" + String(repeating: "x", count: size) + "\r\n"
            rest -= size
        }
        return text + "0\r\n\r\n"
    }

    @Test("content of just the limit is whole, however it is framed", arguments: [0, 1, 64, 1000], [-1, 0, 1])
    func limit(_ limit: Int, _ more: Int) throws {
        let count = limit + more
        guard count >= 0 else { return }
        var limits = Limits()
        limits.bodyBytes = limit
        let framed = [
            "Content-Length: \(count)\r\n\r\n" + String(repeating: "x", count: count),
            "Transfer-Encoding: chunked\r\n\r\n" + Self.chunked(count, most: 1 << 20),
            "Transfer-Encoding: chunked\r\n\r\n" + Self.chunked(count, most: 500),
        ]
        for text in framed.map({ "HTTP/1.1 401 A\r\nWWW-Authenticate: Basic realm=x\r\n" + $0 }) {
            var opening = try OpeningClient(OpeningClientPlan(url: Sample.url(), key: Sample.key), limits: limits)
            var input = ByteBuffer(string: text)
            guard case .response(let response)? = try opening.receive(&input) else {
                Issue.record("no response to \(text)")
                return
            }
            #expect(response.body.readableBytes == min(count, limit))
            #expect(opening.leavesConnectionUsable == (count <= limit))
            var extended = ExtendedClient(try Sample.clientPlan(), limits: limits)
            _ = extended.start(now: .at(0))
            let step = ClientStep(extended.receive(ByteBuffer(string: text), now: .at(1)))
            let expected: ClientStep = count > limit ? .fail(.limitExceeded, close: 1009) : .challenge(status: 401)
            #expect(step == expected, "\(text)")
        }
    }

    @Test(
        "overflow and garbage fail",
        arguments: [
            "\r\n", " 3\r\nabc\r\n", "g\r\n", "3g\r\nabc\r\n", "3 3\r\nabc\r\n", "-3\r\nabc\r\n", "0x3\r\nabc\r\n",
            "3\nabc\r\n",
            "00000000000000003\r\nabc\r\n", "FFFFFFFFFFFFFFFF\r\n", "8000000000000000\r\n", "10000000000000000\r\n",
            "3\r\nabcd\r\n", "3\u{B}\r\nabc\r\n", ";\r\n", "3 \u{1}\r\nabc\r\n",
            "3;\u{1}\r\nabc\r\n", "3;a=\u{7F}\r\nabc\r\n",
        ]
    )
    func invalid(_ content: String) {
        for drips in [false, true] {
            let error = #expect(throws: WebSocketError.self) { try Self.response(content, drips: drips) }
            #expect(error?.code == .openingInvalid, "\(content)")
        }
    }

    @Test("sizes, extensions and trailers take no more bytes than content may")
    func framing() throws {
        let limit = HandshakeResponse.maximumBodyBytes
        let chunk = "1;x=\(String(repeating: "y", count: 200))\r\nz\r\n"
        let chunks = String(repeating: chunk, count: limit / 208)
        #expect(try Self.response(chunks + "0\r\n\r\n")?.body.readableBytes == limit / 208)
        for more in [
            chunk + chunk, "0\r\n" + String(repeating: "A: \(String(repeating: "b", count: 200))\r\n", count: 3),
        ] {
            let error = #expect(throws: WebSocketError.self) { try Self.response(chunks + more + "0\r\n\r\n") }
            #expect(error?.code == .openingInvalid)
        }
    }
}
