// D7: the exchange of deployed Kaazing clients and gateways, piece by piece. Whole conversations are the transcripts
// `kaazing-*.khp`.

import HTTPTypes
import KHPProtocol
import NIOCore
import Testing

@Suite struct KaazingLegacyTests {
    // MARK: Clients that ask for it

    static let queries: [(String?, KaazingLegacy)] = [
        (nil, .off), ("", .off), (".kl=Y", .full), ("a=1&.kl=Y", .full), (".kl=Y&a=1", .full), (".kl=Y&.kl=Y", .full),
        (".kl=N", .off), (".kl=y", .off), (".KL=Y", .off), ("x.kl=Y", .off), (".kl=Y1", .off), ("a=.kl=Y", .off),
        (".kl%3DY", .off), (".kv=10.05", .terminator), ("a&.kv=10.05&b", .terminator), (".kv=10.06", .off),
        (".kv=10.05&.kl=Y", .full), (".kl=Y&.kv=10.05", .full),
    ]

    @Test(arguments: queries)
    func theQuerySaysWhatIsAskedFor(_ row: (String?, KaazingLegacy)) {
        #expect(KaazingLegacy(query: row.0) == row.1)
    }

    static let urls: [(String, asking: String, without: String)] = [
        ("ws://a/", "ws://a/?.kl=Y", "ws://a/"),
        ("ws://a/x?b", "ws://a/x?b&.kl=Y", "ws://a/x?b"),
        ("ws://a/x?.kl=Y", "ws://a/x?.kl=Y", "ws://a/x"),
        ("ws://a/x?.kl=Y&b&.kl=Y&.kl=Y", "ws://a/x?.kl=Y&b&.kl=Y&.kl=Y", "ws://a/x?b"),
        ("wss://[::1]:8443/x?", "wss://[::1]:8443/x?.kl=Y", "wss://[::1]:8443/x?"),
    ]

    @Test(arguments: urls)
    func urlsAskOnce(_ row: (String, asking: String, without: String)) throws {
        let url = try WebSocketURL(row.0)
        #expect(url.askingForKaazingLegacy.description == row.asking)
        #expect(url.withoutKaazingLegacy.description == row.without)
    }

    // MARK: Its messages

    static let messages: [(KaazingLegacyMessage, [UInt8])] = [
        (.noBalancer, [0xEF, 0x83, 0xBF, 0x4E]), (.noMember, [0xEF, 0x83, 0xBF, 0x52]),
        (.redirect(to: "ws://a/"), [0xEF, 0x83, 0xBF, 0x52] + Array("ws://a/".utf8)), (.endOfResponse, []),
    ]

    @Test(arguments: messages)
    func messagesAreTheseBytes(_ row: (KaazingLegacyMessage, [UInt8])) {
        #expect(Array(row.0.payload.readableBytesView) == row.1)
        #expect(KaazingLegacyMessage(balancer: ByteBuffer(bytes: row.1)) == (row.0 == .endOfResponse ? nil : row.0))
    }

    @Test(
        arguments: [
            [0xEF, 0x83, 0xBF], [0xEF, 0x83, 0xBF, 0x4E, 0x4E], [0xEF, 0x83, 0xBF, 0x6E], [0xEF, 0x83, 0x4E],
            [0xEF, 0x83, 0xBF, 0x52, 0xFF], [0xEF, 0x83, 0xBF, 0x58], [0x4E],
        ] as [[UInt8]]
    )
    func otherBytesAreNone(_ bytes: [UInt8]) {
        #expect(KaazingLegacyMessage(balancer: ByteBuffer(bytes: bytes)) == nil)
    }

    static let targets: [(String?, query: String?, KaazingLegacyMessage?)] = [
        ("/b", ".kl=Y", .redirect(to: "ws://example.com:8080/b?.kl=Y")),
        ("b?x", "a=1&.kl=Y", .redirect(to: "ws://example.com:8080/b?x&a=1&.kl=Y")),
        ("https://other.example/?.kl=Y", ".kl=Y", .redirect(to: "wss://other.example/?.kl=Y")),
        ("http://u:p@other.example", ".kl=Y", .redirect(to: "ws://other.example/?.kl=Y")),
        (nil, ".kl=Y", .noMember), ("mailto:a@b", ".kl=Y", nil), ("ws://", ".kl=Y", nil),
    ]

    @Test(arguments: targets)
    func redirectsBecomeBalancerMessages(_ row: (String?, query: String?, KaazingLegacyMessage?)) throws {
        let message = KaazingLegacyMessage.balancing(row.0, at: try Sample.url(), query: row.query)
        #expect(message == row.2)
    }

    // MARK: The client's machine

    private static let go = KaazingLegacyMessage.noBalancer.payload
    private static let end = ByteBuffer()

    private static func client(_ limits: Limits = Limits()) throws -> ExtendedClient {
        var plan = try Sample.clientPlan()
        plan.legacy = .full
        return ExtendedClient(plan, limits: limits)
    }

    /// A client in the stage that comes before the message of this name.
    private static func client(before stage: String) throws -> ExtendedClient {
        var client = try Self.client()
        #expect(client.begin(now: .at(0)) == nil)
        if stage == "balancer" { return client }
        #expect(ClientStep(client.receive(Self.go, now: .at(1))) == .sendRequest("GET /trades HTTP/1.1\r\n\r\n"))
        if stage == "response" { return client }
        if stage == "replay" {
            let challenge = Sample.response(401, fields: ["WWW-Authenticate: Basic realm=x"])
            #expect(ClientStep(client.receive(challenge, now: .at(1))) == .none)
            #expect(ClientStep(client.receive(Self.end, now: .at(1))) == .challenge(status: 401))
            return client
        }
        #expect(ClientStep(client.receive(Sample.switching(), now: .at(1))) == .none)
        if stage == "end" { return client }
        #expect(ClientStep(client.receive(Self.end, now: .at(1))) == .settled(status: 101))
        return client
    }

    private static let invalid = ClientStep.fail(.extendedInvalid, close: 1011)
    private static let away = KaazingLegacyMessage.redirect(to: "ws://b/").payload
    static let cells: [(String, ByteBuffer, ClientStep)] = [
        ("balancer", end, invalid), ("balancer", Sample.switching(), invalid),
        ("balancer", ByteBuffer(string: "N"), invalid),
        ("balancer", away, .balanced(to: "ws://b/")),
        ("balancer", KaazingLegacyMessage.noMember.payload, .fail(.redirectRefused, close: 1000)),
        ("response", end, invalid), ("response", go, .none), ("response", away, .balanced(to: "ws://b/")),
        ("response", ByteBuffer(string: "hello"), invalid),
        ("replay", end, invalid), ("replay", go, .none), ("replay", away, invalid),
        ("replay", Sample.switching(), invalid),
        ("end", go, invalid), ("end", away, invalid),
        ("second balancer", go, .complete(status: 101)), ("second balancer", away, .balanced(to: "ws://b/")),
        ("second balancer", KaazingLegacyMessage.noMember.payload, .fail(.redirectRefused, close: 1000)),
        ("second balancer", end, invalid), ("second balancer", ByteBuffer(string: "hello"), invalid),
        ("second balancer", Sample.switching(), invalid),
    ]

    @Test(arguments: cells)
    func everyCellOfTheClient(_ row: (String, ByteBuffer, ClientStep)) throws {
        var client = try Self.client(before: row.0)
        #expect(ClientStep(client.receive(row.1, now: .at(2))) == row.2, "\(row.0)")
    }

    @Test(
        "bytes behind the content that was announced are no part of the answer",
        arguments: [("Content-Length: 2", "abcd"), ("Content-Length: 0", "a"), ("Content-Length: 2", "ab\r\n")]
    )
    func bytesBehindContent(_ field: String, _ content: String) throws {
        var client = try Self.client(before: "response")
        let answer = ByteBuffer(string: "HTTP/1.1 404 Not Found\r\n\(field)\r\n\r\n\(content)")
        let first = ClientStep(client.receive(answer, now: .at(1)))
        #expect(first == Self.invalid || ClientStep(client.receive(Self.end, now: .at(1))) == Self.invalid)
    }

    @Test(arguments: ["balancer", "response", "end", "second balancer"])
    func nothingExtendsTheWait(_ stage: String) throws {
        var client = try Self.client(before: stage)
        #expect(client.deadline == .at(10))
        #expect(ClientStep(client.deadlineReached(now: .at(10))) == .fail(.timeout, close: 1008))
    }

    @Test func everyStatusActsOnlyAtItsEnd() throws {
        for status in 100...699 {
            var client = try Self.client(before: "response")
            #expect(ClientStep(client.receive(Sample.response(status), now: .at(1))) == .none)
            let step = ClientStep(client.receive(Self.end, now: .at(1)))
            let expected: ClientStep =
                switch status {
                case 101, 201, 204, 205: .settled(status: status)
                case 202: .waiting(until: .at(31))
                case 300: .choose(status: status)
                case 301, 302, 303, 307: .redirect(status: status)
                case 401: .challenge(status: status)
                case 407: .proxyAuthentication(status: status)
                case 426: .upgrade(status: status)
                default: .fail(.extendedRefused, close: 300...599 ~= status ? 1000 : 1011)
                }
            #expect(step == expected, "\(status)")
        }
    }

    /// Messages before the end, then the steps that they lead to.
    static let responses: [([String], ClientStep)] = [
        (["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 401 Unauthorized\r\n\r\n", "<html>"], .challenge(status: 401)),
        (
            ["HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nHTTP/1.1 403 Forbidden\r\n\r\nno"],
            .fail(.extendedRefused, close: 1000)
        ),
        (["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 302 Found\r\n\r\n"], .redirect(status: 302)),
        (["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 403 Forbidden\r\n\r\n"], .fail(.extendedRefused, close: 1000)),
        (["HTTP/1.1 403 Forbidden\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"], .fail(.extendedRefused, close: 1000)),
        (["HT", "TP/1.1 302 Fou", "nd\r\n\r", "\n"], .redirect(status: 302)),
        (["HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nno"], invalid),
        (["HTTP/1.1 403 Forbidden\r\nContent-Length: 1\r\n\r\nno"], invalid),
        (["HTTP/1.1 403 Forbidden\r\nContent-Length: x\r\n\r\nno"], invalid),
        (["HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n"], invalid),
        (["HTTP/1.1 403 Forbidden\r\n"], invalid), (["HTTP/1.1 101 Yes\r\n\r\nhello"], invalid),
        (["HTTP/1.0 403 Forbidden\r\n\r\n"], invalid),
        (["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1"], invalid),
    ]

    @Test(arguments: responses)
    func theLastFinalHeadCounts(_ row: ([String], ClientStep)) throws {
        var client = try Self.client(before: "response")
        for message in row.0 {
            #expect(ClientStep(client.receive(ByteBuffer(string: message), now: .at(1))) == .none)
        }
        #expect(ClientStep(client.receive(Self.end, now: .at(1))) == row.1)
    }

    // MARK: Floods (threat E15)

    @Test func responsesAreBoundedInMessagesHeadsAndBytes() throws {
        var many = try Self.client(before: "response")
        var steps: [ClientStep] = []
        for _ in 1...17 {
            steps.append(ClientStep(many.receive(ByteBuffer(string: "HTTP/1.1 200 OK\r\n"), now: .at(1))))
        }
        #expect(steps.dropLast().allSatisfy { $0 == .none })
        #expect(steps.last == .fail(.limitExceeded, close: 1008))

        var heads = try Self.client(before: "response")
        let five = String(repeating: "HTTP/1.1 200 OK\r\n\r\n", count: 5)
        _ = heads.receive(ByteBuffer(string: five), now: .at(1))
        #expect(ClientStep(heads.receive(Self.end, now: .at(1))) == .fail(.limitExceeded, close: 1008))

        var large = try Self.client(before: "response")
        let limits = Limits()
        let room = limits.extendedHeadBytes + limits.bodyBytes
        let first = "HTTP/1.1 403 No\r\n\r\n"
        _ = large.receive(ByteBuffer(string: first), now: .at(1))
        let rest = ByteBuffer(repeating: 0x61, count: room - first.utf8.count)
        #expect(ClientStep(large.receive(rest, now: .at(1))) == .none)
        #expect(ClientStep(large.receive(ByteBuffer(string: "a"), now: .at(1))) == .fail(.limitExceeded, close: 1009))
    }

    @Test("content of exactly the limit is read, one byte more is not", arguments: [0, 1])
    func content(_ more: Int) throws {
        var client = try Self.client(before: "response")
        let head = ByteBuffer(string: "HTTP/1.1 403 No\r\n\r\n")
        #expect(ClientStep(client.receive(head, now: .at(1))) == .none)
        let content = ByteBuffer(repeating: 0x61, count: Limits().bodyBytes + more)
        _ = client.receive(content, now: .at(1))
        let step = ClientStep(client.receive(Self.end, now: .at(1)))
        #expect(step == (more == 0 ? .fail(.extendedRefused, close: 1000) : .fail(.limitExceeded, close: 1009)))
    }

    @Test func aBalancersURLIsBounded() throws {
        var client = try Self.client(before: "balancer")
        let url = "ws://a/" + String(repeating: "a", count: Limits().lineBytes)
        let message = KaazingLegacyMessage.redirect(to: url).payload
        #expect(ClientStep(client.receive(message, now: .at(1))) == .fail(.limitExceeded, close: 1009))
    }

    @Test func aPeerThatClosesEndsARefusalButNoCompletion() throws {
        for (status, acts) in [(400, true), (403, true), (302, true), (401, true), (101, false), (202, false)] {
            var client = try Self.client(before: "response")
            _ = client.receive(Sample.response(status), now: .at(1))
            #expect((client.settle(now: .at(1)) != nil) == acts, "\(status)")
        }
        var empty = try Self.client(before: "response")
        #expect(empty.settle(now: .at(1)) == nil)
    }

    @Test("a refusal whose content is cut counts with what came of it, when the server closes or falls silent (D28)")
    func cutContent() throws {
        let rows: [(Int, ClientStep)] = [
            (302, .redirect(status: 302)), (401, .challengeAfresh(status: 401)),
            (403, .fail(.extendedRefused, close: 1000)), (503, .fail(.extendedRefused, close: 1000)),
        ]
        for (status, step) in rows {
            for content in ["9\r\n\r\npart", "9\r\n\r\n", "2\r\n\r\npart"] {
                let fields = "WWW-Authenticate: Basic realm=x\r\nLocation: /a\r\nContent-Length: \(content)"
                var late = try Self.client(before: "response")
                let message = ByteBuffer(string: "HTTP/1.1 \(status) X\r\n\(fields)")
                #expect(ClientStep(late.receive(message, now: .at(1))) == .none)
                var ended = late
                #expect(late.deadline == .at(3))
                #expect(ClientStep(late.deadlineReached(now: .at(3))) == step)
                let settled = ended.settle(now: .at(1)).map { ClientStep($0) }
                #expect(settled == step)
            }
        }
        // Nothing of it opens or keeps a WebSocket.
        for status in [201, 202] {
            var client = try Self.client(before: "response")
            let message = ByteBuffer(string: "HTTP/1.1 \(status) X\r\nContent-Length: 9\r\n\r\npart")
            #expect(ClientStep(client.receive(message, now: .at(1))) == .none)
            #expect(client.settle(now: .at(1)) == nil)
        }
    }

    // MARK: The server's machine

    private static func server(_ legacy: KaazingLegacy, _ target: String = "/trades?.kl=Y") throws -> ExtendedServer {
        ExtendedServer(
            opening: try Sample.opening(target),
            acceptValue: AcceptValue(Sample.accept),
            server: Sample.server,
            legacy: legacy,
            url: try Sample.url("ws://example.com:8080\(target)"),
            now: .at(0)
        )
    }

    @Test func redirectsOfTheServerAreBalancerMessages() throws {
        for legacy in [KaazingLegacy.off, .terminator, .full] {
            for status in [300, 301, 302, 303, 307, 308, 400, 403, 426, 503] {
                var server = try Self.server(legacy)
                _ = server.receive(Sample.head("GET /trades HTTP/1.1"), date: Sample.date, now: .at(1))
                let answer = HandshakeResponse(status: status, headers: [.location: "/b"])
                let step = ServerStep(server.respond(answer, date: Sample.date, now: .at(1)))
                if legacy == .full, 300...308 ~= status {
                    #expect(step == .balance(status: 101, .redirect(to: "ws://example.com:8080/b?.kl=Y")), "\(status)")
                } else {
                    #expect(step == .close(status: status, code: 1000), "\(status)")
                }
            }
        }
    }

    @Test func anotherPathIsToleratedOnlyHere() throws {
        for (legacy, expected) in [
            (KaazingLegacy.off, ServerStep.refuse(status: 400, close: 1000)), (.terminator, .request),
            (.full, .request),
        ] {
            var server = try Self.server(legacy)
            let action = server.receive(Sample.head("GET /other?x HTTP/1.1"), date: Sample.date, now: .at(1))
            #expect(ServerStep(action) == expected)
            // D14: it changes nothing about where the request goes.
            if case .request(let request) = action { #expect(request.path == "/trades") }
        }
    }

    @Test func oldFieldNamesAreReadOnlyHere() throws {
        let old = ["X-WebSocket-Protocol: x-kaazing-handshake, amqp"]
        let none: [String: String?] = ["Sec-WebSocket-Protocol": nil]
        for (target, offers) in [("/trades", false), ("/trades?.kl=Y", true), ("/trades?.kv=10.05", true)] {
            let opening = try Sample.opening(target, replacing: none, adding: old)
            #expect(opening.offersExtendedHandshake == offers)
            #expect(opening.subprotocols == (offers ? ["amqp"] : []))
        }
        for (legacy, count) in [(KaazingLegacy.off, 0), (.full, 1)] {
            var server = try Self.server(legacy)
            let request = Sample.head(
                "GET /trades HTTP/1.1",
                "X-WebSocket-Extensions: x-example",
                "WebSocket-Protocol: "
            )
            guard case .request(let asked) = server.receive(request, date: Sample.date, now: .at(1)) else {
                Issue.record("no request")
                continue
            }
            #expect(asked.extensionOffers.count == count)
        }
    }

    @Test func anEmptyPathOfTheJavaClientIsTheRoot() throws {
        #expect(try Sample.opening("?.kl=Y").path == "/")
        #expect(throws: Refusal.self) { try Sample.opening("?a=1") }
    }
}
