// Each decision of the table in ServerDecisions' header, with the question that it asks or the end that it makes.

import KHPProtocol
import NIOCore
import Testing

@Suite struct ServerDecisionsTests {
    private static let plain: [String: String?] = ["Sec-WebSocket-Protocol": nil]

    /// The next step, without its contents.
    private enum Step: String {
        case nothing, credentials, application, both, completeAfterRead, wait, plain

        init(_ next: ServerDecisions.Next) {
            switch next {
            case .nothing: self = .nothing
            case .ask(let question):
                self =
                    question.asksForCredentials
                    ? question.asksApplication ? .both : .credentials : .application
            case .completeAfterRead: self = .completeAfterRead
            case .wait: self = .wait
            case .plain: self = .plain
            }
        }
    }

    private static func decisions(_ change: (inout EndpointConfiguration.Values) -> Void) throws -> ServerDecisions {
        var values = EndpointConfiguration.Values(path: "/trades")
        change(&values)
        let endpoint = try EndpointConfiguration(values, index: 0)
        return ServerDecisions(try EndpointSet([endpoint]))
    }

    private static func connection() -> Connection {
        Connection(server: ConnectionConfiguration(), isSecure: false, now: .at(0))
    }

    @Test("an opening request is asked about here, inside, or not at all (D24)")
    func opening() throws {
        let rows: [(authenticates: HandshakeLayer?, asks: Bool, extended: Step, plain: Step)] = [
            (nil, false, .nothing, .nothing), (nil, true, .nothing, .application),
            (.opening, false, .credentials, .credentials), (.opening, true, .credentials, .both),
            (.extended, false, .nothing, .credentials), (.extended, true, .nothing, .both),
        ]
        for row in rows {
            for (replacing, expected) in [([:], row.extended), (Self.plain, row.plain)] {
                var decisions = try Self.decisions {
                    $0.authenticatesIn = row.authenticates
                    $0.asksApplication = row.asks
                }
                var connection = Self.connection()
                let request = try Sample.opening(replacing: replacing)
                let next = decisions.decide(request, on: &connection, now: .at(0))
                #expect(Step(next) == expected, "\(row)")
                #expect(decisions.awaitsReply == (expected != .nothing))
            }
        }
    }

    @Test("a refused request leads to no endpoint")
    func refused() throws {
        let rows: [(target: String, change: (inout EndpointConfiguration.Values) -> Void, admits: Bool)] = [
            ("/other", { _ in }, true), ("/trades", { $0.extendedHandshake = .required }, true),
            ("/trades", { $0.plan.dialects = [.hixie75] }, true), ("/trades", { $0.origins = .sameOrigin }, true),
            ("/trades", { _ in }, false),
        ]
        for row in rows {
            var decisions = try Self.decisions(row.change)
            var connection = Self.connection()
            let request = try Sample.opening(
                row.target,
                replacing: Self.plain,
                adding: ["Origin: http://evil.example"]
            )
            let next = decisions.decide(request, on: &connection, now: .at(0)) {
                row.admits ? nil : .tooManyPending()
            }
            #expect(Step(next) == .nothing)
            let opened = decisions.hasOpened(&connection)
            #expect(!opened)
        }
    }

    @Test("a reply accepts, refuses or waits; none counts behind the end")
    func replies() throws {
        let rows: [(response: HandshakeResponse, expected: Step, opens: Bool)] = [
            (.complete(), .nothing, true), (.created("x"), .nothing, true), (.refuse(403), .nothing, false),
            (.redirect(to: "/b"), .nothing, false), (.processing { .complete() }, .wait, false),
        ]
        for row in rows {
            var decisions = try Self.decisions {
                $0.asksApplication = true
                $0.authenticatesIn = .opening
            }
            var connection = Self.connection()
            let request = try Sample.opening(replacing: Self.plain)
            _ = decisions.decide(request, on: &connection, now: .at(0))
            let next = decisions.reply(ServerReply(row.response, principal: "joe"), on: &connection, now: .at(0))
            #expect(Step(next) == row.expected)
            #expect(decisions.awaitsReply == (row.expected == .wait))
            if row.expected == .wait {
                #expect(Step(decisions.reply(after: .complete(), on: &connection, now: .at(0))) == .nothing)
            }
            #expect(decisions.hasOpened(&connection) == (row.opens || row.expected == .wait))
            #expect(decisions.principal == "joe")
        }
        try self.nothingBehindTheEnd()
    }

    private func nothingBehindTheEnd() throws {
        var ended = try Self.decisions { $0.asksApplication = true }
        var connection = Self.connection()
        let request = try Sample.opening(replacing: Self.plain)
        _ = ended.decide(request, on: &connection, now: .at(0))
        ended.ended()
        #expect(Step(ended.reply(ServerReply(.complete()), on: &connection, now: .at(0))) == .nothing)
        let opened = ended.hasOpened(&connection)
        #expect(!opened)
    }

    @Test("a session ends with its lifetime or with the client's proof, whichever is first")
    func sessionEnd() throws {
        let rows: [(lifetime: Int64?, proof: Double?, end: Double?)] = [
            (nil, nil, nil), (5, nil, 5), (nil, 3, 3), (5, 3, 3), (5, 7, 5), (nil, 0, 0),
        ]
        for row in rows {
            var decisions = try Self.decisions {
                $0.authenticatesIn = .opening
                $0.plan.sessionLifetime = row.lifetime.map { .seconds($0) }
            }
            var connection = Self.connection()
            connection.transportUp(now: .at(0))
            connection.start(now: .at(0))
            connection.receive(ByteBuffer(string: Sample.openingLines("/trades", replacing: Self.plain)), now: .at(0))
            guard case .server(.decideOpening(let request))? = connection.next(now: .at(0)) else {
                Issue.record("no opening request")
                continue
            }
            _ = decisions.decide(request, on: &connection, now: .at(0))
            let reply = ServerReply(.complete(), principal: "joe", sessionEnd: row.proof.map { .at($0) })
            _ = decisions.reply(reply, on: &connection, now: .at(0))
            let opened = decisions.hasOpened(&connection)
            #expect(opened)
            // Later deadlines are those of the pings.
            let end = connection.deadline.flatMap { $0 < .at(10) ? $0 : nil }
            #expect(end == row.end.map { .at($0) }, "\(row)")
            connection.moveSessionEnd(to: .at(8))
            #expect(connection.deadline == .at(8))
            connection.moveSessionEnd(to: nil)
            #expect(connection.deadline.map { $0 >= .at(10) } ?? true)
        }
    }
}

extension ServerDecisions {
    fileprivate mutating func hasOpened(_ connection: inout Connection) -> Bool {
        self.opened(on: &connection).map { _ in true } ?? false
    }
}
