import KHPProtocol
import NIOCore
import NIOHPACK
import Testing

@testable import KHPHTTP2

@Suite("A stream of HTTP/2 as the bytes of HTTP/1.1 (RFC 8441 section 5)")
struct ExchangeTests {
    private static let connect = [
        (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", "/chat?a=b"),
        (":authority", "example.com"),
    ]

    @Test("an extended CONNECT is a GET that upgrades, without a key; cookies are one field again")
    func connect() throws {
        var exchange = ServerExchange()
        let head = HPACKHeaders(
            Self.connect + [
                ("sec-websocket-version", "13"), ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="), ("cookie", "a=1"),
                ("origin", "https://example.com"), ("cookie", "b=2"),
            ]
        )
        let bytes = try exchange.receive(head, isLast: false)
        #expect(
            String(buffer: bytes) == """
                GET /chat?a=b HTTP/1.1\r
                Host: example.com\r
                Upgrade: websocket\r
                Connection: Upgrade\r
                sec-websocket-version: 13\r
                origin: https://example.com\r
                cookie: a=1; b=2\r
                \r

                """
        )
        #expect(exchange.isConnect)
        #expect(!exchange.isTunnel)
        #expect(exchange.receive(ByteBuffer(string: "frames")) == ByteBuffer(string: "frames"))
    }

    @Test("the 101 is a 200 without what belongs to HTTP/1.1, in whatever pieces it comes; frames follow")
    func accepted() throws {
        let answer =
            "HTTP/1.1 101 Web Socket Protocol Handshake\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: a\r\n"
            + "Upgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\nframes"
        for size in [1, 7, 1000] {
            var exchange = ServerExchange()
            _ = try exchange.receive(HPACKHeaders(Self.connect), isLast: false)
            var rest = ByteBuffer(string: answer)
            var pieces: [StreamPiece] = []
            while let part = rest.readSlice(length: min(size, rest.readableBytes)), part.readableBytes > 0 {
                pieces += try exchange.send(part)
            }
            let head = HPACKHeaders([(":status", "200"), ("sec-websocket-protocol", "a")])
            #expect(pieces.first == .head(head, isLast: false))
            #expect(pieces.dropFirst().compactMap(Self.text).joined() == "frames")
            #expect(exchange.isTunnel)
        }
    }

    private static func text(_ piece: StreamPiece) -> String? {
        if case .content(let bytes, _) = piece { String(buffer: bytes) } else { nil }
    }

    /// A response of HTTP/1.1 and what of it goes into frames.
    struct Answer: Sendable, CustomTestStringConvertible {
        var method = "GET"
        let head: String
        var body = ""
        let status: String
        var content = ""
        let endsWithHead: Bool
        var testDescription: String { "\(self.method): \(self.head)" }
    }

    @Test(
        "the end of a response is the end of the stream, however HTTP/1.1 says it",
        arguments: [
            Answer(
                head: "404 Not Found\r\nContent-Length: 3",
                body: "abc",
                status: "404",
                content: "abc",
                endsWithHead: false
            ),
            Answer(head: "302 Found\r\nContent-Length: 0\r\nLocation: /", status: "302", endsWithHead: true),
            Answer(head: "204 No Content", status: "204", endsWithHead: true),
            Answer(method: "HEAD", head: "200 OK\r\nContent-Length: 30", status: "200", endsWithHead: true),
            Answer(
                head: "200 OK\r\nTransfer-Encoding: chunked",
                body: "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
                status: "200",
                content: "abcde",
                endsWithHead: false
            ),
        ]
    )
    func refused(_ answer: Answer) throws {
        for size in [1, 1000] {
            var exchange = ServerExchange()
            let request = HPACKHeaders([
                (":method", answer.method), (":scheme", "https"), (":path", "/"), (":authority", "example.com"),
            ])
            _ = try exchange.receive(request, isLast: true)
            var rest = ByteBuffer(string: "HTTP/1.1 \(answer.head)\r\nConnection: close\r\n\r\n\(answer.body)")
            var pieces: [StreamPiece] = []
            while let part = rest.readSlice(length: min(size, rest.readableBytes)), part.readableBytes > 0 {
                pieces += try exchange.send(part)
            }
            guard case .head(let fields, let isLast)? = pieces.first else {
                Issue.record("no head")
                return
            }
            #expect(fields.first(name: ":status") == answer.status)
            #expect(!fields.contains { ["connection", "transfer-encoding"].contains($0.name) })
            #expect(isLast == answer.endsWithHead)
            #expect(pieces.compactMap(Self.text).joined() == answer.content)
            #expect(!pieces.contains(.content(ByteBuffer(), isLast: false)))
            if !answer.endsWithHead, case .content(_, let isLast)? = pieces.last { #expect(isLast) }
        }
    }

    @Test("a request with content of unknown length is chunked, so that its end can be seen")
    func chunked() throws {
        var exchange = ServerExchange()
        let request = HPACKHeaders([
            (":method", "POST"), (":scheme", "https"), (":path", "/"), (":authority", "example.com"),
        ])
        let head = try exchange.receive(request, isLast: false)
        #expect(
            String(buffer: head) == "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        #expect(String(buffer: exchange.receive(ByteBuffer(string: "0123456789ab"))) == "c\r\n0123456789ab\r\n")
        #expect(exchange.receive(ByteBuffer()).readableBytes == 0)
        #expect(String(buffer: exchange.receiveEnd()) == "0\r\n\r\n")
        // Of a known length it stays as it is.
        exchange = ServerExchange()
        _ = try exchange.receive(
            HPACKHeaders(request.map { ($0.name, $0.value) } + [("content-length", "3")]),
            isLast: false
        )
        #expect(String(buffer: exchange.receive(ByteBuffer(string: "abc"))) == "abc")
        #expect(exchange.receiveEnd().readableBytes == 0)
    }

    @Test(
        "what could be read as more than one request, or as none, is refused",
        arguments: [
            ([("x", "a\r\nHost: other")], 400), ([("x y", "a")], 400), ([("x:", "a")], 400), ([("x", "a\0")], 400),
            ([("host", "other.example")], 400), ([(":path", "/ HTTP/1.1")], 400), ([(":scheme", "ftp")], 400),
            ([(":protocol", "webtransport")], 501), ([(":method", "GET /x")], 400), ([(":authority", "a b")], 400),
            ([("host", "example.com"), ("host", "other.example")], 400), ([("", "a")], 400), ([(":path", "")], 400),
        ] as [([(String, String)], Int)]
    )
    func hostile(fields: [(String, String)], status: Int) {
        var exchange = ServerExchange()
        let names = Set(fields.map(\.0))
        let head = HPACKHeaders(Self.connect.filter { !names.contains($0.0) } + fields)
        let fault = #expect(throws: StreamFault.self) { try exchange.receive(head, isLast: false) }
        #expect(fault?.status == status)
        #expect(fault.flatMap(ServerExchange.answer)?.count == 2)
    }

    @Test(
        "whatever stands in the fields of a request, it is one request in HTTP/1.1 or none (threat A20)",
        arguments: 0..<40
    )
    func oneRequest(_ seed: UInt64) throws {
        var random = Dice(state: seed)
        let names = ["x-a", "cookie", "host", "te", "content-length", "sec-websocket-key", "a b", "", ":x", "origin"]
        let parts = [
            "a", "b c", "\r\n", "\n", "\r", "\0", ":", "GET / HTTP/1.1", "é", "\u{10FFE4}", "\t", "", "0",
            "example.com",
        ]
        func text() -> String {
            (0..<Int.random(in: 0...3, using: &random)).map { _ in parts.randomElement(using: &random) ?? "" }.joined()
        }
        for _ in 0..<50 {
            var fields = Self.connect
            let place = Int.random(in: 0..<(2 * fields.count), using: &random)
            if place < fields.count { fields[place].1 = text() }
            if Bool.random(using: &random) { fields.remove(at: 1) }
            for _ in 0..<Int.random(in: 0...4, using: &random) {
                fields.append((names.randomElement(using: &random) ?? "", text()))
            }
            var exchange = ServerExchange()
            guard var bytes = try? exchange.receive(HPACKHeaders(fields), isLast: true) else { continue }
            var decoder = RequestHeadDecoder(limits: HeadLimits())
            // Refused by the reader of HTTP/1.1, or one head and nothing behind it.
            guard let head = try? decoder.decode(&bytes) else { continue }
            #expect(bytes.readableBytes == 0)
            #expect(head.fields.count <= fields.count + 2)
            #expect(head.fields.count(of: "Host") <= 1)
        }
    }

    /// A generator with a seed (SplitMix64).
    private struct Dice: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            self.state &+= 0x9E37_79B9_7F4A_7C15
            var value = self.state
            value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
            value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
            return value ^ (value >> 31)
        }
    }

    @Test(
        "hosts, schemes and protocols that are as they should be",
        arguments: [
            ([("host", "example.com")], "GET /chat?a=b HTTP/1.1\r\nHost: example.com\r\n"),
            ([(":authority", nil), ("host", "other.example")], "GET /chat?a=b HTTP/1.1\r\nHost: other.example\r\n"),
            ([(":authority", nil)], "GET /chat?a=b HTTP/1.1\r\nUpgrade: websocket\r\n"),
            ([(":scheme", "http")], "GET /chat?a=b HTTP/1.1\r\nHost: example.com\r\n"),
            ([(":protocol", "WebSocket")], "GET /chat?a=b HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n"),
            ([(":protocol", nil)], "CONNECT example.com HTTP/1.1\r\nHost: example.com\r\n\r\n"),
            (
                [(":protocol", nil), (":authority", "example.com:443"), (":path", nil), (":scheme", nil)],
                "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"
            ),
            ([(":protocol", nil), (":method", "OPTIONS")], "OPTIONS /chat?a=b HTTP/1.1\r\nHost: example.com\r\n\r\n"),
        ] as [([(String, String?)], String)]
    )
    func targets(changes: [(String, String?)], head: String) throws {
        var fields = Self.connect
        for (name, value) in changes {
            fields.removeAll { $0.0 == name }
            if let value { fields.append((name, value)) }
        }
        var exchange = ServerExchange()
        let bytes = try exchange.receive(HPACKHeaders(fields), isLast: true)
        #expect(String(buffer: bytes).hasPrefix(head), "\(String(buffer: bytes))")
    }

    @Test("requests without what they need are refused", arguments: [":method", ":scheme", ":path", ":authority"])
    func incomplete(_ missing: String) {
        var fields = Self.connect.filter { $0.0 != missing }
        // Without a protocol the authority is the target.
        if missing == ":authority" { fields.removeAll { $0.0 == ":protocol" } }
        var exchange = ServerExchange()
        let fault = #expect(throws: StreamFault.self) { try exchange.receive(HPACKHeaders(fields), isLast: false) }
        #expect(fault?.status == 400)
    }

    @Test("trailers of a request say nothing")
    func requestTrailers() throws {
        var exchange = ServerExchange()
        let request = [(":method", "POST"), (":scheme", "https"), (":path", "/"), (":authority", "example.com")]
        _ = try exchange.receive(HPACKHeaders(request), isLast: false)
        #expect(try exchange.receive(HPACKHeaders([("x", "y")]), isLast: true).readableBytes == 0)
        #expect(String(buffer: exchange.receiveEnd()) == "0\r\n\r\n")
    }

    @Test("a refusal of a CONNECT is a response like others, behind provisional ones; a 101 opens nothing else")
    func notOpened() throws {
        for (fields, isConnect) in [(Self.connect, true), (Self.connect.filter { $0.0 != ":protocol" }, false)] {
            var exchange = ServerExchange()
            _ = try exchange.receive(HPACKHeaders(fields), isLast: false)
            let provisional = isConnect ? "100 Continue" : "101 Switching Protocols"
            let answer =
                "HTTP/1.1 \(provisional)\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200"
            let pieces = try exchange.send(ByteBuffer(string: answer))
            #expect(
                pieces == [
                    .head(HPACKHeaders([(":status", String(provisional.prefix(3)))]), isLast: false),
                    .head(HPACKHeaders([(":status", "404"), ("content-length", "3")]), isLast: false),
                    .content(ByteBuffer(string: "abc"), isLast: true),
                ]
            )
            #expect(!exchange.isTunnel)
            #expect(try exchange.send(ByteBuffer(string: "more")) == [])
        }
    }

    @Test(
        "a response whose end cannot be told is none",
        arguments: ["200 OK\r\nContent-Length: x", "200 OK\r\nTransfer-Encoding: gzip, chunked, gzip", "OK"]
    )
    func unreadableResponse(_ head: String) throws {
        var exchange = ServerExchange()
        _ = try exchange.receive(HPACKHeaders(Self.connect), isLast: false)
        #expect(throws: StreamFault.self) { try exchange.send(ByteBuffer(string: "HTTP/1.1 \(head)\r\n\r\n")) }
    }

    @Test("a GOAWAY with an error is found among frames, cut anywhere")
    func goAway() {
        func frame(_ type: UInt8, _ payload: [UInt8]) -> [UInt8] {
            [0, 0, UInt8(payload.count), type, 0, 0, 0, 0, 0] + payload
        }
        let orderly = frame(7, [0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0])
        let failed = frame(7, [0, 0, 0, 0, 0, 0, 0, 11, 1, 2, 3])
        let shortest = frame(7, [0, 0, 0, 0, 0, 0, 0, 1])
        let data = frame(0, Array(repeating: 7, count: 40))
        let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
        for (size, isClient) in [1, 3, 10, 1000].flatMap({ [($0, false), ($0, true)] }) {
            for (frames, error) in [
                (data + orderly + data, nil), (data + failed + data, 11), (shortest + data, 1), (failed + shortest, 1),
            ] as [([UInt8], UInt32?)] {
                var finder = GoAwayFinder(behindPreface: isClient)
                var rest = ByteBuffer(bytes: (isClient ? preface : []) + frames)
                var found: UInt32?
                while let part = rest.readSlice(length: min(size, rest.readableBytes)), part.readableBytes > 0 {
                    if let code = finder.look(at: part) { found = code }
                }
                #expect(found == error)
            }
        }
    }
}
