// RFC 6455 section 4.2 and threats A1 to A15: WebSocket requests, and the answers to all others.

import HTTPTypes
import KHPProtocol
import NIOCore
import Testing

@Suite struct OpeningServerTests {
    private static func refusal(of text: String) -> Refusal? {
        var server = OpeningServer()
        var input = ByteBuffer(string: text)
        do {
            _ = try server.receive(&input)
            return nil
        } catch {
            return error
        }
    }

    @Test func readsAll() throws {
        let request = try Sample.opening(
            "/a/b?c=d?e",
            replacing: ["Sec-WebSocket-Protocol": "amqp, , x-kaazing-handshake,stomp, amqp"],
            adding: [
                "Sec-WebSocket-Extensions: x-example; level=1", "Origin: http://example.com", "Authorization: Basic x",
                "Sec-WebSocket-Protocol: mqtt", "Sec-WebSocket-Extensions: x-other",
            ]
        )
        #expect(request.path == "/a/b")
        #expect(request.query == "c=d?e")
        #expect(request.authority == (try Authority("example.com:8080")))
        #expect(request.key == Sample.key)
        #expect(request.version == 13)
        #expect(request.subprotocols == ["amqp", "stomp", "mqtt"])
        #expect(request.offersExtendedHandshake)
        #expect(request.extensionOffers.map(\.description) == ["x-example; level=1", "x-other"])
        #expect(request.origin == "http://example.com")
        #expect(request.authorization == "Basic x")
        #expect(request.method == "GET")
        #expect(request.opening == .acceptKey)
        #expect(request.fields[.upgrade] == "websocket")
        #expect(!request.spellsUpgradeOldStyle)
    }

    @Test func readsVersion8WithItsOwnOriginField() throws {
        let request = try Sample.opening(
            replacing: ["Sec-WebSocket-Version": "8"],
            adding: ["Sec-WebSocket-Origin: http://example.com"]
        )
        #expect(request.version == 8)
        #expect(request.origin == "http://example.com")
    }

    @Test(
        arguments: [
            ("Sec-WebSocket-Protocol", nil), ("Sec-WebSocket-Protocol", ""), ("Sec-WebSocket-Protocol", "amqp"),
            ("Sec-WebSocket-Protocol", "X-Kaazing-Handshake"),
        ] as [(String, String?)]
    )
    func doesNotSeeAnOfferWhereThereIsNone(name: String, value: String?) throws {
        #expect(try !Sample.opening(replacing: [name: value]).offersExtendedHandshake)
    }

    @Test(arguments: [
        ("Connection", "keep-alive, Upgrade"), ("Connection", "UPGRADE"), ("Upgrade", "WebSocket"),
        ("Upgrade", "h2c, websocket"), ("Host", "EXAMPLE.com"), ("Host", "[::1]:8080"), ("Host", "127.0.0.1"),
    ])
    func accepts(name: String, value: String) throws {
        _ = try Sample.opening(replacing: [name: value])
    }

    @Test(
        arguments: [
            ("Upgrade", nil, 426), ("Upgrade", "h2c", 426), ("Upgrade", "xwebsocket", 426),
            ("Connection", nil, 400), ("Connection", "keep-alive", 400), ("Connection", "Upgraded", 400),
            ("Host", nil, 400), ("Host", "", 400), ("Host", "a b", 400), ("Host", "user@example.com", 400),
            ("Host", "example.com:99999", 400), ("Host", "example.com:x", 400), ("Host", "a, b", 400),
            ("Sec-WebSocket-Version", nil, 426), ("Sec-WebSocket-Version", "99", 426),
            ("Sec-WebSocket-Version", "", 426),
            ("Sec-WebSocket-Version", "13, 8", 426), ("Sec-WebSocket-Version", "7", 426),
            ("Sec-WebSocket-Key", nil, 400), ("Sec-WebSocket-Key", "short", 400),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZTE=", 400),
            ("Sec-WebSocket-Protocol", "a b", 400), ("Sec-WebSocket-Protocol", "\"a\"", 400),
        ] as [(String, String?, Int)]
    )
    func refusesFields(name: String, value: String?, status: Int) {
        #expect(Self.refusal(of: Sample.openingLines(replacing: [name: value]))?.status == status)
    }

    @Test(arguments: [
        ("Host: other", 400), ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", 400), ("Origin: a\r\nOrigin: b", 400),
        ("Sec-WebSocket-Version: 8", 400), ("Content-Length: 5", 400), ("Content-Length: x", 400),
        ("Transfer-Encoding: chunked", 400), ("Sec-WebSocket-Extensions: ;", 400), ("Space : x", 400), (" fold", 400),
        ("X: a\nb", 400), ("X: a\rb", 400), ("X: a\u{0}b", 400),
    ])
    func refusesAdditions(line: String, status: Int) {
        #expect(Self.refusal(of: Sample.openingLines(adding: [line]))?.status == status)
    }

    @Test(arguments: [
        ("POST /trades HTTP/1.1", 405), ("HEAD /trades HTTP/1.1", 405), ("GET /trades HTTP/1.0", 505),
        ("GET /trades HTTP/2.0", 505), ("GET * HTTP/1.1", 400), ("GET trades HTTP/1.1", 400),
        ("GET /a#b HTTP/1.1", 400), ("GET http://other.example/trades HTTP/1.1", 400), ("GET ftp://a/ HTTP/1.1", 400),
        ("GET http://user@example.com:8080/trades HTTP/1.1", 400), ("GET  HTTP/1.1", 400),
        ("GET /\(String(repeating: "a", count: 9000)) HTTP/1.1", 414),
    ])
    func refusesStartLines(line: String, status: Int) {
        let text = Sample.openingLines().replacing("GET /trades HTTP/1.1", with: line)
        #expect(Self.refusal(of: text)?.status == status)
    }

    /// RFC 6455 section 4.2.1 item 1 allows the whole URI.
    @Test(
        arguments: [
            ("http://example.com:8080/trades?x", "/trades", "x"), ("HTTPS://EXAMPLE.com:8080?x", "/", "x"),
            ("http://example.com:8080", "/", nil),
        ] as [(String, String, String?)]
    )
    func readsTheAbsoluteForm(target: String, path: String, query: String?) throws {
        let request = try Sample.opening(target)
        #expect(request.path == path)
        #expect(request.query == query)
    }

    @Test func tooManyFieldsAre431() {
        let lines = (0..<200).map { "X-\($0): y" }
        #expect(Self.refusal(of: Sample.openingLines(adding: lines))?.status == 431)
    }

    /// Threat A4: every refusal ends the connection and can be read by a person.
    @Test func refusalsAreReadable() throws {
        var buffer = ByteBuffer()
        try #require(Self.refusal(of: Sample.openingLines(replacing: ["Sec-WebSocket-Version": "99"])))
            .write(into: &buffer, date: Sample.date)
        #expect(
            buffer.text
                == [
                    "HTTP/1.1 426 Upgrade Required", "Connection: close", "Content-Type: text/plain; charset=utf-8",
                    "Date: \(Sample.date)", "Sec-WebSocket-Version: 13, 8", "Upgrade: websocket", "Content-Length: 120",
                    "",
                    "426 Upgrade Required\nThe Sec-WebSocket-Version is not one that this server speaks. "
                        + "Trying the same again does not help.\n",
                ].joined(separator: "\r\n")
        )
        var head = ByteBuffer()
        Refusal.methodNotAllowed("HEAD").write(into: &head, date: Sample.date)
        #expect(head.text.contains("\r\nAllow: GET\r\n"))
        #expect(head.text.hasSuffix("Content-Length: 92\r\n\r\n"))
        #expect(Refusal.notFound().status == 404)
        #expect(Refusal.originRefused().status == 403)
        #expect(Refusal.misdirected().status == 421)
    }

    @Test func handsOverWhatIsNoWebSocketRequest() throws {
        var server = OpeningServer()
        var input = ByteBuffer(string: "POST /form HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        let head = try #require(try server.receiveHead(&input))
        #expect(!OpeningServer.isWebSocketRequest(head))
        #expect(input.text == "abc")
        var other = ByteBuffer(string: Sample.openingLines())
        #expect(OpeningServer.isWebSocketRequest(try #require(try server.receiveHead(&other))))
    }

    /// Threat A6: cut anywhere, with a frame glued on.
    @Test func everyCutGivesTheSameRequest() throws {
        let bytes = ByteBuffer(string: Sample.openingLines("/trades?q") + "frame")
        let end = bytes.readableBytes - 5
        for place in 0...bytes.readableBytes {
            var server = OpeningServer()
            #expect(server.isIdle)
            var request: OpeningRequest?
            var rest = ByteBuffer()
            for var part in bytes.cut(at: [place]) {
                rest.writeBuffer(&part)
                if request == nil { request = try server.receive(&rest) }
            }
            let found = try #require(request, "cut at \(place) of \(end)")
            #expect(found.path == "/trades" && found.query == "q" && found.key == Sample.key)
            #expect(rest.text == "frame")
        }
    }

    @Test func saysNothingMoreAfterARefusal() throws {
        var server = OpeningServer()
        var input = ByteBuffer(string: "garbage\r\n\r\n")
        #expect(throws: Refusal.self) { try server.receive(&input) }
        var second = ByteBuffer(string: Sample.openingLines())
        #expect(try server.receive(&second) == nil)
    }

    // MARK: The 101

    /// D10, byte for byte.
    @Test func acceptsInTheOrderThatDeployedClientsExpect() throws {
        let acceptance = OpeningServer.acceptance(
            of: try Sample.opening(),
            subprotocol: "x-kaazing-handshake",
            extensions: [
                .init(name: "x-example", parameters: .init([.init("level", "1")]), layer: .opening),
                .init(name: "x-other", layer: .opening),
            ],
            date: Sample.date,
            server: Sample.server
        )
        let expected = [
            "HTTP/1.1 101 Web Socket Protocol Handshake", "Connection: Upgrade", "Date: \(Sample.date)",
            "Sec-WebSocket-Accept: \(Sample.accept)", "Sec-WebSocket-Extensions: x-example; level=1",
            "Sec-WebSocket-Extensions: x-other", "Sec-WebSocket-Protocol: x-kaazing-handshake", "Server: swift-khp",
            "Upgrade: websocket", "", "",
        ].joined(separator: "\r\n")
        var written = ByteBuffer()
        acceptance.write(into: &written)
        #expect(written.text == expected)
        var asHead = ByteBuffer()
        acceptance.head.write(into: &asHead)
        #expect(asHead.text == expected)
    }

    @Test func echoesTheOldSpellingOfUpgrade() throws {
        let request = try Sample.opening(replacing: ["Upgrade": "WebSocket"])
        let acceptance = OpeningServer.acceptance(
            of: request,
            subprotocol: nil,
            date: Sample.date,
            server: Sample.server
        )
        var written = ByteBuffer()
        acceptance.write(into: &written)
        #expect(written.text.hasSuffix("Server: swift-khp\r\nUpgrade: WebSocket\r\n\r\n"))
        let itsOwn = OpeningServer.acceptance(
            of: request,
            subprotocol: nil,
            date: Sample.date,
            server: Sample.server,
            fields: [.init("X-Desk")!: "7", .accept: "a", .upgrade: "h2c", .contentLength: "5"]
        )
        var more = ByteBuffer()
        itsOwn.write(into: &more)
        #expect(
            more.text
                == [
                    "HTTP/1.1 101 Web Socket Protocol Handshake", "Accept: a", "Connection: Upgrade",
                    "Date: \(Sample.date)",
                    "Sec-WebSocket-Accept: \(Sample.accept)", "Server: swift-khp", "Upgrade: WebSocket", "X-Desk: 7",
                    "", "",
                ].joined(separator: "\r\n")
        )
    }

    /// KHP-O2: the server's order decides.
    @Test(arguments: [(["b", "a"], "b"), (["a"], "a"), (["c"], nil), ([], nil)] as [([String], String?)])
    func choosesByItsOwnOrder(offered: [String], choice: String?) {
        #expect(Subprotocols.choose(supported: ["b", "a"], offered: offered) == choice)
    }
}
