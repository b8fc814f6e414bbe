// The cells of the table in ServerDecisions' header that are bugs of our own: each ends the process that it runs in.

import KHPProtocol
import NIOCore
import Testing

@Suite("Bugs in the order of a server's decisions")
struct DecisionBugTests {
    enum State: CaseIterable { case reading, asking, answeringPlain, accepted, over }
    enum Event { case opening, plain, extended, reply, plainRefusal }

    /// Decisions that have come to a state, with the requests that may come next.
    private struct Run {
        var decisions: ServerDecisions
        private var connection = Connection(server: ConnectionConfiguration(), isSecure: false, now: .at(0))
        private let opening: OpeningRequest
        private let plain: CheckedRequest
        private let extended: ExtendedRequest

        init(_ state: State) throws {
            var values = EndpointConfiguration.Values(path: "/trades")
            values.asksApplication = state == .asking
            let endpoint = try EndpointConfiguration(values, index: 0)
            self.decisions = ServerDecisions(try EndpointSet([endpoint]))
            self.opening = try Sample.opening(replacing: ["Sec-WebSocket-Protocol": nil])
            var fields = HeadFields()
            fields.append("Host", "example.com")
            self.plain = try CheckedRequest(RequestHead(method: "GET", target: "/", fields: fields))
            var machine = try Sample.serverMachine()
            let message = ByteBuffer(string: "GET /trades HTTP/1.1\r\n\r\n")
            guard case .request(let extended) = machine.receive(message, date: Sample.date, now: .at(0)) else {
                throw WebSocketError(.invalidArgument, "There is no extended request.")
            }
            self.extended = extended
            switch state {
            case .reading: break
            case .asking, .accepted: self.take(.opening)
            case .answeringPlain: self.take(.plain)
            case .over: self.decisions.ended()
            }
        }

        mutating func take(_ event: Event) {
            switch event {
            case .opening: _ = self.decisions.decide(self.opening, on: &self.connection, now: .at(0))
            case .plain: _ = self.decisions.decide(self.plain, on: &self.connection, now: .at(0))
            case .extended: _ = self.decisions.decide(self.extended)
            case .reply: _ = self.decisions.reply(ServerReply(.complete()), on: &self.connection, now: .at(0))
            case .plainRefusal:
                self.decisions.refusePlain(on: &self.connection, now: .at(0))
            }
        }
    }

    /// Has the event come in the state.
    static func meet(_ state: State, _ event: Event) throws {
        var run = try Run(state)
        run.take(event)
    }

    @Test("each state is reached, and what has a place in it is no bug")
    func places() throws {
        for state in State.allCases {
            var run = try Run(state)
            #expect(run.decisions.awaitsReply == (state == .asking), "\(state)")
            let events: [Event] =
                switch state {
                case .reading: []
                case .asking: [.reply]
                case .answeringPlain: [.plainRefusal]
                case .accepted: [.extended]
                case .over: [.reply, .plainRefusal]
                }
            for event in events { run.take(event) }
            #expect(!run.decisions.awaitsReply, "\(state)")
        }
    }

    @Test func reading() async {
        await #expect(processExitsWith: .failure) { try DecisionBugTests.meet(.reading, .extended) }
        await #expect(processExitsWith: .failure) { try DecisionBugTests.meet(.reading, .reply) }
        await #expect(processExitsWith: .failure) { try DecisionBugTests.meet(.reading, .plainRefusal) }
    }

    @Test func asking() async {
        await #expect(processExitsWith: .failure) { try DecisionBugTests.meet(.asking, .opening) }
        await #expect(processExitsWith: .failure) { try DecisionBugTests.meet(.asking, .plain) }
        await #expect(processExitsWith: .failure) { try DecisionBugTests.meet(.asking, .extended) }
        await #expect(processExitsWith: .failure) { try DecisionBugTests.meet(.asking, .plainRefusal) }
    }

    @Test func answeringPlain() async {
        await #expect(processExitsWith: .failure) { try DecisionBugTests.meet(.answeringPlain, .opening) }
        await #expect(processExitsWith: .failure) { try DecisionBugTests.meet(.answeringPlain, .plain) }
        await #expect(processExitsWith: .failure) { try DecisionBugTests.meet(.answeringPlain, .extended) }
        await #expect(processExitsWith: .failure) { try DecisionBugTests.meet(.answeringPlain, .reply) }
    }

    @Test func accepted() async {
        await #expect(processExitsWith: .failure) { try DecisionBugTests.meet(.accepted, .opening) }
        await #expect(processExitsWith: .failure) { try DecisionBugTests.meet(.accepted, .plain) }
        await #expect(processExitsWith: .failure) { try DecisionBugTests.meet(.accepted, .reply) }
        await #expect(processExitsWith: .failure) { try DecisionBugTests.meet(.accepted, .plainRefusal) }
    }

    @Test func over() async {
        await #expect(processExitsWith: .failure) { try DecisionBugTests.meet(.over, .opening) }
        await #expect(processExitsWith: .failure) { try DecisionBugTests.meet(.over, .plain) }
        await #expect(processExitsWith: .failure) { try DecisionBugTests.meet(.over, .extended) }
    }
}
