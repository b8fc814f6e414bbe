// Where an extended response ends and what its fields may say (D25 to D27, D31), and content that is held back
// (RFC 9110 section 10.1.1).

import HTTPTypes
import KHPProtocol
import NIOCore
import Testing

@Suite struct ExtendedContentTests {
    private static func started(_ plan: ExtendedClientPlan? = nil) throws -> ExtendedClient {
        var client = ExtendedClient(try plan ?? Sample.clientPlan())
        _ = client.start(now: .at(0))
        return client
    }

    /// The last action to these messages; all before it are none.
    private static func act(_ messages: String..., method: String = "GET") throws -> ExtendedClient.Action {
        var client = try started(try Sample.clientPlan(method: method))
        var last = ExtendedClient.Action.none
        for message in messages {
            #expect(ClientStep(last) == .none)
            last = client.receive(ByteBuffer(string: message), now: .at(1))
        }
        return last
    }

    private static func response(_ action: ExtendedClient.Action) -> HandshakeResponse? {
        switch action {
        case .complete(let result): result.response
        case .waiting(let response, _), .challenge(let response), .redirect(let response), .choose(let response),
            .upgrade(let response), .proxyAuthentication(let response), .challengeAfresh(let response):
            response
        case .fail(let error, _): error.response
        default: nil
        }
    }

    // MARK: D26

    @Test(arguments: [201, 202, 300, 302, 401, 403, 407, 426, 500])
    func contentWithoutALengthIsTheRestOfItsMessage(status: Int) throws {
        for head in ["HTTP/1.1 \(status) X\r\nA: b\r\n\r\n", "HTTP/1.1 \(status) X\r\n\r\n"] {
            let action = try Self.act(head + "content")
            #expect(Self.response(action)?.status == status)
            #expect(Self.response(action)?.body.text == "content")
            // A head in pieces ends in the message that counts.
            let pieces = try Self.act(String(head.prefix(7)), String(head.dropFirst(7)) + "content")
            #expect(Self.response(pieces)?.body.text == "content")
            // An empty rest is no content, and nobody waits for any.
            #expect(Self.response(try Self.act(head))?.body.text == "")
        }
    }

    @Test func whatFollowsInFurtherMessagesBelongsToWhatComesNext() throws {
        var client = try Self.started()
        #expect(
            ClientStep(client.receive(ByteBuffer(string: "HTTP/1.1 202 X\r\n\r\nwait"), now: .at(1)))
                == .waiting(until: .at(31))
        )
        #expect(ClientStep(client.receive(Sample.switching(), now: .at(2))) == .complete(status: 101))
    }

    @Test(arguments: [101, 204, 304]) func endsWithItsHead(status: Int) throws {
        // Whatever its fields say (RFC 9112 section 6.3).
        for field in ["", "Content-Length: 9\r\n", "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: gzip\r\n"] {
            let action = try Self.act("HTTP/1.1 \(status) X\r\n\(field)\r\n")
            #expect(
                ClientStep(action) == (status == 304 ? .fail(.extendedRefused, close: 1000) : .complete(status: status))
            )
        }
    }

    @Test func anAnswerToHeadHasNone() throws {
        for field in ["", "Content-Length: 9\r\n", "Transfer-Encoding: chunked\r\n"] {
            #expect(Self.response(try Self.act("HTTP/1.1 403 X\r\n\(field)\r\n", method: "HEAD"))?.status == 403)
        }
    }

    @Test func tooMuchIsTold() throws {
        let bulk = String(repeating: "x", count: 65_537)
        for framing in ["\r\n", "Content-Length: 65537\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n10001\r\n"] {
            let action = try Self.act("HTTP/1.1 403 X\r\n\(framing)\(bulk)")
            #expect(ClientStep(action) == .fail(.limitExceeded, close: 1009))
            #expect(Self.response(action)?.status == 403)
        }
    }

    // MARK: D27

    @Test func chunksAreReadAsOnTheWire() throws {
        let body = "2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: t\r\n\r\n"
        for status in [201, 205, 401, 403] {
            let text = "HTTP/1.1 \(status) X\r\nTransfer-Encoding: Chunked\r\n\r\n" + body
            let bytes = ByteBuffer(string: text)
            for place in 1..<bytes.readableBytes {
                var client = try Self.started()
                var last = ExtendedClient.Action.none
                for part in bytes.cut(at: [place]) { last = client.receive(part, now: .at(1)) }
                #expect(Self.response(last)?.status == status)
                #expect(Self.response(last)?.body.text == "hello")
            }
            // D13: behind a response that leaves the WebSocket open there is nothing.
            if status != 403 {
                #expect(ClientStep(try Self.act(text + "x")) == .fail(.extendedInvalid, close: 1011))
            }
        }
    }

    @Test(arguments: [301, 302, 305, 307, 399]) func chunksOfARedirectAreReadAsFarAsTheyAreThere(status: Int) throws {
        let rows = [
            ("chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "hello"), ("chunked\r\n\r\n5\r\nhel", "hel"),
            ("chunked\r\n\r\n5\r\nhello\r\nzz\r\n", "hello"), ("chunked\r\n\r\n", ""),
            ("gzip\r\n\r\nhello", ""), ("chunked\r\nContent-Length: 5\r\n\r\nhello", ""),
        ]
        for (text, body) in rows {
            let action = try Self.act("HTTP/1.1 \(status) X\r\nLocation: /a\r\nTransfer-Encoding: \(text)")
            #expect(Self.response(action)?.status == status)
            #expect(Self.response(action)?.body.text == body, "\(text)")
        }
    }

    @Test(arguments: [
        "Transfer-Encoding: gzip\r\n\r\n", "Transfer-Encoding: gzip, chunked\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
    ])
    func otherCodingsFailWithTheStatus(framing: String) throws {
        for status in [201, 401, 403] {
            let action = try Self.act("HTTP/1.1 \(status) X\r\n\(framing)")
            #expect(ClientStep(action) == .fail(.extendedInvalid, close: 1011))
            #expect(Self.response(action)?.status == status)
        }
    }

    // MARK: D31

    @Test(
        arguments: [
            ("", true), ("Upgrade: websocket\r\n", true), ("Upgrade: WebSocket\r\nConnection: Upgrade\r\n", true),
            ("Connection: keep-alive, Upgrade\r\n", true), ("Upgrade: h2c\r\n", false),
            ("Upgrade: websocket, h2c\r\n", false), ("Upgrade: \r\n", false),
            ("Upgrade: websocket\r\nUpgrade: h2c\r\n", false), ("Connection: close\r\n", false),
            ("Connection: Upgrade\r\nConnection: x, Close\r\n", false),
        ]
    )
    func upgradeAndConnectionInside(fields: String, opens: Bool) throws {
        let step = ClientStep(try Self.act("HTTP/1.1 101 X\r\n\(fields)\r\n"))
        #expect(step == (opens ? .complete(status: 101) : .fail(.extendedInvalid, close: 1011)))
        // They mean nothing in answers that are no switch.
        #expect(ClientStep(try Self.act("HTTP/1.1 204 X\r\n\(fields)\r\n")) == .complete(status: 204))
    }

    // MARK: D25

    @Test(
        arguments: [
            (["example.com:8080"], true), (["EXAMPLE.com:8080"], true), (["example.com"], false),
            (["other:8080"], false),
            (["example.com:8080", "example.com:8080"], false), (["joe@example.com:8080"], false), ([""], false),
            (["example.com:8080\r\nX: y"], false),
        ] as [([String], Bool)]
    )
    func hostNamesTheSameAuthority(values: [String], isAllowed: Bool) throws {
        var plan = try Sample.clientPlan()
        for value in values { plan.extraFields.append(HTTPField(name: HTTPField.Name("host")!, value: value)) }
        do throws(WebSocketError) {
            try plan.validate()
            #expect(isAllowed)
            var client = ExtendedClient(plan)
            #expect(client.start(now: .at(0)).text == "GET /trades HTTP/1.1\r\nhost: \(values[0])\r\n\r\n")
        } catch {
            #expect(!isAllowed)
            #expect(error.code == .invalidArgument)
        }
    }

    @Test func defaultPortsAreEqualToNone() throws {
        for (url, host) in [
            ("wss://h/", "h"), ("wss://h/", "h:443"), ("ws://h/", "h:80"), ("ws://[::1]:81/", "[::1]:81"),
        ] {
            var plan = try Sample.clientPlan(fields: [HTTPField.Name("Host")!: host])
            plan.url = try Sample.url(url)
            try plan.validate()
            plan.url = try Sample.url("ws://elsewhere/")
            #expect(throws: WebSocketError.self) { try plan.validate() }
        }
    }

    // MARK: Content that a dialect cannot carry

    @Test func contentThatIsNoTextIsRefusedForW10() throws {
        var plan = try Sample.clientPlan(method: "POST")
        let rows: [([UInt8], Bool)] = [([0x61, 0xC3, 0xA9], true), ([0x61, 0xFF], false), ([0xC3], false)]
        for (bytes, isText) in rows {
            plan.body = ByteBuffer(bytes: bytes)
            for dialect in [Dialect.rfc6455, .hixie75, .hixie76] { try plan.validateContent(in: dialect) }
            do throws(WebSocketError) {
                try plan.validateContent(in: .whatwg2010)
                #expect(isText)
            } catch {
                #expect(!isText)
                #expect(error.code == .invalidArgument)
            }
        }
    }

    // MARK: Content that nobody asks for

    private static func holding() throws -> ExtendedClient {
        try started(try Sample.clientPlan(method: "POST", body: "hello"))
    }

    @Test func goesOutAfterASecondOfSilence() throws {
        var client = try Self.holding()
        #expect(client.deadline == .at(1))
        #expect(ClientStep(client.deadlineReached(now: .at(0.9))) == .none)
        #expect(ClientStep(client.deadlineReached(now: .at(1))) == .sendBody("hello"))
        #expect(client.deadline == .at(10), "the handshake has its time as before")
        #expect(ClientStep(client.deadlineReached(now: .at(2))) == .none)
        // The 100 was only late, and there is one.
        guard case .continued(let response) = client.receive(Sample.response(100), now: .at(2)) else {
            Issue.record("a late 100 counts")
            return
        }
        #expect(response.status == 100)
        var twice = client
        #expect(ClientStep(twice.receive(Sample.response(100), now: .at(2))) == .fail(.extendedRefused, close: 1011))
        #expect(ClientStep(client.receive(Sample.switching(), now: .at(3))) == .complete(status: 101))
    }

    @Test func isNotSentUnaskedWhereAnAnswerCame() throws {
        for begun in ["HTTP/1.1 4", "HTTP/1.1 403 X\r\nContent-Length: 9\r\n\r\n", "HTTP/1.1 202 X\r\n\r\n"] {
            var client = try Self.holding()
            _ = client.receive(ByteBuffer(string: begun), now: .at(0.5))
            #expect(ClientStep(client.deadlineReached(now: .at(1.5))) == .none)
        }
        var challenged = try Self.holding()
        _ = challenged.receive(Sample.response(401), now: .at(0.5))
        #expect(ClientStep(challenged.deadlineReached(now: .at(1.5))) == .none)
        // The replay is held back for a second of its own.
        _ = challenged.authorize("Basic x", now: .at(5))
        #expect(ClientStep(challenged.deadlineReached(now: .at(6))) == .sendBody("hello"))
        var asked = try Self.holding()
        #expect(ClientStep(asked.receive(Sample.response(100), now: .at(0.5))) == .sendBody("hello"))
        #expect(ClientStep(asked.deadlineReached(now: .at(1.5))) == .none)
    }

    @Test func noDeadlineStaysInThePast() throws {
        var client = try Self.holding()
        // Whoever looks late does everything that is due.
        #expect(ClientStep(client.deadlineReached(now: .at(50))) == .fail(.timeout, close: 1008))
        #expect(client.deadline == nil)
    }

    @Test(
        "a late 100 that a gateway does not end is no answer: the handshake ends when its time is over",
        arguments: [KaazingLegacy.terminator, .full]
    )
    func unfinishedContinue(_ legacy: KaazingLegacy) throws {
        var plan = try Sample.clientPlan(method: "POST", body: "hello")
        plan.legacy = legacy
        var client = ExtendedClient(plan)
        _ = client.start(now: .at(0))
        #expect(ClientStep(client.deadlineReached(now: .at(1))) == .sendBody("hello"))
        #expect(ClientStep(client.receive(Sample.response(100), now: .at(2))) == .none)
        #expect(client.deadline == .at(10))
        #expect(ClientStep(client.deadlineReached(now: .at(10))) == .fail(.timeout, close: 1008))
        #expect(client.deadline == nil)
    }
}
