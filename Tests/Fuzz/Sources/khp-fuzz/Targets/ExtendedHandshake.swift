// Both halves of the extended handshake on their own: messages in, and out only what the other half can read.

import HTTPTypes
import KHPProtocol
import NIOCore

extension FuzzTarget {
    private static let now = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private static let date = "Sun, 06 Nov 1994 08:49:37 GMT"

    static let extendedRequests = FuzzTarget(name: "extended-requests") { seeds in
        seeds.heads(of: .client).deciding([[0, 0, 0], [1, 5, 1], [2, 9, 0], [3, 0, 0]])
    } run: { input in
        var input = input
        let answer = [101, 401, 202, 302][input.choice(4)]
        var cuts = input.cuts()
        let legacy = [KaazingLegacy.off, .full][input.choice(2)]
        guard let opening = Self.opening(legacy) else { return check(false, "the opening is our own") }
        let machine = ExtendedServer(
            opening: opening,
            acceptValue: AcceptValue("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            server: "fuzz",
            legacy: legacy,
            url: try? WebSocketURL("ws://localhost:8001/echo"),
            now: now
        )
        let content = input.content
        let whole = Self.serve(machine, [ByteBuffer(bytes: content)], answer: answer)
        check(whole.rounds <= 5, "\(whole.rounds) requests are asked about")
        // Messages have a number at which it ends; below it their borders are none of the request's.
        let pieces = cuts.pieces(of: content)
        guard pieces.count > 0, pieces.count <= 16 else { return }
        let cut = Self.serve(machine, pieces, answer: answer)
        guard whole.rounds == 1, answer == 101, whole.request != nil else { return }
        check(cut.request == whole.request || content.contains { $0 == 0 } || cut.isContinued, "cut it is another one")
    }

    /// A server's answers to some messages.
    private struct Service {
        var rounds = 0
        var request: RequestHead?
        var isContinued = false
    }

    private static func opening(_ legacy: KaazingLegacy) -> OpeningRequest? {
        var fields = HeadFields()
        let values = [
            ("Host", "localhost:8001"), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Protocol", "x-kaazing-handshake"),
        ]
        for (name, value) in values { fields.append(name, value) }
        let target = legacy == .off ? "/echo" : "/echo?.kl=Y"
        return try? OpeningServer.check(RequestHead(method: "GET", target: target, fields: fields))
    }

    private static func serve(_ machine: ExtendedServer, _ messages: [ByteBuffer], answer: Int) -> Service {
        var machine = machine.copy()
        var service = Service()
        var deadline = machine.deadline
        func take(_ action: ExtendedServer.Action) {
            switch action {
            case .none: break
            case .request(let request):
                service.rounds += 1
                service.request = request.head
                check(request.path == "/echo", "a request for \(request.path)")
                check(request.subprotocols.allSatisfy { Token.isToken($0) }, "a subprotocol is no token")
                var fields = HTTPFields()
                if answer == 401 { fields[.wwwAuthenticate] = "Basic realm=\"a\"" }
                if answer == 302 { fields[.location] = "/elsewhere" }
                let answer = HandshakeResponse(status: answer, headers: fields)
                let negotiated = Agreement(subprotocol: request.subprotocols.first)
                take(machine.respond(answer, negotiated: negotiated, date: date, now: now))
            case .sendContinue: service.isContinued = true
            case .refuse(let message, let code, _):
                check(code.isValidOnWire, "a close code of \(code)")
                if let message { read(message.bytes) }
            case .send(let message, _): read(message.bytes)
            }
        }
        for message in messages { take(machine.receive(message, date: date, now: now)) }
        // Time ends it, unless it has ended.
        for _ in 0..<4 {
            deadline = machine.deadline
            guard let until = deadline else { break }
            take(machine.deadlineReached(date: date, now: until))
        }
        check(machine.deadline == nil, "no time ends it")
        return service
    }

    /// Every message that is sent can be read.
    private static func read(_ message: ByteBuffer) {
        var message = message
        var decoder = ResponseHeadDecoder(limits: .opening)
        check((try? decoder.decode(&message)) != nil, "the answer is none: \(String(buffer: message))")
    }

    static let extendedResponses = FuzzTarget(name: "extended-responses") { seeds in
        let balancer = Array("\u{F0FF}N".utf8)
        return (seeds.heads(of: .server) + [balancer, Array("\u{F0FF}Rws://b.example/".utf8)])
            .deciding([[0, 0, 0], [1, 5, 0], [2, 0, 1], [2, 9, 0]])
    } run: { input in
        var input = input
        let legacy = [KaazingLegacy.off, .terminator, .full][input.choice(3)]
        var cuts = input.cuts()
        let hasBody = input.flag()
        guard let url = try? WebSocketURL("ws://localhost:8001/echo"),
            let extensions = try? OfferedExtensions([NamedExtension("x-one"), PerMessageDeflate()])
        else { return check(false, "these are our own") }
        let plan = ExtendedClientPlan(
            url: url,
            subprotocols: ["chat", "amqp"],
            extensions: extensions,
            body: hasBody ? ByteBuffer(string: "body") : nil,
            acceptValue: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            legacy: legacy
        )
        var client = ExtendedClient(plan)
        _ = client.begin(now: now)
        var ends = 0
        func take(_ action: ExtendedClient.Action) {
            switch action {
            case .none, .waiting, .settled, .sendBody, .continued: break
            case .sendRequest(let request):
                check(request.readableBytes > 0, "an empty request")
            case .complete(let result):
                ends += 1
                check([101, 201, 204, 205].contains(result.status), "\(result.status) completes")
                check(result.subprotocol.map { ["chat", "amqp"].contains($0) } ?? true, "an unasked subprotocol")
                let names = result.extensions.negotiated.map(\.name)
                check(names.allSatisfy { ["x-one", "permessage-deflate"].contains($0) }, "unasked: \(names)")
            case .challenge(let response):
                check(response.status == 401, "\(response) is a challenge")
                _ = client.authorize("Basic am9lOndlbGNvbWU=", now: now)
            case .redirect, .choose, .upgrade, .proxyAuthentication, .balanced, .challengeAfresh: ends += 1
            case .fail(let error, let code):
                ends += 1
                check(code.isValidOnWire, "a close code of \(code)")
                check(!error.description.contains("welcome"), "an error tells the password")
            }
        }
        for message in cuts.pieces(of: input.content) { take(client.receive(message, now: now)) }
        for _ in 0..<8 {
            guard let until = client.deadline else { break }
            take(client.deadlineReached(now: until))
        }
        check(client.deadline == nil, "no time ends it")
        check(ends <= 1, "it ends \(ends) times")
    }
}
