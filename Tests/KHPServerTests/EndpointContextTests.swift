// The value that `context:` makes for a handshake: it comes to the handler, and goes back exactly once however it ends.

import KHPClient
import KHPServer
import NIOCore
import Synchronization
import TestSupport
import Testing

@Suite("The context of an endpoint")
struct EndpointContextTests {
    private struct Failure: Error {}

    /// The ends of a handshake that an endpoint has made a value for.
    enum Ending: String, CaseIterable, Sendable, CustomTestStringConvertible {
        case handlerReturns, handlerThrows
        case contextThrows, respondRefuses, respondThrows, respondChallenges, responseIsFaulty
        case opensAfter202, refusedAfter202, throwsAfter202
        case clientGoesWhileMade, clientGoesAfter202
        case drainWhileMade, drainAfter202, drainWhileOpen

        var testDescription: String { self.rawValue }

        /// How many values are made, and how many of them come to a handler.
        var counts: (made: Int, handled: Int) {
            switch self {
            case .contextThrows: (0, 0)
            case .handlerReturns, .handlerThrows, .opensAfter202, .drainWhileOpen: (1, 1)
            case .respondChallenges: (2, 1)
            case .respondRefuses, .respondThrows, .responseIsFaulty, .refusedAfter202, .throwsAfter202: (1, 0)
            case .clientGoesWhileMade, .clientGoesAfter202, .drainWhileMade, .drainAfter202: (1, 0)
            }
        }

        /// `true` where the test ends the handshake once it has come to its point.
        var waits: Bool {
            switch self {
            case .clientGoesWhileMade, .clientGoesAfter202, .drainWhileMade, .drainAfter202, .drainWhileOpen: true
            default: false
            }
        }
    }

    /// The values by their numbers, in the order of what happened to them.
    private final class Ledger: Sendable {
        struct Entries: Equatable {
            var made: [Int] = []
            var handled: [Int] = []
            var released: [Int] = []
        }

        private let state = Mutex(Entries())
        private let point = AsyncStream.makeStream(of: Void.self)

        var entries: Entries { self.state.withLock { $0 } }

        func make() -> Int {
            self.state.withLock { state in
                state.made.append(state.made.count + 1)
                return state.made.count
            }
        }

        func handle(_ number: Int) { self.state.withLock { $0.handled.append(number) } }
        func release(_ number: Int) { self.state.withLock { $0.released.append(number) } }

        /// Says that the handshake has come to the point at which the test ends it, and waits for that end.
        func waitAtThePoint() async {
            self.point.continuation.yield()
            try? await Task.sleep(for: .seconds(600))
        }

        func reachThePoint() { self.point.continuation.yield() }

        func thePoint() async {
            for await _ in self.point.stream { break }
        }
    }

    private static func endpoint(_ ending: Ending, _ ledger: Ledger) -> Endpoint {
        Endpoint(
            "/x",
            context: { _ in
                if ending == .contextThrows { throw Failure() }
                let number = ledger.make()
                if ending == .clientGoesWhileMade || ending == .drainWhileMade { await ledger.waitAtThePoint() }
                return number
            },
            release: { ledger.release($0) },
            respond: { request, _ in
                switch ending {
                case .respondRefuses: return .refuse(403)
                case .respondThrows: throw Failure()
                case .respondChallenges where request.authorization == nil: return .challenge("Basic realm=\"x\"")
                case .responseIsFaulty: return .complete(subprotocol: "never-asked-for")
                case .opensAfter202: return .processing { .complete() }
                case .refusedAfter202: return .processing { .processing { .refuse(503) } }
                case .throwsAfter202: return .processing { throw Failure() }
                case .clientGoesAfter202, .drainAfter202:
                    return .processing {
                        await ledger.waitAtThePoint()
                        return .complete()
                    }
                default: return .complete()
                }
            },
            handler: { socket, request, number in
                #expect(request.path == "/x")
                ledger.handle(number)
                #expect(!ledger.entries.released.contains(number))
                if ending == .handlerThrows { throw Failure() }
                if ending == .drainWhileOpen {
                    ledger.reachThePoint()
                    for try await _ in socket.messages {}
                }
            }
        )
    }

    @Test(
        "each value is released once, however the handshake ends",
        arguments: Ending.allCases,
        [ExtendedHandshakePolicy.required, .off]
    )
    func released(_ ending: Ending, _ policy: ExtendedHandshakePolicy) async throws {
        let ledger = Ledger()
        let client = try await withServer {
            Self.endpoint(ending, ledger)
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            configuration.extended.policy = policy
            configuration.authentication.challengeHandler = BasicChallengeHandler(user: "joe", password: "welcome")
            let connecting = Task { [configuration] in
                let url = "ws://127.0.0.1:\(port)/x"
                _ = try await WebSocketClient(configuration: configuration).connect(to: url).closed()
            }
            if ending.waits {
                await ledger.thePoint()
                if ending == .clientGoesWhileMade || ending == .clientGoesAfter202 { connecting.cancel() }
            } else {
                _ = await connecting.result
            }
            return connecting
        }
        _ = await client.result
        // The server is gone, so each value has been released.
        let entries = ledger.entries
        #expect(entries.made.count == ending.counts.made)
        #expect(entries.handled == Array(entries.made.suffix(ending.counts.handled)))
        #expect(entries.released.sorted() == entries.made)
    }

    @Test("the context sees who the client is, and refuses with a response of its own")
    func refuses() async throws {
        let authentication = ServerAuthentication(realm: "desk", .basic { user, _ in Principal(user) })
        try await withServer {
            Endpoint(
                "/x",
                options: .init(authentication: authentication),
                context: { request -> String in
                    guard let name = request.principal?.name, name != "ann" else {
                        throw HandshakeResponse.refuse(409, "no account")
                    }
                    return name
                }
            ) { socket, _, name in
                try await socket.send("Welcome, \(name)!")
            }
        } body: { port in
            for (user, policy) in [("joe", ExtendedHandshakePolicy.off), ("ann", .off), ("ann", .required)] {
                var configuration = WebSocketClient.Configuration()
                configuration.extended.policy = policy
                configuration.authentication.challengeHandler = BasicChallengeHandler(user: user, password: "")
                let client = WebSocketClient(configuration: configuration)
                do {
                    let socket = try await client.connect(to: "ws://127.0.0.1:\(port)/x")
                    #expect(try await socket.receive() == .text("Welcome, joe!"))
                    #expect(user == "joe")
                    try await socket.close()
                } catch let error as WebSocketError {
                    #expect(user == "ann")
                    #expect(error.response?.status == 409)
                    #expect(error.response.map { String(buffer: $0.body) } == "no account")
                }
            }
        }
    }

    /// Sends back the name that both ends have agreed on, as it is told to each of them, and closes.
    private final class Telling: MessageHandler {
        private let name: String?

        init(_ name: String?) {
            self.name = name
        }

        func opened(_ socket: EventLoopSocket) {
            try? socket.send(.text(self.name ?? "none"))
            socket.close()
        }

        func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {}
    }

    @Test(
        "`respond` sees the value, and the client's handler what was agreed on",
        arguments: [ExtendedHandshakePolicy.required, .off]
    )
    func agreed(_ policy: ExtendedHandshakePolicy) async throws {
        let told = AsyncStream.makeStream(of: String.self)
        try await withServer {
            Endpoint(
                "/x",
                context: { request in request.subprotocols.last },
                respond: { _, name in .complete(subprotocol: name) }
            ) { socket, _, name in
                guard case .text(let text) = try await socket.receive() else { return }
                told.continuation.yield("\(name ?? "none") \(socket.negotiated.subprotocol ?? "none") \(text)")
            }
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            configuration.extended.policy = policy
            let client = WebSocketClient(configuration: configuration)
            for offered in [["a", "b"], []] {
                try await client.run(to: "ws://127.0.0.1:\(port)/x", subprotocols: offered) { negotiated in
                    Telling(negotiated.subprotocol)
                }
            }
        }
        told.continuation.finish()
        var all: [String] = []
        for await line in told.stream { all.append(line) }
        #expect(all == ["b b b", "none none none"])
    }
}
