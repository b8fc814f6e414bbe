// KHP-E1 to KHP-E20 on the server's side: every state × event cell of the machine, and the decisions D6 to D19.

import HTTPTypes
import KHPProtocol
import NIOCore
import Testing

@Suite struct ExtendedServerTests {
    private static let request = Sample.head("GET /trades HTTP/1.1")
    private static let challenge = HandshakeResponse(status: 401, headers: [.wwwAuthenticate: "Basic realm=\"desk\""])

    private static func step(_ text: String, _ server: ExtendedServer? = nil) throws -> ServerStep {
        var server = try server ?? Sample.serverMachine()
        return ServerStep(server.receive(ByteBuffer(string: text), date: Sample.date, now: .at(1)))
    }

    private static func extended(
        _ text: String,
        opening: OpeningRequest? = nil
    ) throws -> ExtendedRequest {
        var server = try Sample.serverMachine(opening)
        let action = server.receive(ByteBuffer(string: text), date: Sample.date, now: .at(1))
        guard case .request(let request) = action else {
            throw UnexpectedAction(action: "\(action)")
        }
        return request
    }

    private struct UnexpectedAction: Error {
        let action: String
    }

    /// A server that waits for its endpoint's answer.
    private static func answering(limits: Limits = Limits()) throws -> ExtendedServer {
        var server = try Sample.serverMachine(limits: limits)
        _ = server.receive(request, date: Sample.date, now: .at(1))
        return server
    }

    private static func respond(
        _ answer: HandshakeResponse,
        _ negotiated: Agreement = Agreement(),
        _ server: ExtendedServer? = nil
    ) throws -> (ServerStep, String) {
        var server = try server ?? answering()
        let action = server.respond(answer, negotiated: negotiated, date: Sample.date, now: .at(2))
        guard case .send(let message, _) = action else { return (ServerStep(action), "") }
        return (ServerStep(action), message.bytes.text)
    }

    @Test("a copy in the middle of a request reads the rest of it by itself")
    func copies() throws {
        var server = try Sample.serverMachine()
        let text = "GET /trades HTTP/1.1\r\nA: b\r\n\r\n"
        let parts = ByteBuffer(string: text).cut(at: [20])
        _ = server.receive(parts[0], date: Sample.date, now: .at(1))
        for _ in 0..<3 {
            var copy = server.copy()
            let action = copy.receive(parts[1], date: Sample.date, now: .at(1))
            guard case .request(let request) = action else { throw UnexpectedAction(action: "\(action)") }
            #expect(request.head.fields.first("A") == "b")
        }
    }

    // MARK: The request

    @Test func readsAll() throws {
        let opening = try Sample.opening(
            "/trades?a",
            replacing: ["Sec-WebSocket-Protocol": "amqp, x-kaazing-handshake, stomp"],
            adding: ["Authorization: Basic opening", "Origin: http://page.example"]
        )
        let request = try Self.extended(
            "POST /trades?b HTTP/1.1\r\nHost: EXAMPLE.com:8080\r\nSec-WebSocket-Protocol: \r\n"
                + "sec-websocket-protocol: mqtt, x-kaazing-handshake, amqp\r\nSec-WebSocket-Extensions: x-a; b=c,x-d\r\n"
                + "X-Desk: 7\r\nOrigin: http://evil.example\r\nContent-Length: 5\r\n\r\nhello",
            opening: opening
        )
        #expect(request.method == "POST")
        #expect(request.path == "/trades")
        #expect(request.query == "b")
        #expect(request.opening.query == "a")
        #expect(request.opening.origin == "http://page.example")
        #expect(request.subprotocols == ["amqp", "stomp", "mqtt"])
        #expect(request.extensionOffers.map(\.description) == ["x-a; b=c", "x-d"])
        #expect(request.fields[.init("X-Desk")!] == "7")
        #expect(request.body.text == "hello")
        #expect(request.authorization == "Basic opening")
        #expect(request.round == 0)
    }

    @Test func itsOwnCredentialsWin() throws {
        let opening = try Sample.opening(adding: ["Authorization: Basic opening"])
        let text = "GET /trades HTTP/1.1\r\nAuthorization: Basic own\r\n\r\n"
        #expect(try Self.extended(text, opening: opening).authorization == "Basic own")
    }

    /// D14, threat E4: the path is that of the opening; the authority too, where there is one.
    @Test(
        arguments: [
            ("GET /trades?other HTTP/1.1\r\n\r\n", nil), ("GET /admin HTTP/1.1\r\n\r\n", 400),
            ("GET /trades/ HTTP/1.1\r\n\r\n", 400), ("GET /Trades HTTP/1.1\r\n\r\n", 400),
            ("GET /trades;x HTTP/1.1\r\n\r\n", 400), ("GET /trades HTTP/1.1\r\nHost: example.com\r\n\r\n", 400),
            ("GET /trades HTTP/1.1\r\nHost: other:8080\r\n\r\n", 400), ("GET /trades HTTP/1.1\r\nHost: \r\n\r\n", 400),
            ("GET /trades HTTP/1.1\r\nHost: example.com:8080\r\n\r\n", nil),
            ("GET /trades HTTP/1.1\r\nSec-WebSocket-Protocol: a b\r\n\r\n", 400),
            ("GET /trades HTTP/1.1\r\nSec-WebSocket-Extensions: a;\r\n\r\n", 400),
            ("GET /trades HTTP/1.1\r\nSec-WebSocket-Extensions: \r\n\r\n", nil),
            ("GET /trades HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("GET /trades HTTP/1.1\r\nExpect: more\r\n\r\n", 417),
        ] as [(String, Int?)]
    )
    func aRequestThatDoesNotFit(text: String, status: Int?) throws {
        #expect(try Self.step(text) == status.map { .refuse(status: $0, close: 1000) } ?? .request)
    }

    @Test func aDefaultPortIsAsGoodAsNone() throws {
        let opening = try Sample.opening(replacing: ["Host": "example.com"])
        let server = try Sample.serverMachine(opening)
        #expect(try Self.step("GET /trades HTTP/1.1\r\nHost: example.com:80\r\n\r\n", server) == .request)
    }

    /// KHP-E8.
    @Test(arguments: [
        "x-opened", "x-opened; b=1", "x-a, x-opened", "x-a, x-a", "x-a; b=1, x-a; b=1",
        "x-a\r\nSec-WebSocket-Extensions: x-a",
    ])
    func anExtensionAskedForTwice(value: String) throws {
        let server = try Sample.serverMachine(negotiated: [.init(name: "x-opened", layer: .opening)])
        let text = "GET /trades HTTP/1.1\r\nSec-WebSocket-Extensions: \(value)\r\n\r\n"
        #expect(try Self.step(text, server) == .refuse(status: 400, close: 1011))
        // The same name with other parameters is an alternative (RFC 6455 section 9.1).
        let alternatives = "GET /trades HTTP/1.1\r\nSec-WebSocket-Extensions: x-a; b=1, x-a; b=2\r\n\r\n"
        #expect(try Self.step(alternatives, server) == .request)
    }

    /// D9: fields that have no meaning here are harmless.
    @Test(arguments: [
        "Upgrade: websocket", "Sec-WebSocket-Key: x", "Sec-WebSocket-Version: 13", "Referer: x", "Accept-Encoding: x",
        "Via: x", "TE: x", "Proxy-Anything: x", "Date: x", "Keep-Alive: x", "Sec-Challenge-Identity: x",
        "Host: example.com:8080", "Connection: Upgrade", "Cookie: a", "Origin: a", "User-Agent: a", "X-A: b",
        "Sec-WebSocket-Protocol: a", "Sec-WebSocket-Extensions: a", "Authorization: a",
    ])
    func harmlessFields(line: String) throws {
        let text = "GET /trades HTTP/1.1\r\n\(line)\r\n\r\n"
        #expect(try Self.step(text) == .request)
    }

    // MARK: Bytes that are no request (D6, D13, D19)

    @Test(arguments: [
        "Hello", "h", "get / HTTP/1.1\r\n\r\n", " GET / HTTP/1.1\r\n\r\n", "\r\nGET /trades HTTP/1.1\r\n\r\n",
        "GETX", "GET  ", "FOO /trades HTTP/1.1\r\n\r\n", "xyz\r\n\r\n", "\u{F0FF}N", "GET /trades HTTP/1.1\n\n",
        "GET /trades HTTP/1.1\r\nA : b\r\n\r\n", "GET /trades HTTP/1.1\r\n\r\nhello", "{\"a\":1}",
        "GET /trades HTTP/1.1\r\n\r\nGET /trades HTTP/1.1\r\n\r\n", "GET /trades HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "GET /trades HTTP/1.1\r\nContent-Length: 1\r\n\r\nab", "GET /trades FTP/1.1\r\n\r\n",
    ])
    func isRefusedAtOnce(text: String) throws {
        #expect(try Self.step(text) == .refuse(status: 400, close: 1002))
    }

    @Test(arguments: [
        "", "G", "GE", "GET", "GET ", "GET /", "HEAD", "H", "V", "VERSION-CONTROL", "UPDATEREDIRECTREF ",
        "GET /trades HTTP/1.1\r\n", "GET /trades HTTP/1.1\r\nX: y",
    ])
    func aTruePrefixWaits(text: String) throws {
        #expect(try Self.step(text) == .none)
    }

    @Test func aPrefixIsLookedAtAcrossMessages() throws {
        var server = try Sample.serverMachine()
        for part in ["", "G", "E"] {
            #expect(ServerStep(server.receive(ByteBuffer(string: part), date: Sample.date, now: .at(1))) == .none)
        }
        let action = server.receive(ByteBuffer(string: "E"), date: Sample.date, now: .at(1))
        #expect(ServerStep(action) == .refuse(status: 400, close: 1002))
        #expect(server.deadline == nil)
    }

    @Test(arguments: [("HTTP/1.0", 505), ("HTTP/2.0", 505), ("HTTP/1.2", 505)]) func otherVersions(
        version: String,
        status: Int
    )
        throws
    {
        #expect(try Self.step("GET /trades \(version)\r\n\r\n") == .refuse(status: status, close: 1002))
    }

    @Test func tooMuchIsTooMuch() throws {
        let bulk = String(repeating: "x", count: 20000)
        #expect(try Self.step("GET /\(bulk)") == .refuse(status: 414, close: 1009))
        #expect(try Self.step("GET /trades HTTP/1.1\r\nX: \(bulk)") == .refuse(status: 431, close: 1009))
        let wide = (0..<4).map { "X-\($0): \(bulk.prefix(8000))\r\n" }.joined()
        #expect(try Self.step("GET /trades HTTP/1.1\r\n\(wide)") == .refuse(status: 431, close: 1009))
        let many = (0..<101).map { "X-\($0): y\r\n" }.joined()
        #expect(try Self.step("GET /trades HTTP/1.1\r\n\(many)\r\n") == .refuse(status: 431, close: 1008))
        let long = "GET /trades HTTP/1.1\r\nContent-Length: 65537\r\n\r\n"
        #expect(try Self.step(long) == .refuse(status: 413, close: 1009))
        let huge = "GET /trades HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n"
        #expect(try Self.step(huge) == .refuse(status: 400, close: 1002))
    }

    @Test func sixteenMessagesAndNoMore() throws {
        let bytes = Self.request
        for count in 1...18 {
            var server = try Sample.serverMachine()
            let steps = bytes.cut(at: Array(1..<count)).map {
                ServerStep(server.receive($0, date: Sample.date, now: .at(1)))
            }
            #expect(steps.prefix(min(count, 17) - 1).allSatisfy { $0 == .none })
            #expect(steps[min(count, 17) - 1] == (count <= 16 ? .request : .refuse(status: 400, close: 1008)))
        }
    }

    // MARK: Content

    @Test func asksForTheBodyThatIsHeldBack() throws {
        let head = "POST /trades HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        var server = try Sample.serverMachine()
        guard case .sendContinue(let message) = server.receive(.init(string: head), date: Sample.date, now: .at(1))
        else {
            Issue.record("100 was not sent")
            return
        }
        #expect(message.bytes.text == "HTTP/1.1 100 Continue\r\n\r\n")
        #expect(server.deadline == .at(10))
        #expect(ServerStep(server.receive(.init(string: "he"), date: Sample.date, now: .at(2))) == .none)
        guard case .request(let request) = server.receive(.init(string: "llo"), date: Sample.date, now: .at(3)) else {
            Issue.record("no request")
            return
        }
        #expect(request.body.text == "hello")
        // A client that sends the body without waiting is not asked for it.
        #expect(try Self.step(head + "hello") == .request)
        #expect(try Self.step(head + "he") == .none)
        #expect(try Self.step(head.replacing("Content-Length: 5", with: "Content-Length: 0")) == .request)
        #expect(try Self.step(head.replacing("Expect: 100-continue\r\n", with: "")) == .none)
    }

    @Test func refusesBeforeItAsksForTheBody() throws {
        let head = "POST /trades HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n"
        let refused = ServerStep.refuse(status: 400, close: 1000)
        for (path, field) in [("/o", "A: b"), ("/trades", "Host: other"), ("/trades", "Sec-WebSocket-Protocol: a b")] {
            #expect(try Self.step(head.replacing("/trades", with: path) + field + "\r\n\r\n") == refused)
        }
    }

    // MARK: Answers

    /// D10.
    @Test func completesWithTheSameAcceptValue() throws {
        var server = try Sample.serverMachine(
            try Sample.opening(replacing: ["Sec-WebSocket-Protocol": "x-kaazing-handshake, amqp"])
        )
        let text = "GET /trades HTTP/1.1\r\nSec-WebSocket-Extensions: x-example, x-other\r\n\r\n"
        _ = server.receive(ByteBuffer(string: text), date: Sample.date, now: .at(1))
        let extensions = ["x-example", "x-other"].map { NegotiatedExtension(name: $0, layer: .extended) }
        let negotiated = Agreement(subprotocol: "amqp", extensions: extensions)
        let (step, message) = try Self.respond(.complete(), negotiated, server)
        #expect(step == .open(status: 101))
        let lines = [
            "Sec-WebSocket-Extensions: x-example", "Sec-WebSocket-Extensions: x-other", "Sec-WebSocket-Protocol: amqp",
        ]
        #expect(message == Sample.switching(adding: lines).text)
    }

    @Test func completesWithoutMore() throws {
        let (step, message) = try Self.respond(.complete())
        #expect(step == .open(status: 101))
        #expect(message == Sample.switching().text)
        #expect(message.utf8.count == 201 - "Kaazing Gateway".utf8.count + "swift-khp".utf8.count)
    }

    @Test(arguments: [
        (204, "HTTP/1.1 204 No Content\r\nDate: \(Sample.date)\r\n\r\n"),
        (205, "HTTP/1.1 205 Reset Content\r\nDate: \(Sample.date)\r\n\r\n"),
        (
            201,
            "HTTP/1.1 201 Created\r\nContent-Type: text/plain; charset=utf-8\r\nDate: \(Sample.date)\r\n"
                + "Content-Length: 9\r\n\r\nsession 7"
        ),
    ])
    func completesOtherwise(status: Int, text: String) throws {
        let (step, message) = try Self.respond(
            HandshakeResponse(status: status, body: status == 201 ? ByteBuffer(string: "session 7") : nil)
        )
        #expect(step == .open(status: status))
        #expect(message == text)
    }

    @Test func everyStatusIsFollowedByWhatItMeans() throws {
        for status in 100...699 {
            let (step, message) = try Self.respond(
                HandshakeResponse(status: status, headers: status == 401 ? [.wwwAuthenticate: "Basic realm=x"] : [:])
            )
            let expected: ServerStep =
                switch status {
                case 101, 201, 204, 205: .open(status: status)
                case 202: .waitForAnswer(status: status, until: .at(32))
                case 401: .waitForReplay(status: status, until: .at(62))
                default: .close(status: status, code: 1000)
                }
            #expect(step == expected, "\(status)")
            #expect(message.hasPrefix("HTTP/1.1 \(status) "))
            let isEndedByItsHead = status < 200 || [204, 205, 304].contains(status)
            #expect(message.hasSuffix("\r\n\r\n") == isEndedByItsHead, "\(status)")
            #expect(message.contains("Content-Length: ") != isEndedByItsHead, "\(status)")
        }
    }

    @Test(arguments: [-1, 0, 99, 1000]) func noStatusIs500(status: Int) throws {
        #expect(try Self.respond(HandshakeResponse(status: status)).0 == .close(status: 500, code: 1011))
    }

    @Test func refusesInTheFormOfD10() throws {
        let fields: HTTPFields = [
            .location: "/moved", .init("X-Why")!: "because", .contentLength: "999", .transferEncoding: "chunked",
            .upgrade: "TLS/1.2",
        ]
        let (_, message) = try Self.respond(HandshakeResponse(status: 302, headers: fields))
        #expect(
            message
                == [
                    "HTTP/1.1 302 Found", "Content-Type: text/plain; charset=utf-8", "Date: \(Sample.date)",
                    "Location: /moved", "X-Why: because", "Upgrade: TLS/1.2", "Content-Length: 10", "", "302 Found\n",
                ].joined(separator: "\r\n")
        )
        let own = HandshakeResponse(
            status: 403,
            reason: "No",
            headers: [.contentType: "text/html"],
            body: ByteBuffer(string: "<h1>")
        )
        let text = "HTTP/1.1 403 No\r\nContent-Type: text/html\r\nDate: \(Sample.date)\r\nContent-Length: 4\r\n\r\n<h1>"
        #expect(try Self.respond(own).1 == text)
    }

    /// No answer of an endpoint can break the correspondence that a client checks (KHP-E10, KHP-E14, KHP-E19).
    @Test func anAnswerThatDoesNotFitIs500() throws {
        let answers: [(HandshakeResponse, Agreement)] = [
            (.complete(), Agreement(subprotocol: "stomp")),
            (.created(""), Agreement(subprotocol: "x-kaazing-handshake")),
            (.complete(), Agreement(extensions: [.init(name: "x-unasked", layer: .extended)])),
            (HandshakeResponse(status: 401), Agreement()),
        ]
        for (answer, negotiated) in answers {
            #expect(try Self.respond(answer, negotiated).0 == .close(status: 500, code: 1011))
        }
    }

    @Test func headGetsNoContent() throws {
        var server = try Sample.serverMachine()
        _ = server.receive(Sample.head("HEAD /trades HTTP/1.1"), date: Sample.date, now: .at(1))
        let (_, message) = try Self.respond(HandshakeResponse(status: 405), Agreement(), server)
        #expect(message.hasSuffix("Content-Length: 103\r\n\r\n"))
    }

    @Test func anAnswerOutOfTurnIsNothing() throws {
        #expect(try Self.respond(.complete(), Agreement(), Sample.serverMachine()).0 == .none)
        var done = try Self.answering()
        _ = done.respond(.complete(), date: Sample.date, now: .at(2))
        #expect(try Self.respond(.complete(), Agreement(), done).0 == .none)
    }

    // MARK: Messages out of turn (KHP-E3)

    @Test func aMessageBeforeTheAnswerIsAViolation() throws {
        for message in [ByteBuffer(), ByteBuffer(string: "hello"), Self.request] {
            var server = try Self.answering()
            let action = server.receive(message, date: Sample.date, now: .at(2))
            #expect(ServerStep(action) == .refuse(status: 400, close: 1002))
            #expect(server.deadline == nil)
            #expect(try Self.respond(.complete(), Agreement(), server).0 == .none)
        }
        var processing = try Self.answering()
        _ = processing.respond(HandshakeResponse(status: 202), date: Sample.date, now: .at(2))
        let action = processing.receive(Self.request, date: Sample.date, now: .at(3))
        #expect(ServerStep(action) == .refuse(status: 400, close: 1002))
    }

    @Test func nothingHappensAfterTheEnd() throws {
        for status in [101, 302, 403] {
            var server = try Self.answering()
            _ = server.respond(HandshakeResponse(status: status), date: Sample.date, now: .at(2))
            #expect(server.deadline == nil)
            #expect(ServerStep(server.receive(Self.request, date: Sample.date, now: .at(3))) == .none)
            #expect(ServerStep(server.deadlineReached(date: Sample.date, now: .at(99))) == .none)
        }
    }

    /// D10: the 400 of the machine itself looks like any refusal.
    @Test func refusalsAreReadable() throws {
        var server = try Sample.serverMachine()
        let action = server.receive(ByteBuffer(string: "Hello"), date: Sample.date, now: .at(1))
        guard case .refuse(let message?, _, let explanation) = action else {
            Issue.record("not refused")
            return
        }
        let text = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nDate: \(Sample.date)\r\n"
        #expect(explanation == "The message is no HTTP request.")
        let entity = "400 Bad Request\n\(explanation) Trying the same again does not help.\n"
        #expect(message.bytes.text == text + "Content-Length: 85\r\n\r\n" + entity)
    }

    // MARK: Deadlines (D15, D17)

    @Test func silenceEndsAtTheDeadline() throws {
        var server = try Sample.serverMachine()
        #expect(server.deadline == .at(10))
        for (second, part) in [(3.0, "GET /tr"), (6, "ades "), (9, "HTTP/1.1\r\n")] {
            _ = server.receive(ByteBuffer(string: part), date: Sample.date, now: .at(second))
            #expect(server.deadline == .at(10))
        }
        #expect(ServerStep(server.deadlineReached(date: Sample.date, now: .at(9.999))) == .none)
        #expect(
            ServerStep(server.deadlineReached(date: Sample.date, now: .at(10))) == .refuse(status: nil, close: 1008)
        )
    }

    @Test func aLateEndpointAnswers503() throws {
        var server = try Self.answering()
        #expect(server.deadline == .at(10))
        #expect(
            ServerStep(server.deadlineReached(date: Sample.date, now: .at(10))) == .refuse(status: 503, close: 1008)
        )
        #expect(try Self.respond(.complete(), Agreement(), server).0 == .none)
    }

    @Test func aChallengeStartsTheWaitForTheReplay() throws {
        var server = try Self.answering()
        let action = server.respond(Self.challenge, date: Sample.date, now: .at(9))
        #expect(ServerStep(action) == .waitForReplay(status: 401, until: .at(69)))
        #expect(server.deadline == .at(69))
        _ = server.receive(ByteBuffer(string: "GET /"), date: Sample.date, now: .at(60))
        #expect(server.deadline == .at(69))
        var silent = server
        #expect(ServerStep(silent.deadlineReached(date: Sample.date, now: .at(68))) == .none)
        #expect(
            ServerStep(silent.deadlineReached(date: Sample.date, now: .at(69))) == .refuse(status: nil, close: 1008)
        )
        let rest = ByteBuffer(string: "trades HTTP/1.1\r\nAuthorization: Basic x\r\n\r\n")
        guard case .request(let replay) = server.receive(rest, date: Sample.date, now: .at(61)) else {
            Issue.record("no replay")
            return
        }
        #expect(replay.authorization == "Basic x")
        #expect(replay.round == 1)
        #expect(server.deadline == .at(71))
        let done = server.respond(.complete(), date: Sample.date, now: .at(62))
        #expect(ServerStep(done) == .open(status: 101))
    }

    @Test func threeWaitsWithinTheTimeOfTheFirst() throws {
        var server = try Self.answering()
        for second in [5.0, 20, 30] {
            let action = server.respond(HandshakeResponse(status: 202), date: Sample.date, now: .at(second))
            #expect(ServerStep(action) == .waitForAnswer(status: 202, until: .at(35)))
        }
        var late = server
        #expect(ServerStep(late.deadlineReached(date: Sample.date, now: .at(35))) == .refuse(status: 503, close: 1008))
        var done = server
        #expect(ServerStep(done.respond(.complete(), date: Sample.date, now: .at(31))) == .open(status: 101))
        let fourth = server.respond(HandshakeResponse(status: 202), date: Sample.date, now: .at(31))
        #expect(ServerStep(fourth) == .close(status: 503, code: 1000))
    }

    // MARK: Challenges (D18)

    @Test(arguments: [false, true]) func threeWrongAnswersAre403(startsWithCredentials: Bool) throws {
        var server = try Sample.serverMachine()
        let replay = Sample.head("GET /trades HTTP/1.1", "Authorization: Basic x")
        var steps: [ServerStep] = []
        for round in 0... {
            let message = round == 0 && !startsWithCredentials ? Self.request : replay
            let received = ServerStep(server.receive(message, date: Sample.date, now: .at(1)))
            #expect(received == .request)
            steps.append(ServerStep(server.respond(Self.challenge, date: Sample.date, now: .at(2))))
            if case .close = steps[round] { break }
            #expect(round < 10)
            if round > 10 { return }
        }
        let challenges = [ServerStep](
            repeating: .waitForReplay(status: 401, until: .at(62)),
            count: startsWithCredentials ? 2 : 3
        )
        #expect(steps == challenges + [.close(status: 403, code: 1000)])
    }

    /// A replay without credentials is as wrong as one with the wrong ones.
    @Test func replaysWithoutCredentialsCount() throws {
        var server = try Sample.serverMachine()
        var statuses: [ServerStep] = []
        for _ in 0..<4 {
            _ = server.receive(Self.request, date: Sample.date, now: .at(1))
            statuses.append(ServerStep(server.respond(Self.challenge, date: Sample.date, now: .at(2))))
        }
        #expect(statuses.last == .close(status: 403, code: 1000))
    }
}
