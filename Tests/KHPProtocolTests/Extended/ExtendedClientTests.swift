// KHP-E1 to KHP-E20 on the client's side: every state × event cell of the machine, and the close codes of D6.

import HTTPTypes
import KHPProtocol
import NIOCore
import Testing

@Suite struct ExtendedClientTests {
    /// A client that has sent its request at second 0.
    private static func started(_ plan: ExtendedClientPlan? = nil, limits: Limits = Limits()) throws -> ExtendedClient {
        var client = ExtendedClient(try plan ?? Sample.clientPlan(), limits: limits)
        _ = client.start(now: .at(0))
        return client
    }

    private static func step(_ message: ByteBuffer, _ plan: ExtendedClientPlan? = nil) throws -> ClientStep {
        var client = try started(plan)
        return ClientStep(client.receive(message, now: .at(1)))
    }

    private static func error(_ message: ByteBuffer, _ plan: ExtendedClientPlan? = nil) throws -> WebSocketError? {
        var client = try started(plan)
        guard case .fail(let error, let close) = client.receive(message, now: .at(1)) else { return nil }
        #expect(error.closeCode == close)
        #expect(error.phase == .extended)
        return error
    }

    // MARK: The request (D9)

    @Test func writesTheLeastThatADeployedGatewayTakes() throws {
        var client = ExtendedClient(try Sample.clientPlan())
        #expect(client.start(now: .at(0)).text == "GET /trades HTTP/1.1\r\n\r\n")
    }

    @Test func writesTheFieldsInTheirOrder() throws {
        var plan = try Sample.clientPlan(
            method: "POST",
            subprotocols: ["amqp", "stomp"],
            extensions: [NamedExtension("x-opened"), NamedExtension("x-example"), NamedExtension("x-other")],
            fields: [.init("X-Desk")!: "7", .authorization: "replaced later"],
            body: "hello"
        )
        plan.url = try Sample.url("ws://example.com/a?b")
        try plan.extensions.take(try parseExtensions(["x-opened"]), layer: .opening)
        try plan.validate()
        var client = ExtendedClient(plan)
        let common = """
            POST /a?b HTTP/1.1
            Sec-WebSocket-Protocol: amqp, stomp
            Sec-WebSocket-Extensions: x-example, x-other
            X-Desk: 7

            """
        let tail = "Expect: 100-continue\nContent-Length: 5\n"
        let first = common + "Authorization: replaced later\n" + tail + "\n"
        #expect(client.start(now: .at(0)).text == first.replacing("\n", with: "\r\n"))
        _ = client.receive(Sample.response(401, fields: ["WWW-Authenticate: Basic realm=x"]), now: .at(1))
        let replay = common + tail + "Authorization: Basic eA==\n\n"
        #expect(client.authorize("Basic eA==", now: .at(2))?.text == replay.replacing("\n", with: "\r\n"))
    }

    @Test func refusesAPlanThatCannotBeWritten() throws {
        var plans = [ExtendedClientPlan](repeating: try Sample.clientPlan(), count: 6)
        plans[0].method = "GET /"
        plans[1].subprotocols = ["a b"]
        plans[2].subprotocols = ["x-kaazing-handshake"]
        plans[3].extraFields = [.contentLength: "5"]
        plans[4].extraFields = [.init("Sec-WebSocket-Key")!: "x"]
        plans[5].authorization = "a\r\nb: c"
        for plan in plans {
            let error = #expect(throws: WebSocketError.self) { try plan.validate() }
            #expect(error?.code == .invalidArgument)
        }
    }

    // MARK: The table

    @Test func everyStatusLeadsToItsAction() throws {
        for status in 100...699 {
            let step = try Self.step(Sample.response(status))
            let expected: ClientStep =
                switch status {
                case 101, 201, 204, 205: .complete(status: status)
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

    @Test func refusalsCarryTheirContent() throws {
        let message = Sample.response(403, fields: ["X-Why: because"], content: "The desk is closed.\n")
        let response = try #require(try Self.error(message)?.response)
        #expect(response.status == 403)
        #expect(response.body.text == "The desk is closed.\n")
        #expect(response.headers[.init("X-Why")!] == "because")
    }

    @Test func redirectsCarryTheirLocation() throws {
        var client = try Self.started()
        let message = Sample.response(302, fields: ["location: http://other.example/"], content: "there")
        guard case .redirect(let response) = client.receive(message, now: .at(1)) else {
            Issue.record("no redirect")
            return
        }
        #expect(response.headers[.location] == "http://other.example/")
    }

    @Test func follows307AfterGetOnly() throws {
        let plan = try Sample.clientPlan(method: "POST")
        #expect(try Self.step(Sample.response(307), plan) == .fail(.redirectMethod, close: 1000))
        #expect(try Self.step(Sample.response(302), plan) == .redirect(status: 302))
    }

    @Test func follows308ByOption() throws {
        #expect(try Self.step(Sample.response(308), Sample.clientPlan(follows308: true)) == .redirect(status: 308))
        let post = try Sample.clientPlan(method: "POST", follows308: true)
        #expect(try Self.step(Sample.response(308), post) == .fail(.redirectMethod, close: 1000))
    }

    // MARK: 100

    @Test func sendsTheBodyOnceAsked() throws {
        var client = try Self.started(try Sample.clientPlan(method: "POST", body: "hello"))
        #expect(ClientStep(client.receive(Sample.response(100), now: .at(1))) == .sendBody("hello"))
        #expect(client.deadline == .at(10))
        var twice = client
        #expect(ClientStep(twice.receive(Sample.response(100), now: .at(2))) == .fail(.extendedRefused, close: 1011))
        #expect(ClientStep(client.receive(Sample.response(204), now: .at(2))) == .complete(status: 204))
    }

    @Test("behind a 100 that comes late there is nothing more in its message (D13, threat E13)")
    func nothingBehindALate100() throws {
        var client = try Self.started(try Sample.clientPlan(method: "POST", body: "hello"))
        let due = try #require(client.deadline)
        #expect(ClientStep(client.deadlineReached(now: due)) == .sendBody("hello"))
        var clean = client
        #expect(ClientStep(clean.receive(Sample.response(100), now: due)) == .continued(status: 100))
        var message = Sample.response(100)
        message.writeString("more")
        #expect(ClientStep(client.receive(message, now: due)) == .fail(.extendedRefused, close: 1011))
    }

    @Test func sendsTheBodyAgainWithTheReplay() throws {
        var client = try Self.started(try Sample.clientPlan(method: "POST", body: "hello"))
        _ = client.receive(Sample.response(100), now: .at(1))
        #expect(ClientStep(client.receive(Sample.response(401), now: .at(1))) == .challenge(status: 401))
        let replay = client.authorize("x", now: .at(2))?.text ?? ""
        #expect(replay.contains("Expect: 100-continue\r\n"))
        #expect(ClientStep(client.receive(Sample.response(100), now: .at(3))) == .sendBody("hello"))
    }

    // MARK: ExtendedResponseCheck (KHP-E10, KHP-E11, KHP-E14)

    @Test func reportsWhatWasAgreed() throws {
        var plan = try Sample.clientPlan(
            subprotocols: ["amqp"],
            extensions: [NamedExtension("x-opened"), NamedExtension("x-example")]
        )
        try plan.extensions.take(try parseExtensions(["x-opened"]), layer: .opening)
        var client = try Self.started(plan)
        let message = Sample.switching(adding: [
            "sec-websocket-extensions: x-example; a=1", "SEC-WEBSOCKET-PROTOCOL: amqp",
        ])
        guard case .complete(let result) = client.receive(message, now: .at(1)) else {
            Issue.record("not complete")
            return
        }
        #expect(result.status == 101)
        #expect(result.subprotocol == "amqp")
        #expect(result.extensions.negotiated.map(\.description) == ["x-opened", "x-example; a=1"])
        #expect(result.extensions.negotiated.map(\.layer) == [.opening, .extended])
        #expect(result.response.headers[.server] == "swift-khp")
        #expect(client.deadline == nil)
    }

    @Test(arguments: [
        "Sec-WebSocket-Protocol: stomp", "Sec-WebSocket-Protocol: x-kaazing-handshake", "Sec-WebSocket-Protocol: ",
        "Sec-WebSocket-Protocol: amqp, amqp", "Sec-WebSocket-Protocol: amqp\r\nSec-WebSocket-Protocol: amqp",
        "Sec-WebSocket-Extensions: x-unasked", "Sec-WebSocket-Extensions: x-opened", "Sec-WebSocket-Extensions: ",
        "Sec-WebSocket-Extensions: x-example, x-example", "Sec-WebSocket-Extensions: x-example; =",
        "Sec-WebSocket-Extensions: x-example\r\nSec-WebSocket-Extensions: x-example",
    ])
    func doesNotBelieveWhatWasNotAsked(line: String) throws {
        var plan = try Sample.clientPlan(
            subprotocols: ["amqp"],
            extensions: [NamedExtension("x-opened"), NamedExtension("x-example")]
        )
        try plan.extensions.take(try parseExtensions(["x-opened"]), layer: .opening)
        for message in [Sample.switching(adding: [line]), Sample.response(201, fields: [line])] {
            let error = try Self.error(message, plan)
            #expect(error?.code == .extendedInvalid)
            #expect(error?.closeCode == .internalError)
            #expect(error?.response != nil)
        }
    }

    @Test func theAcceptValueMustBeThatOfTheOpening() throws {
        #expect(try Self.step(Sample.switching()) == .complete(status: 101))
        #expect(try Self.step(Sample.head("HTTP/1.1 101 ")) == .complete(status: 101))
        let other = Sample.switching(accept: "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")
        #expect(try Self.step(other) == .fail(.extendedInvalid, close: 1011))
    }

    // MARK: Bytes that are no response (KHP-E3, D6, D13, threat E2)

    @Test(arguments: [
        "Hello", "H", "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.0 101 x\r\n\r\n", "HTTP/1.1 1O1 x\r\n\r\n", "\r\n",
        "HTTP/1.1 101 x\r\nA : b\r\n\r\n", "HTTP/1.1 101 x\nA: b\n\n",
        "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 200 x\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 101 x\r\n\r\nhello",
        "HTTP/1.1 401 x\r\nContent-Length: 1\r\n\r\nab",
        "\u{F0FF}N\u{F0FF}N",
    ])
    func garbageIsInvalid(text: String) throws {
        guard text != "H" else {
            #expect(try Self.step(ByteBuffer(string: text)) == .none)
            return
        }
        #expect(try Self.step(ByteBuffer(string: text)) == .fail(.extendedInvalid, close: 1011))
    }

    /// Behind a response that closes the WebSocket anyway, more bytes change nothing, in its message or the next.
    @Test func whatFollowsARefusalIsIgnored() throws {
        #expect(try Self.step(ByteBuffer(string: "HTTP/1.1 302 x\r\n\r\nhello")) == .redirect(status: 302))
        #expect(
            try Self.step(ByteBuffer(string: "HTTP/1.1 403 x\r\n\r\n<html>")) == .fail(.extendedRefused, close: 1000)
        )
    }

    @Test func tooMuchIsTooMuch() throws {
        let bulk = String(repeating: "x", count: 20000)
        #expect(try Self.step(Sample.response(403, fields: ["X: \(bulk)"])) == .fail(.limitExceeded, close: 1009))
        let wide = (0..<4).map { "X-\($0): \(bulk.prefix(8000))" }
        #expect(try Self.step(Sample.response(403, fields: wide)) == .fail(.limitExceeded, close: 1009))
        let many = (0..<101).map { "X-\($0): y" }
        #expect(try Self.step(Sample.response(403, fields: many)) == .fail(.limitExceeded, close: 1008))
        let long = "HTTP/1.1 403 x\r\nContent-Length: 65537\r\n\r\n"
        #expect(try Self.step(ByteBuffer(string: long)) == .fail(.limitExceeded, close: 1009))
        let full = Sample.response(403, content: String(repeating: "x", count: 65536))
        #expect(try Self.step(full) == .fail(.extendedRefused, close: 1000))
    }

    @Test func sixteenMessagesAndNoMore() throws {
        let text = "HTTP/1.1 101 x\r\n\r\n"
        for count in 1...18 {
            var client = try Self.started()
            let bytes = ByteBuffer(string: text)
            let parts = bytes.cut(at: Array(1..<count))
            let steps = parts.map { ClientStep(client.receive($0, now: .at(1))) }
            #expect(parts.count == count)
            #expect(steps.prefix(min(count, 17) - 1).allSatisfy { $0 == .none })
            #expect(
                steps[min(count, 17) - 1] == (count <= 16 ? .complete(status: 101) : .fail(.limitExceeded, close: 1008))
            )
        }
    }

    @Test func emptyMessagesCount() throws {
        var client = try Self.started()
        for _ in 0..<16 {
            #expect(ClientStep(client.receive(ByteBuffer(), now: .at(1))) == .none)
        }
        #expect(ClientStep(client.receive(Sample.switching(), now: .at(1))) == .fail(.limitExceeded, close: 1008))
    }

    // MARK: Balancer messages (D7, threat E15)

    @Test func twoBalancerMessagesArePassedOver() throws {
        let balancer = ByteBuffer(bytes: [0xEF, 0x83, 0xBF, 0x4E])
        for count in 0...3 {
            var client = try Self.started()
            for index in 0..<count {
                let step = ClientStep(client.receive(balancer, now: .at(1)))
                #expect(step == (index < 2 ? .none : .fail(.extendedInvalid, close: 1011)))
            }
            let step = ClientStep(client.receive(Sample.switching(), now: .at(1)))
            #expect(step == (count <= 2 ? .complete(status: 101) : .none))
        }
        // Not in the middle of a response.
        var client = try Self.started()
        _ = client.receive(ByteBuffer(string: "HTTP/1.1 101 x\r\n"), now: .at(1))
        #expect(ClientStep(client.receive(balancer, now: .at(1))) == .fail(.extendedInvalid, close: 1011))
        let redirect = ByteBuffer(bytes: [0xEF, 0x83, 0xBF, 0x52]) + "ws://a/"
        #expect(try Self.step(redirect) == .balanced(to: "ws://a/"))
        let nobody = ByteBuffer(bytes: [0xEF, 0x83, 0xBF, 0x52])
        #expect(try Self.step(nobody) == .fail(.redirectRefused, close: 1000))
    }

    // MARK: State × event

    @Test func waitingTimesOut() throws {
        var client = try Self.started()
        #expect(client.deadline == .at(10))
        #expect(ClientStep(client.deadlineReached(now: .at(9.999))) == .none)
        // D15: a piece does not extend it.
        _ = client.receive(ByteBuffer(string: "HTTP/1.1 "), now: .at(9))
        #expect(client.deadline == .at(10))
        #expect(ClientStep(client.deadlineReached(now: .at(10))) == .fail(.timeout, close: 1008))
        #expect(client.deadline == nil)
        #expect(ClientStep(client.deadlineReached(now: .at(11))) == .none)
    }

    @Test func threeWaitsWithinTheTimeOfTheFirst() throws {
        var client = try Self.started()
        for second in [5.0, 20, 30] {
            #expect(ClientStep(client.receive(Sample.response(202), now: .at(second))) == .waiting(until: .at(35)))
        }
        #expect(client.deadline == .at(35))
        var late = client
        #expect(ClientStep(late.deadlineReached(now: .at(34.9))) == .none)
        #expect(ClientStep(late.deadlineReached(now: .at(35))) == .fail(.timeout, close: 1008))
        var complete = client
        #expect(ClientStep(complete.receive(Sample.switching(), now: .at(34))) == .complete(status: 101))
        #expect(ClientStep(client.receive(Sample.response(202), now: .at(31))) == .fail(.limitExceeded, close: 1008))
    }

    @Test func challengedWaitsForCredentials() throws {
        var client = try Self.started()
        _ = client.receive(Sample.response(401), now: .at(5))
        // No clock runs here: the time of whoever is asked is ChallengeDialogue's.
        #expect(client.deadline == nil)
        var early = client
        #expect(ClientStep(early.receive(Sample.switching(), now: .at(6))) == .fail(.extendedInvalid, close: 1011))
        let replay = client.authorize("Basic x", now: .at(50))?.text ?? ""
        #expect(replay.hasSuffix("\r\nAuthorization: Basic x\r\n\r\n"))
        var twice = client
        #expect(twice.authorize("Basic x", now: .at(51)) == nil)
        #expect(client.deadline == .at(60))
        var again = client
        #expect(ClientStep(again.receive(Sample.response(401), now: .at(51))) == .challenge(status: 401))
        #expect(ClientStep(client.receive(Sample.switching(), now: .at(51))) == .complete(status: 101))
    }

    /// A wait of before the challenge does not cut the one behind it short, but counts.
    @Test func waitsAroundAChallenge() throws {
        var client = try Self.started()
        _ = client.receive(Sample.response(202), now: .at(1))
        _ = client.receive(Sample.response(401), now: .at(2))
        _ = client.authorize("x", now: .at(100))
        #expect(ClientStep(client.receive(Sample.response(202), now: .at(101))) == .waiting(until: .at(131)))
        #expect(ClientStep(client.receive(Sample.response(202), now: .at(102))) == .waiting(until: .at(131)))
        #expect(ClientStep(client.receive(Sample.response(202), now: .at(103))) == .fail(.limitExceeded, close: 1008))
    }

    @Test func nothingHappensAfterTheEnd() throws {
        for status in [101, 302, 300, 403, 407, 426, 200] {
            var client = try Self.started()
            _ = client.receive(Sample.response(status), now: .at(1))
            #expect(client.deadline == nil)
            #expect(ClientStep(client.receive(Sample.switching(), now: .at(2))) == .none)
            #expect(ClientStep(client.deadlineReached(now: .at(100))) == .none)
        }
    }

    @Test func aMessageBeforeTheRequestIsAViolation() throws {
        var client = ExtendedClient(try Sample.clientPlan())
        #expect(client.deadline == nil)
        #expect(ClientStep(client.deadlineReached(now: .at(100))) == .none)
        #expect(ClientStep(client.receive(Sample.switching(), now: .at(0))) == .fail(.extendedInvalid, close: 1011))
    }

    @Test func anAnswerToHeadHasNoContent() throws {
        let plan = try Sample.clientPlan(method: "HEAD")
        let message = ByteBuffer(string: "HTTP/1.1 405 x\r\nContent-Length: 24\r\n\r\n")
        #expect(try Self.step(message, plan) == .fail(.extendedRefused, close: 1000))
    }
}

extension ByteBuffer {
    static func + (left: ByteBuffer, right: String) -> ByteBuffer {
        var left = left
        left.writeString(right)
        return left
    }
}
