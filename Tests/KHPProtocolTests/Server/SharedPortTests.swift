// A port that is shared with somebody else's HTTP: which requests are an endpoint's, and that of all others not a byte is
// lost, wherever the reads are cut.

import KHPProtocol
import NIOCore
import Testing

@Suite struct SharedPortTests {
    private static let endpoints = ["/echo", "/rooms/{id}", "/legacy"]

    private static func set(hosts: HostPolicy = .any) throws -> EndpointSet {
        try EndpointSet(
            try self.endpoints.enumerated().map {
                try EndpointConfiguration(EndpointConfiguration.Values(path: $0.element), index: $0.offset)
            },
            hosts: hosts
        )
    }

    private static func connection() throws -> Connection {
        let set = try Self.set()
        var settings = ConnectionSettings()
        settings.dialects = Dialect.all
        settings.isOwn = { set.owns($0) }
        var connection = Connection(server: ConnectionConfiguration(settings), isSecure: false, now: .at(0))
        connection.transportUp(now: .at(0))
        connection.start(now: .at(0))
        return connection
    }

    /// The bytes that a connection gives back and those that were never given to it; `nil` where it keeps the request.
    private static func handedOn(_ pieces: [ArraySlice<UInt8>]) throws -> [UInt8]? {
        var connection = try Self.connection()
        for (index, piece) in pieces.enumerated() {
            connection.receive(ByteBuffer(bytes: piece), now: .at(0))
            while let action = connection.next(now: .at(0)) {
                switch action {
                case .server(.handOn(let undecoded)):
                    let (next, deadline) = (connection.next(now: .at(0)), connection.deadline)
                    if next != nil || deadline != nil { Issue.record("it goes on") }
                    #expect(connection.output.isEmpty)
                    return Array(undecoded.bytes.readableBytesView) + pieces[(index + 1)...].joined()
                case .server, .closed:
                    return nil
                default:
                    break
                }
            }
        }
        return nil
    }

    private static func request(_ lines: String...) -> String { lines.map { $0 + "\r\n" }.joined() + "\r\n" }

    private static let others: [(name: String, text: String)] = [
        ("GET", request("GET /page HTTP/1.1", "Host: h")),
        ("HTTP/1.0 without fields", request("GET / HTTP/1.0")),
        ("GET of a page at an endpoint's path", request("GET /echo HTTP/1.1", "Host: h")),
        ("a body behind the head", request("POST /form HTTP/1.1", "Host: h", "Content-Length: 9") + "a=1&b=two"),
        (
            "a chunked body, and the next request",
            request("POST /form HTTP/1.1", "Host: h", "Transfer-Encoding: chunked") + "3\r\nabc\r\n0\r\n\r\n"
                + request("GET /next HTTP/1.1", "Host: h")
        ),
        (
            "a permission that is asked for",
            request("GET /auth HTTP/1.1", "Host: h", "Connection: upgrade", "Upgrade: websocket")
        ),
        (
            "a WebSocket of somebody else's",
            request(
                "GET /theirs?a=b HTTP/1.1",
                "Host: h",
                "Connection: Upgrade",
                "Upgrade: websocket",
                "Sec-WebSocket-Version: 13"
            )
        ),
        ("another protocol", request("GET /echo HTTP/1.1", "Host: h", "Connection: Upgrade", "Upgrade: h2c")),
        ("HTTP/2 at once", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("a fold", "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n"),
        ("an empty line first", "\r\n" + request("GET / HTTP/1.1", "Host: h")),
        ("TLS", "\u{16}\u{03}\u{01}\u{02}"),
        ("no Host, which somebody else is to refuse", request("GET / HTTP/1.1")),
        (
            "two framings, which somebody else is to refuse",
            request("POST / HTTP/1.1", "Host: h", "Content-Length: 1", "Transfer-Encoding: chunked") + "0\r\n\r\n"
        ),
        ("a target that is none", request("GET nowhere HTTP/1.1", "Host: h")),
        ("CONNECT", request("CONNECT h:1 HTTP/1.1", "Host: h:1")),
        ("a line beyond our limits", request("GET /" + String(repeating: "a", count: 9_000) + " HTTP/1.1", "Host: h")),
        ("cookies of somebody else's", request("GET /page/;e/cookies?.kl=Y HTTP/1.1", "Host: h")),
    ]

    private static let own: [(name: String, text: String)] = [
        ("an opening", request("GET /echo HTTP/1.1", "Host: h", "Connection: Upgrade", "Upgrade: websocket")),
        ("with a query", request("GET /echo?a=b HTTP/1.1", "Host: h", "Connection: Upgrade", "Upgrade: WebSocket")),
        ("with a parameter", request("GET /rooms/7 HTTP/1.1", "Host: h", "Connection: Upgrade", "Upgrade: websocket")),
        ("with a parameter that is no UTF-8", request("GET /rooms/%FF HTTP/1.1", "Host: h", "Upgrade: websocket")),
        ("a whole URI", request("GET http://h/echo HTTP/1.1", "Host: h", "Connection: Upgrade", "Upgrade: websocket")),
        ("without Host, which we refuse", request("GET /echo HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket")),
        ("of HTTP/1.0, which we refuse", request("GET /echo HTTP/1.0", "Host: h", "Upgrade: websocket")),
        ("cookies", request("GET /legacy/;e/cookies?.kl=Y HTTP/1.1", "Host: h")),
    ]

    @Test("each request of somebody else's is given back byte for byte, cut at every byte", arguments: others)
    func givesBack(name: String, text: String) throws {
        let bytes = Array(text.utf8)
        let cuts = bytes.count > 2_000 ? Array(stride(from: 0, to: bytes.count, by: 97)) : Array(0...bytes.count)
        for cut in cuts {
            #expect(try Self.handedOn([bytes[..<cut], bytes[cut...]]) == bytes, "\(name) cut at \(cut)")
        }
        let single = bytes.count > 2_000 ? [] : bytes.indices.map { bytes[$0...$0] }
        if !single.isEmpty { #expect(try Self.handedOn(single) == bytes, "\(name), byte by byte") }
    }

    @Test("each request for an endpoint is kept, cut at every byte", arguments: own)
    func keeps(name: String, text: String) throws {
        let bytes = Array(text.utf8)
        for cut in 0...bytes.count {
            #expect(try Self.handedOn([bytes[..<cut], bytes[cut...]]) == nil, "\(name) cut at \(cut)")
        }
    }

    @Test("a head that is not complete in time is answered here")
    func slowHead() throws {
        var connection = try Self.connection()
        connection.receive(ByteBuffer(string: "GET /page HTT"), now: .at(0))
        if connection.next(now: .at(0)) != nil { Issue.record("it acts before it must") }
        let wakesAt = connection.deadline
        let deadline = try #require(wakesAt)
        connection.timeReached(now: deadline)
        let answer = connection.output.next().map { String(buffer: $0) }
        #expect(answer?.hasPrefix("HTTP/1.1 408 ") == true)
    }

    /// Requests that open no WebSocket of ours, and our own answers where nobody else has one.
    private static let ordinary: [(text: String, isLeft: Bool, answer: Int)] = [
        (request("GET /page HTTP/1.1", "Host: h"), true, 404),
        (request("GET /page HTTP/1.1", "Host: h:81"), true, 404),
        (request("GET /page HTTP/1.1", "Host: other"), false, 404),
        (request("GET /echo HTTP/1.1", "Host: h"), true, 426),
        (request("POST /echo HTTP/1.1", "Host: h"), true, 405),
        (request("GET /echo HTTP/1.1", "Host: h", "Connection: Upgrade", "Upgrade: websocket"), false, 426),
        (request("GET /page/;e/cookies?.kl=Y HTTP/1.1", "Host: h"), true, 404),
        (request("GET /legacy/;e/cookies?.kl=Y HTTP/1.1", "Host: h"), false, 404),
    ]

    @Test("ordinary requests are left to an application's own HTTP, where they name a host that is served")
    func leaves() throws {
        let set = try Self.set(hosts: .allowing(["h"]))
        for row in Self.ordinary {
            var decoder = RequestHeadDecoder(limits: Limits().openingHead)
            var bytes = ByteBuffer(string: row.text)
            let head = try decoder.decode(&bytes)
            let request = try CheckedRequest(try #require(head))
            #expect(set.leaves(request) == row.isLeft, "\(row.text)")
            #expect(set.refusal(of: request).status == row.answer, "\(row.text)")
        }
    }

    @Test("where the port is shared with nobody, every request is kept")
    func alone() throws {
        var connection = Connection(server: ConnectionConfiguration(), isSecure: false, now: .at(0))
        connection.transportUp(now: .at(0))
        connection.start(now: .at(0))
        connection.receive(ByteBuffer(string: Self.request("GET /page HTTP/1.1", "Host: h")), now: .at(0))
        guard case .server(.plainRequest) = connection.next(now: .at(0)) else { return #expect(Bool(false)) }
    }
}
