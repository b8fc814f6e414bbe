// A server's decisions about whatever a client asks for, at endpoints of all kinds, with an application that answers
// anything: nobody is let in without an answer that lets in, and what is sent can be read.

import HTTPTypes
import KHPProtocol
import NIOCore

extension FuzzTarget {
    static let decisions = FuzzTarget(name: "decisions") { seeds in
        let head = "GET /echo?.kl=Y HTTP/1.1\r\nHost: a.example\r\n"
        let socket =
            "\(head)Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        let inside = "Sec-WebSocket-Protocol: x-kaazing-handshake\r\n\r\n"
        let again = "GET /echo HTTP/1.1\r\nHost: a.example\r\nAuthorization: Basic am9lOmo=\r\n"
        let texts = [
            "\(socket)\r\n", "\(socket)Authorization: Basic am9lOmo=\r\nOrigin: https://a.example\r\n\r\n",
            "\(socket)Origin: http://a.example:80\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
            "\(socket)\(inside)\u{0}\(again)\r\n", "\(socket)\(inside)\u{0}\(again)\r\n\u{0}\(again)X: y\r\n\r\n",
            "GET /echo/;e/cookies?.kl=Y HTTP/1.1\r\nHost: a.example\r\nCookie: a=b\r\n\r\n",
            "GET /echo/;e/cookies?.kl=Y HTTP/1.1\r\nHost: a.example\r\nOrigin: null\r\nAuthorization: Basic am9lOmo=\r\n\r\n",
            "GET /nowhere HTTP/1.1\r\nHost: a.example.\r\n\r\n", "POST /echo HTTP/1.1\r\nHost: b.example\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n",
            "CONNECT a.example:1 HTTP/1.1\r\nHost: a.example:1\r\n\r\n",
            "GET /rooms/%ff HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\n\r\n", "GET / HTTP/1.0\r\n\r\n",
        ].map { Array($0.utf8) }
        // Each with several endpoints and with answers of many statuses.
        let plans: [[UInt8]] = (0..<12).map { number in
            [number &* 23, number &* 5, number % 4, number, number &* 19 &+ 100, number % 2, 101 + number &* 7, 201]
        }
        // Every status with a sentence of our own, once.
        let statuses: [[UInt8]] = (0..<200).map { [0, 1, 0, $0, 8, 0, 0, 0] }
        return texts.deciding(plans) + [texts[0]].deciding(statuses)
            + seeds.heads(of: .client).deciding(Array(plans.prefix(3)))
    } run: { input in
        var input = input
        guard var host = Reception(&input) else { return check(false, "the endpoints are our own") }
        var cuts = input.cuts()
        let parts = input.content.split(separator: 0, omittingEmptySubsequences: false).map { Array($0) }
        // The opening as it is; what follows is a message each.
        for piece in cuts.pieces(of: parts[0]) { host.receive(piece) }
        let writer = FrameWriter(role: .client)
        for part in parts.dropFirst().prefix(20) {
            var frame = ByteBuffer()
            writer.write(.text, payload: ByteBuffer(bytes: part), mask: 0x0102_0304, into: &frame)
            host.receive(frame)
        }
        host.finish()
    }
}

/// A server with some endpoints, one connection to it, and its application.
private struct Reception {
    private let endpoints: EndpointSet
    private let asksForCredentials: Bool
    private let isHandedOn: Bool
    private var decisions: ServerDecisions
    private var connection: Connection
    private var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private var answers: [HandshakeResponse]
    private var output = ByteBuffer()
    private var isAdmitted = false
    private var isOpen = false
    private var isOver = false

    /// Decisions: two bytes of the endpoint's, the way in, the answers' statuses two bytes each, their fields.
    init?(_ input: inout FuzzInput) {
        let bits = input.byte()
        let more = input.byte()
        var settings = ConnectionSettings()
        settings.observation = bits & 128 == 128 ? .everything : .steps
        settings.dialects = [.rfc6455, .hixie76, .hixie75, .whatwg2010]
        settings.date = { "now" }
        var values = EndpointConfiguration.Values(path: "/echo")
        values.plan.subprotocols = ["chat", "amqp"]
        values.plan.extensions = [PerMessageDeflate(), KaazingPingPong()]
        values.plan.dialects = bits & 1 == 1 ? settings.dialects : [.rfc6455]
        values.plan.kaazingLegacy = bits & 2 == 0
        values.extendedHandshake = ServerExtendedHandshake.allCases[Int(bits >> 2) % 3]
        values.authenticatesIn = [nil, .opening, .extended][Int(bits >> 4) % 3]
        values.asksApplication = more & 1 == 1
        values.asksBefore = more & 2 == 2
        if more & 64 == 64 {
            values.plan.configuration = ConnectionConfiguration(settings).with(delivery: .chunks)
        }
        self.asksForCredentials = values.authenticatesIn != nil
        do throws(WebSocketError) {
            values.origins =
                [.any, .sameOrigin, try OriginPolicy.allowing(["https://a.example", "http://a.example"])][
                    Int(more >> 2) % 3
                ]
            var room = values
            room.path = "/rooms/{id}"
            let hosts = more & 16 == 16 ? try HostPolicy.allowing(["a.example", "localhost:8001"]) : .any
            let all = [try EndpointConfiguration(values, index: 0), try EndpointConfiguration(room, index: 1)]
            self.endpoints = try EndpointSet(all, hosts: hosts)
        } catch {
            return nil
        }
        let way = input.choice(4)
        self.isHandedOn = way == 3
        let own = self.endpoints
        if self.isHandedOn { settings.isOwn = { own.owns($0) } }
        self.answers = [Self.answer(&input), Self.answer(&input)]
        self.decisions = ServerDecisions(self.endpoints)
        self.connection = Connection(
            server: ConnectionConfiguration(settings),
            isSecure: way == 1,
            opensByConnect: way == 2,
            now: self.now
        )
        self.connection.transportUp(now: self.now)
        self.connection.start(now: self.now)
        self.run()
    }

    /// The answer of an application that may be wrong in any way.
    private static func answer(_ input: inout FuzzInput) -> HandshakeResponse {
        let status = input.choice(256)
        let kind = input.byte()
        switch kind % 12 {
        case 0: return .complete(subprotocol: kind & 16 == 16 ? "chat" : nil)
        case 1: return .created("made")
        case 2: return kind & 16 == 16 ? .noContent : .resetContent
        case 3: return .redirect(to: kind & 16 == 16 ? "/else where" : "/elsewhere", status: 300 + status % 10)
        case 4: return .choices(["/a", "ws://b.example/"])
        case 5: return .challenge("Basic realm=\"a\"", "Digest realm=\"a\", nonce=\"b\"")
        case 6: return .refuse(400 + status % 200, kind & 16 == 16 ? "no" : nil)
        case 7: return .text("hello", contentType: kind & 16 == 16 ? "text/\rplain" : "text/plain")
        case 8: return HandshakeResponse(status: 400 + status)
        case 9: return .processing { .complete() }
        case 10:
            var answer = HandshakeResponse(status: 100 + status, reason: kind & 16 == 16 ? "a\nb" : "", headers: [:])
            answer.headers[.location] = kind & 32 == 32 ? "" : "/x"
            answer.headers[.cookie] = "a"
            return answer
        default: return HandshakeResponse(thrown: kind & 16 == 16 ? HandshakeResponse.refuse(status) : Nothing())
        }
    }

    private struct Nothing: Error {}

    // MARK: The connection

    mutating func receive(_ bytes: ByteBuffer) {
        guard !self.isOver else { return }
        self.connection.receive(bytes, now: self.now)
        self.run()
        check(self.isOver || self.connection.heldBytes <= 1 << 21, "\(self.connection.heldBytes) bytes are held")
    }

    private mutating func run() {
        while !self.isOver, let action = self.connection.next(now: self.now) {
            switch action {
            case .server(.decideOpening(let request)):
                let next = self.decisions.decide(request, on: &self.connection, now: self.now)
                self.take(next)
            case .server(.decideExtended(let request)): self.take(self.decisions.decide(request))
            case .server(.plainRequest(let request)):
                check(!self.isHandedOn || self.endpoints.owns(request.head), "a request of somebody else's")
                self.take(self.decisions.decide(request, on: &self.connection, now: self.now))
            case .server(.handOn(let bytes)):
                check(self.isHandedOn && bytes.bytes.readableBytes > 0, "nothing is handed on")
                self.isOver = true
            case .opened(let summary):
                check(self.isAdmitted || !self.asksForCredentials, "a socket opens for nobody")
                check(summary.subprotocol.map { ["chat", "amqp"].contains($0) } ?? true, "another subprotocol")
                guard let accepted = self.decisions.opened(on: &self.connection) else {
                    return check(false, "a socket opens that nobody accepted")
                }
                check(accepted.match.endpoint.values.path.hasPrefix("/"), "no endpoint")
                self.isOpen = true
            case .closed: self.isOver = true
            case .peerClosing: self.connection.answerHeldClose(now: self.now)
            case .message, .chunk, .pong, .client, .failed, .event, .server(.proxyHeader): break
            }
        }
        while let bytes = self.connection.output.next() { self.output.writeImmutableBuffer(bytes) }
        self.readOutput()
    }

    private mutating func take(_ next: ServerDecisions.Next) {
        var next = next
        for _ in 0..<8 {
            switch next {
            case .nothing: return
            case .completeAfterRead: return self.decisions.completeExtended(on: &self.connection, now: self.now)
            case .plain(let request):
                let isLeft = self.endpoints.leaves(request)
                check(isLeft == !OpeningServer.isWebSocketRequest(request.head), "it leaves what it answers")
                return self.decisions.refusePlain(on: &self.connection, now: self.now)
            case .wait: next = self.decisions.reply(after: self.nextAnswer(), on: &self.connection, now: self.now)
            case .ask(let question):
                next = self.decisions.reply(self.reply(to: question), on: &self.connection, now: self.now)
            }
        }
    }

    private mutating func nextAnswer() -> HandshakeResponse {
        self.answers.isEmpty ? .refuse(403) : self.answers.removeFirst()
    }

    private mutating func reply(to question: ServerQuestion) -> ServerReply {
        check(self.decisions.awaitsReply, "nothing is awaited")
        check(question.attempt >= 1 && question.attempt <= 40, "attempt \(question.attempt)")
        guard question.asksForCredentials else {
            return ServerReply(question.asksApplication ? self.nextAnswer() : question.usualResponse)
        }
        check(self.decisions.checksCredentials == (question.presented != nil), "credentials are not seen")
        guard let presented = question.presented, let login = BasicCredentials(authorization: presented.value),
            login.user == "joe"
        else { return ServerReply(.challenge("Basic realm=\"a\"")) }
        let response = question.asksApplication ? self.nextAnswer() : question.usualResponse
        self.isAdmitted = true
        return ServerReply(
            response,
            principal: Principal("joe", realm: "a", roles: ["user"]),
            sessionEnd: question.confirms ? self.now + .seconds(10) : nil
        )
    }

    /// The bytes sent begin with a response, and its head can be read, up to the first frame.
    private func readOutput() {
        guard self.output.readableBytes > 0 else { return }
        var bytes = self.output
        var decoder = ResponseHeadDecoder(limits: HeadLimits(lineBytes: 1 << 16, headBytes: 1 << 16))
        guard let head = try? decoder.decode(&bytes) else {
            return check(false, "no client can read \(String(buffer: self.output))")
        }
        check((101...999).contains(head.status), "a status of \(head.status)")
        if head.status == 101 { return }
        guard var body = try? BodyReader(of: head, limit: 1 << 20), (try? body.receive(&bytes)) != nil else {
            return check(false, "no client can read the content of \(head)")
        }
    }

    mutating func finish() {
        for _ in 0..<12 where !self.isOver && !self.isOpen {
            guard let deadline = self.connection.deadline else { break }
            self.now = max(self.now, deadline)
            self.connection.timeReached(now: self.now)
            self.run()
        }
        if !self.isOver {
            self.connection.inputClosed(now: self.now)
            self.run()
        }
        for _ in 0..<12 where !self.isOver {
            guard let deadline = self.connection.deadline else { break }
            self.now = max(self.now, deadline)
            self.connection.timeReached(now: self.now)
            self.run()
        }
        check(self.isOver, "it is still there without a client")
        self.decisions.ended()
        check(!self.decisions.awaitsReply, "an answer is awaited for nobody")
    }
}
