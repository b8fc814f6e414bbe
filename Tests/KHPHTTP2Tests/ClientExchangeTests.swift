import KHPProtocol
import NIOCore
import NIOHPACK
import Testing

@testable import KHPHTTP2

@Suite("A client's stream of HTTP/2 as the bytes of HTTP/1.1 (RFC 8441 section 5)")
struct ClientExchangeTests {
    @Test("a client's request is an extended CONNECT, whose credentials are kept out of the tables of compression")
    func asked() throws {
        var exchange = ClientExchange()
        let pieces = try exchange.send(
            ByteBuffer(
                string: "GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    + "Sec-WebSocket-Version: 13\r\nAuthorization: Basic eDp5\r\n\r\n"
            )
        )
        guard case .head(let fields, false)? = pieces.first, pieces.count == 1 else {
            Issue.record("no head alone")
            return
        }
        #expect(
            fields.map(\.name) == [
                ":method", ":protocol", ":scheme", ":path", ":authority", "sec-websocket-version", "authorization",
            ]
        )
        #expect(fields.first { $0.name == "authorization" }?.indexable == .neverIndexed)
        let opened = try exchange.receive(HPACKHeaders([(":status", "200"), ("date", "today")]), isLast: false)
        #expect(
            String(buffer: opened)
                == "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\ndate: today\r\n\r\n"
        )
        #expect(exchange.isTunnel)
    }

    @Test(
        "any other answer is the same in HTTP/1.1, and the last on its connection",
        arguments: [
            ("404", true, "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
            ("401", false, "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n"),
            ("201", false, "HTTP/1.1 201 Created\r\nConnection: close\r\n\r\n"),
            ("103", false, "HTTP/1.1 103 Checkpoint\r\n\r\n"),
            ("100", false, "HTTP/1.1 100 Continue\r\n\r\n"),
        ]
    )
    func answered(status: String, isLast: Bool, bytes: String) throws {
        var exchange = ClientExchange()
        let answer = try exchange.receive(HPACKHeaders([(":status", status)]), isLast: isLast)
        #expect(String(buffer: answer) == bytes)
        #expect(!exchange.isTunnel)
    }

    @Test("fields of a connection, and proofs that HTTP/2 has no use for, are no part of an answer")
    func answeredWithFieldsOfAConnection() throws {
        var exchange = ClientExchange()
        let head = HPACKHeaders([
            (":status", "200"), ("connection", "close"), ("upgrade", "h2c"), ("transfer-encoding", "chunked"),
            ("keep-alive", "timeout=5"), ("sec-websocket-accept", "x"), ("date", "today"),
        ])
        let opened = try exchange.receive(head, isLast: false)
        #expect(
            String(buffer: opened)
                == "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\ndate: today\r\n\r\n"
        )
    }

    @Test(
        "an answer with a status that HTTP/2 does not know is none",
        arguments: ["101", "99", "099", "+99", "+200", "0200", "abc", "1000", ""]
    )
    func unknownStatus(_ status: String) {
        var exchange = ClientExchange()
        #expect(throws: StreamFault.self) { try exchange.receive(HPACKHeaders([(":status", status)]), isLast: false) }
    }

    @Test("behind the answer trailers say nothing, and what is sent behind the request is content")
    func behindAnswer() throws {
        for status in ["200", "404"] {
            var exchange = ClientExchange()
            let head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
            #expect(try exchange.send(ByteBuffer(string: String(head.prefix(9)))) == [])
            let pieces = try exchange.send(ByteBuffer(string: head.dropFirst(9) + "glued"))
            #expect(pieces.count == 2 && pieces.last == .content(ByteBuffer(string: "glued"), isLast: false))
            #expect(
                try exchange.send(ByteBuffer(string: "more")) == [.content(ByteBuffer(string: "more"), isLast: false)]
            )
            _ = try exchange.receive(HPACKHeaders([(":status", "103")]), isLast: false)
            _ = try exchange.receive(HPACKHeaders([(":status", status)]), isLast: false)
            #expect(try exchange.receive(HPACKHeaders([("x", "y")]), isLast: true).readableBytes == 0)
            #expect(exchange.isTunnel == (status == "200"))
            #expect(exchange.receive(ByteBuffer(string: "content")) == ByteBuffer(string: "content"))
            #expect(exchange.receiveEnd().readableBytes == 0)
        }
    }

    @Test("a request of ours that cannot be read is said nowhere")
    func unreadableRequest() {
        var exchange = ClientExchange()
        #expect(throws: StreamFault.self) { try exchange.send(ByteBuffer(string: "GET\r\n\r\n")) }
        #expect(ClientExchange.answer(to: StreamFault(500, "")) == nil)
    }
}
