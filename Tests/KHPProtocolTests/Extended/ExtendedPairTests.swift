// Both halves played against each other in memory, at every cut of every message, and under arbitrary bytes.

import HTTPTypes
import KHPProtocol
import NIOCore
import Testing

@Suite struct ExtendedPairTests {
    private struct Conversation {
        var client: ExtendedClient
        var server: ExtendedServer
        /// The endpoint's answers, request by request.
        var answers: [HandshakeResponse]
        /// The selection of the answer that completes.
        var negotiated = Agreement()
        /// Where each message from either side is cut into several.
        var cuts: [Int] = []
        var requests: [ExtendedRequest] = []
        var opened: Agreement?
        var result: ClientStep = .none
        var completed: ExtendedResult?

        mutating func run() {
            self.toServer(self.client.start(now: .at(0)))
        }

        private mutating func toServer(_ message: ByteBuffer) {
            for part in message.cut(at: self.cuts.filter { $0 < message.readableBytes }) {
                switch self.server.receive(part, date: Sample.date, now: .at(1)) {
                case .none: break
                case .request(let request):
                    self.requests.append(request)
                    self.answer()
                case .sendContinue(let message): self.toClient(message.bytes)
                case .refuse(let message, _, _):
                    if let message { self.toClient(message.bytes) }
                case .send: Issue.record("nothing to send yet")
                }
            }
        }

        private mutating func answer() {
            guard !self.answers.isEmpty else { return }
            guard
                case .send(let message, let next) = self.server.respond(
                    self.answers.removeFirst(),
                    negotiated: self.negotiated,
                    date: Sample.date,
                    now: .at(1)
                )
            else { return }
            if case .open(let negotiated) = next { self.opened = negotiated }
            self.toClient(message.bytes)
            if case .waitForAnswer = next { self.answer() }
        }

        private mutating func toClient(_ message: ByteBuffer) {
            for part in message.cut(at: self.cuts.filter { $0 < message.readableBytes }) {
                let action = self.client.receive(part, now: .at(1))
                let step = ClientStep(action)
                if step != .none { self.result = step }
                switch action {
                case .complete(let result): self.completed = result
                case .sendBody(let body, _): self.toServer(body)
                case .challenge:
                    guard let replay = self.client.authorize("Basic am9lOndlbGNvbWU=", now: .at(1)) else { break }
                    self.toServer(replay)
                default: break
                }
            }
        }
    }

    private static func conversation(cuts: [Int] = []) throws -> Conversation {
        let plan = try Sample.clientPlan(
            method: "POST",
            subprotocols: ["stomp", "amqp"],
            extensions: [NamedExtension("x-example"), NamedExtension("x-other")],
            fields: [.init("X-Desk")!: "7"],
            body: "hello"
        )
        return Conversation(
            client: ExtendedClient(plan),
            server: try Sample.serverMachine(),
            answers: [
                .challenge("Application Basic realm=\"desk\""), HandshakeResponse(status: 202), .complete(),
            ],
            negotiated: Agreement(subprotocol: "amqp", extensions: [.init(name: "x-other", layer: .extended)]),
            cuts: cuts
        )
    }

    private static func check(_ conversation: Conversation, _ comment: Comment) {
        #expect(conversation.result == .complete(status: 101), comment)
        #expect(
            conversation.opened
                == Agreement(subprotocol: "amqp", extensions: [.init(name: "x-other", layer: .extended)]),
            comment
        )
        #expect(conversation.completed?.subprotocol == "amqp", comment)
        #expect(conversation.completed?.extensions.negotiated.map(\.name) == ["x-other"], comment)
        #expect(conversation.requests.count == 2, comment)
        #expect(conversation.requests.map(\.body.text) == ["hello", "hello"], comment)
        #expect(conversation.requests.last?.authorization == "Basic am9lOndlbGNvbWU=", comment)
        #expect(conversation.requests.last?.subprotocols == ["stomp", "amqp"], comment)
        #expect(conversation.requests.last?.fields[.init("X-Desk")!] == "7", comment)
    }

    @Test func fourMessagesEachWay() throws {
        var conversation = try Self.conversation()
        conversation.run()
        Self.check(conversation, "whole")
    }

    @Test func everyCutOfEveryMessage() throws {
        for place in 1..<400 {
            var conversation = try Self.conversation(cuts: [place])
            conversation.run()
            Self.check(conversation, "cut at \(place)")
        }
    }

    @Test func manyCuts() throws {
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<300 {
            let cuts = Set((0..<14).map { _ in Int.random(in: 1..<300, using: &generator) }).sorted()
            var conversation = try Self.conversation(cuts: cuts)
            conversation.run()
            Self.check(conversation, "cuts at \(cuts)")
        }
    }

    /// Every status that a server can answer leads the client to the table's action, and both agree on being open.
    @Test func everyStatusAcross() throws {
        for status in 100...699 where status != 202 && status != 401 {
            var conversation = Conversation(
                client: ExtendedClient(try Sample.clientPlan()),
                server: try Sample.serverMachine(),
                answers: [HandshakeResponse(status: status)]
            )
            conversation.run()
            let completes = StatusAction.action(forStatus: status) == .complete
            #expect((conversation.opened != nil) == completes, "\(status)")
            #expect((conversation.result == .complete(status: status)) == completes, "\(status)")
            if case .fail(let code, let close) = conversation.result {
                #expect(code == .extendedRefused)
                #expect(close == (300...599 ~= status ? 1000 : 1011), "\(status)")
            }
        }
    }

    /// The commonest request, of which every prefix is one that waits (D19), at every pair of cuts.
    @Test func everyTwoCutsOfAPlainRequest() throws {
        let length = "GET /trades HTTP/1.1\r\n\r\n".utf8.count
        for first in 1..<length {
            for second in first..<length {
                var conversation = Conversation(
                    client: ExtendedClient(try Sample.clientPlan()),
                    server: try Sample.serverMachine(),
                    answers: [.complete()],
                    cuts: first == second ? [first] : [first, second]
                )
                conversation.run()
                #expect(conversation.result == .complete(status: 101), "cuts at \(first) and \(second)")
            }
        }
    }

    // MARK: Arbitrary bytes

    /// Valid messages with bytes changed, cut, repeated: always an action, never a trap, and an open end only with a
    /// message that is whole.
    @Test func mutatedBytesAreAnsweredOrWaitedFor() throws {
        var generator = SeededGenerator(seed: 11)
        let opening = try Sample.opening()
        let plan = try Sample.clientPlan(subprotocols: ["amqp"], extensions: [NamedExtension("x-example")])
        let requests = [
            "GET /trades HTTP/1.1\r\nHost: example.com:8080\r\nSec-WebSocket-Extensions: a; b=\"c\", d\r\n\r\n",
            "POST /trades HTTP/1.1\r\nSec-WebSocket-Protocol: a, b\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
        ].map { Array($0.utf8) }
        let responses = [
            Array(Sample.switching(adding: ["Sec-WebSocket-Extensions: x-example"]).readableBytesView),
            Array(Sample.response(401, fields: ["WWW-Authenticate: Basic"], content: "no").readableBytesView),
        ]
        for _ in 0..<20000 {
            let request = generator.mutated(requests.randomElement(using: &generator) ?? [])
            var server = try Sample.serverMachine(opening)
            for part in ByteBuffer(bytes: request).cut(at: [request.count / 2]) {
                _ = server.receive(part, date: Sample.date, now: .at(1))
                _ = server.respond(
                    HandshakeResponse(status: Int.random(in: 0...700, using: &generator)),
                    date: "",
                    now: .at(1)
                )
            }
            _ = server.deadlineReached(date: "", now: .at(1000))
            #expect(server.deadline == nil)
            let response = generator.mutated(responses.randomElement(using: &generator) ?? [])
            var client = ExtendedClient(plan)
            _ = client.start(now: .at(0))
            for part in ByteBuffer(bytes: response).cut(at: [response.count / 2]) {
                _ = client.receive(part, now: .at(1))
            }
            _ = client.deadlineReached(now: .at(1000))
            #expect(client.deadline == nil)
        }
    }
}
