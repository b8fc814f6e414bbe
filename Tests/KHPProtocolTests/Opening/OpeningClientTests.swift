// RFC 6455 section 4.1 and threats A5 to A10, A16: the request's bytes, and which responses are believed.

import HTTPTypes
import KHPProtocol
import NIOCore
import Testing

@Suite struct OpeningClientTests {
    private static func client(
        subprotocols: [String] = ["x-kaazing-handshake", "amqp"],
        extensions: [any WebSocketExtension] = [NamedExtension("x-example")],
        limits: Limits = Limits()
    ) throws -> OpeningClient {
        try OpeningClient(
            OpeningClientPlan(
                url: try Sample.url(),
                key: Sample.key,
                subprotocols: subprotocols,
                extensions: try OfferedExtensions(extensions)
            ),
            limits: limits
        )
    }

    private static func outcome(of text: String, _ client: OpeningClient? = nil) throws -> OpeningClient.Outcome? {
        var client = try client ?? Self.client()
        var input = ByteBuffer(string: text)
        return try client.receive(&input)
    }

    private static func code(of text: String) throws -> WebSocketError.Code? {
        var client = try client()
        var input = ByteBuffer(string: text)
        do {
            _ = try client.receive(&input)
            return nil
        } catch {
            #expect(error.phase == .opening)
            return error.code
        }
    }

    // MARK: The request

    @Test func writesTheFieldsInTheirOrder() throws {
        let plan = OpeningClientPlan(
            url: try Sample.url("wss://Example.com/a%20b?c"),
            key: Sample.key,
            subprotocols: Subprotocols.offered(["amqp", "stomp"], extendedHandshake: true),
            extensions: try OfferedExtensions([
                NamedExtension("x-example", parameters: .init([.init("level", "1")])), NamedExtension("x-other"),
            ]),
            origin: "https://page.example",
            extraFields: [.userAgent: "khp", .cookie: "old=1", .init("X-Desk")!: "7"],
            cookies: "a=b",
            authorization: "Basic eA=="
        )
        var buffer = ByteBuffer()
        try OpeningClient(plan).requestHead.write(into: &buffer)
        #expect(
            buffer.text
                == [
                    "GET /a%20b?c HTTP/1.1", "Host: example.com", "Upgrade: websocket", "Connection: Upgrade",
                    "Sec-WebSocket-Key: \(Sample.key)", "Sec-WebSocket-Version: 13",
                    "Sec-WebSocket-Protocol: x-kaazing-handshake, amqp, stomp",
                    "Sec-WebSocket-Extensions: x-example; level=1, x-other", "Origin: https://page.example",
                    "User-Agent: khp", "X-Desk: 7", "Cookie: a=b", "Authorization: Basic eA==", "", "",
                ].joined(separator: "\r\n")
        )
    }

    @Test(
        "a field that the plan sets stands once, whatever the application gives",
        arguments: [Dialect.rfc6455, .hixie76]
    )
    func replaces(_ dialect: Dialect) throws {
        var plan = OpeningClientPlan(
            url: try Sample.url(),
            key: Sample.key,
            origin: "https://page.example",
            extraFields: [.origin: "https://other.example", .cookie: "old=1", .authorization: "Basic old"],
            cookies: "a=b",
            authorization: "Basic eA=="
        )
        plan.dialect = dialect
        if dialect != .rfc6455 {
            var generator = SeededGenerator(seed: 1)
            plan.keys = HixieKeys(using: &generator)
        }
        let fields = try OpeningClient(plan).requestHead.fields
        for (name, value) in [("Origin", "https://page.example"), ("Cookie", "a=b"), ("Authorization", "Basic eA==")] {
            #expect(fields.count(of: name) == 1)
            #expect(fields.value(of: name, equals: value))
        }
    }

    @Test func leavesOutWhatIsEmpty() throws {
        let client = try Self.client(subprotocols: [], extensions: [])
        #expect(!client.requestHead.fields.contains("Sec-WebSocket-Protocol"))
        #expect(!client.requestHead.fields.contains("Sec-WebSocket-Extensions"))
    }

    @Test(arguments: [
        "Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "sec-websocket-protocol", "Sec-WebSocket-Anything",
        "Content-Length", "Transfer-Encoding", "Expect", "TE", "Trailer", "Keep-Alive", "Proxy-Authorization",
    ])
    func refusesReservedFields(name: String) throws {
        var plan = OpeningClientPlan(url: try Sample.url(), key: Sample.key)
        plan.extraFields.append(.init(name: try #require(HTTPField.Name(name)), value: "x"))
        let error = #expect(throws: WebSocketError.self) { try OpeningClient(plan) }
        #expect(error?.code == .invalidArgument)
    }

    @Test(arguments: [["a", "a"], ["a b"], [""], ["a\r\nB: c"], ["x-kaazing-handshake", "a,b"]])
    func refusesSubprotocols(names: [String]) throws {
        let plan = OpeningClientPlan(url: try Sample.url(), key: Sample.key, subprotocols: names)
        #expect(throws: WebSocketError.self) { try OpeningClient(plan) }
    }

    /// Threat A7, and the secret is not in the error.
    @Test(arguments: ["CANARY\r\nX: y", "CANARY\u{0}", "CANARY\n", "CANARY\u{7F}"])
    func refusesControlCharacters(value: String) throws {
        let plan = OpeningClientPlan(url: try Sample.url(), key: Sample.key)
        for path: WritableKeyPath<OpeningClientPlan, String?> in [\.origin, \.cookies, \.authorization] {
            var plan = plan
            plan[keyPath: path] = value
            let error = #expect(throws: WebSocketError.self) { try OpeningClient(plan) }
            #expect(error?.code == .invalidArgument)
            #expect(error.map { "\($0)".contains("CANARY") } == false)
        }
    }

    // MARK: 101

    @Test func acceptsAndLeavesTheFramesAlone() throws {
        var client = try Self.client()
        var input = Sample.switching(adding: [
            "Sec-WebSocket-Extensions: x-example", "Sec-WebSocket-Protocol: x-kaazing-handshake",
        ])
        input.writeString("frame")
        guard case .accepted(let result) = try client.receive(&input) else {
            Issue.record("not accepted")
            return
        }
        #expect(result.subprotocol == "x-kaazing-handshake")
        #expect(result.selectsExtendedHandshake)
        #expect(result.extensions.negotiated == [NegotiatedExtension(name: "x-example", layer: .opening)])
        #expect(result.acceptValue == Sample.accept)
        #expect(result.head.status == 101)
        #expect(input.text == "frame")
        #expect(try client.receive(&input) == nil)
        #expect(try client.inputClosed() == nil)
    }

    @Test(
        arguments: [
            ([], nil), (["Sec-WebSocket-Protocol: amqp"], "amqp"), (["Connection: keep-alive"], nil),
            (["sec-websocket-extensions:x-example "], nil), (["Sec-WebSocket-Extensions: "], nil),
            (["Content-Length: 0"], nil), (["Content-Length: 5"], nil), (["Transfer-Encoding: chunked"], nil),
        ] as [([String], String?)]
    )
    func accepts(lines: [String], subprotocol: String?) throws {
        guard case .accepted(let result) = try Self.outcome(of: Sample.switching(adding: lines).text) else {
            Issue.record("not accepted")
            return
        }
        #expect(result.subprotocol == subprotocol)
    }

    @Test(arguments: [
        ("Upgrade: websocket", ""), ("Upgrade: websocket", "Upgrade: h2c"), ("Upgrade: websocket", "Upgrade: a, b"),
        ("Upgrade: websocket", "Upgrade: websocket\r\nUpgrade: h2c"), ("Connection: Upgrade", "Connection: close"),
        ("Connection: Upgrade", ""), ("Sec-WebSocket-Accept: \(Sample.accept)", ""),
        (Sample.accept, "AAAAAAAAAAAAAAAAAAAAAAAAAAA="), (Sample.accept, Sample.accept.lowercased()),
        ("Server: swift-khp", "Sec-WebSocket-Accept: \(Sample.accept)"),
        ("Server: swift-khp", "Sec-WebSocket-Protocol: stomp"), ("Server: swift-khp", "Sec-WebSocket-Protocol: "),
        ("Server: swift-khp", "Sec-WebSocket-Protocol: AMQP"),
        ("Server: swift-khp", "Sec-WebSocket-Protocol: amqp, x-kaazing-handshake"),
        ("Server: swift-khp", "Sec-WebSocket-Protocol: amqp\r\nSec-WebSocket-Protocol: amqp"),
        ("Server: swift-khp", "Sec-WebSocket-Extensions: x-unasked"),
        ("Server: swift-khp", "Sec-WebSocket-Extensions: x-example, x-example"),
        ("Server: swift-khp", "Sec-WebSocket-Extensions: ;"),
        ("HTTP/1.1", "HTTP/1.0"), ("HTTP/1.1", "HTTP/2.0"), ("HTTP/1.1", "http/1.1"), ("101", "1O1"), ("101 ", "10"),
    ])
    func doesNotBelieve(part: String, replacement: String) throws {
        let line = replacement.isEmpty ? part + "\r\n" : part
        let text = Sample.switching().text.replacing(line, with: replacement)
        #expect(try Self.code(of: text) == .openingInvalid)
    }

    /// RFC 9110 section 15.2: any number of them may come before the final one; threat A16 bounds it.
    @Test func skipsProvisionalResponsesUpToEight() throws {
        let kinds = [
            "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
            "HTTP/1.1 102 Processing\r\nContent-Length: 9\r\n\r\n",
        ]
        for count in 0...9 {
            let early = (0..<count).map { kinds[$0 % kinds.count] }.joined()
            let text = early + Sample.switching().text
            if count <= 8 {
                guard case .accepted = try Self.outcome(of: text) else {
                    Issue.record("not accepted behind \(count)")
                    return
                }
                #expect(try Self.response(of: early + "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")?.status == 404)
            } else {
                #expect(try Self.code(of: text) == .openingInvalid)
            }
        }
    }

    /// RFC 9112 section 6.3: a 101 ends with its empty line, so what is behind it are frames.
    @Test(arguments: [
        "Transfer-Encoding: chunked", "Content-Length: 3", "Transfer-Encoding: gzip\r\nContent-Length: 9",
    ])
    func leavesFramesBehindA101(field: String) throws {
        var client = try Self.client()
        var input = Sample.switching(adding: [field])
        input.writeString("3\r\nabc\r\n0\r\n\r\n")
        guard case .accepted = try client.receive(&input) else {
            Issue.record("not accepted")
            return
        }
        #expect(input.text == "3\r\nabc\r\n0\r\n\r\n")
    }

    /// The status is told where the content is malformed.
    @Test func tellsTheStatusOfAMalformedAnswer() throws {
        for text in ["Content-Length: x\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nzz\r\n"] {
            var client = try Self.client()
            var input = ByteBuffer(string: "HTTP/1.1 503 Busy\r\n" + text)
            let error = #expect(throws: WebSocketError.self) { try client.receive(&input) }
            #expect(error?.code == .openingInvalid)
            #expect(error?.response?.status == 503)
        }
    }

    @Test(arguments: ["<html>", "\u{0}\u{1}\r\n", "HTTP/0.9 200\r\n", String(repeating: "x", count: 9000)])
    func garbageIsInvalid(text: String) throws {
        #expect(try Self.code(of: text + "\r\n\r\n") == .openingInvalid)
    }

    // MARK: Other responses

    private static func response(of text: String, closing: Bool = false) throws -> HandshakeResponse? {
        var client = try client()
        var input = ByteBuffer(string: text)
        var outcome = try client.receive(&input)
        if closing, outcome == nil { outcome = try client.inputClosed() }
        guard case .response(let response) = outcome else { return nil }
        return response
    }

    @Test(arguments: [
        ("Content-Length: 5\r\n\r\nhello", "hello"), ("Content-Length: 0\r\n\r\n", ""),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: t\r\n\r\n", "hello"),
        ("Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", ""),
    ])
    func readsContent(text: String, content: String) throws {
        let full = "HTTP/1.1 403 Forbidden\r\nX-Why: because\r\n" + text
        let response = try #require(try Self.response(of: full))
        #expect(response.status == 403 && response.reason == "Forbidden")
        #expect(response.body.text == content)
        #expect(response.headers[.init("X-Why")!] == "because")
        // At every cut the same.
        let bytes = ByteBuffer(string: full)
        for place in 0...bytes.readableBytes {
            var client = try Self.client()
            var found: HandshakeResponse?
            for var part in bytes.cut(at: [place]) {
                if case .response(let response) = try client.receive(&part) { found = response }
            }
            #expect(found?.body.text == content)
        }
    }

    @Test func readsUntilTheEnd() throws {
        let text = "HTTP/1.1 500 Oops\r\n\r\nall of it"
        #expect(try Self.response(of: text) == nil)
        #expect(try Self.response(of: text, closing: true)?.body.text == "all of it")
        let cut = "HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nthe beginning"
        #expect(try Self.response(of: cut, closing: true)?.body.text == "the beginning")
    }

    @Test(arguments: [204, 304]) func endsWithTheHead(status: Int) throws {
        #expect(try Self.response(of: "HTTP/1.1 \(status) x\r\nContent-Length: 9\r\n\r\n")?.status == status)
    }

    @Test func keepsNoMoreThanTheLimit() throws {
        let bulk = String(repeating: "x", count: 70000)
        for head in ["", "Content-Length: 70000\r\n"] {
            let response = try Self.response(of: "HTTP/1.1 500 Oops\r\n\(head)\r\n\(bulk)")
            #expect(response?.body.readableBytes == 65536)
        }
        let chunked = "HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n11170\r\n\(bulk)"
        #expect(try Self.response(of: chunked)?.body.readableBytes == 65536)
    }

    @Test(arguments: [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "Content-Length: -5\r\n\r\n",
        "Content-Length: 5, 5\r\n\r\n", "Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
        "Transfer-Encoding: gzip, chunked\r\n\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nx\r\n", "Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n", "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1\n", "Transfer-Encoding: chunked\r\n\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1;\(String(repeating: "x", count: 300))",
    ])
    func refusesAmbiguousContent(text: String) throws {
        #expect(try Self.code(of: "HTTP/1.1 403 Forbidden\r\n" + text) == .openingInvalid)
    }

    @Test(arguments: ["", "HTTP/1.1 101 Web"]) func theEndBeforeAHeadIsAnError(text: String) throws {
        var client = try Self.client()
        var input = ByteBuffer(string: text)
        #expect(try client.receive(&input) == nil)
        let error = #expect(throws: WebSocketError.self) { try client.inputClosed() }
        #expect(error?.code == .closedDuringHandshake)
        #expect(error?.phase == .opening)
    }
}
