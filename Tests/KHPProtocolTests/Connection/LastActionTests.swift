// Nothing comes behind the end: a shell that has been told of it takes no further action.

import HTTPTypes
import KHPProtocol
import NIOCore
import Testing

@Suite("The last action of a connection")
struct LastActionTests {
    private static let now = NIODeadline.uptimeNanoseconds(1_000_000_000)

    /// Both ends, observed, of the Kaazing legacy exchange in a dialect.
    private struct Pair {
        var client: Connection
        var server: Connection
        var told: [Role: [String]] = [:]

        init(_ dialect: Dialect) throws {
            var settings = ConnectionSettings()
            settings.observation = .everything
            settings.dialects = [dialect]
            let configuration = ConnectionConfiguration(settings)
            var plan = ClientPlan(url: try WebSocketURL("ws://example.com/trades"))
            plan.dialect = dialect
            plan.extended.kaazingLegacy = true
            var generator = SystemRandomNumberGenerator()
            self.client = try Connection(
                client: plan.withKeys(using: &generator),
                configuration: configuration,
                key: Sample.key,
                deadline: nil,
                now: LastActionTests.now
            )
            self.server = Connection(server: configuration, isSecure: false, now: LastActionTests.now)
            self.client.transportUp(now: LastActionTests.now)
            self.client.start(now: LastActionTests.now)
            self.server.transportUp(now: LastActionTests.now)
            self.server.start(now: LastActionTests.now)
        }

        /// Carries bytes to and fro until nothing is on its way; the server redirects inside.
        mutating func run(_ dialect: Dialect) {
            for _ in 0..<8 {
                while let bytes = self.client.output.next() { self.server.receive(bytes, now: LastActionTests.now) }
                while let action = self.server.next(now: LastActionTests.now) { self.serve(action, dialect) }
                while let bytes = self.server.output.next() { self.client.receive(bytes, now: LastActionTests.now) }
                while let action = self.client.next(now: LastActionTests.now) { self.note(action, .client) }
            }
        }

        private mutating func serve(_ action: ConnectionAction, _ dialect: Dialect) {
            self.note(action, .server)
            switch action {
            case .server(.decideOpening):
                var values = EndpointPlan.Values()
                values.dialects = [dialect]
                values.extended = true
                self.server.acceptOpening(EndpointPlan(values), now: LastActionTests.now)
            case .server(.decideExtended):
                let away = HandshakeResponse(status: 301, headers: [.location: "/elsewhere"])
                self.server.answerExtended(away, principal: nil, now: LastActionTests.now)
            default:
                break
            }
        }

        private mutating func note(_ action: ConnectionAction, _ role: Role) {
            let word =
                switch action {
                case .closed: "closed"
                case .event(.kaazingLegacy(.endOfResponse)): "end of response"
                case .event(let event): "event \("\(event)".prefix(20))"
                default: "another"
                }
            self.told[role, default: []].append(word)
        }
    }

    @Test("is its end, also where a redirect of the legacy exchange ends it", arguments: [Dialect.hixie75, .rfc6455])
    func endOfResponse(_ dialect: Dialect) throws {
        var pair = try Pair(dialect)
        pair.run(dialect)
        // The empty message behind the response that it ends is told of, once.
        #expect(pair.told[.client, default: []].count { $0 == "end of response" } == 1)
        for role in Role.allCases {
            let told = pair.told[role] ?? []
            if dialect == .hixie75 { #expect(told.contains("closed"), "\(role): \(told)") }
            if let end = told.firstIndex(of: "closed") { #expect(end == told.count - 1, "\(role): \(told)") }
        }
    }
}
