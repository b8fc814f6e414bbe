// The bounds of a pool, who counts among its backends, and which ends of connections count against one.

import CommandTestSupport
import KHPClient
import NIOCore
import NIOPosix
import Testing

@testable import KHPGateway

@Suite("The bounds of a pool", .timeLimit(.minutes(1)))
struct PoolBoundsTests {
    @Test("a backend has no more connections than it may, however many event loops ask at once")
    func connections() async throws {
        var rules = GatewayConfiguration.Pool(name: "p")
        rules.backends = [.local(1), .local(2)]
        rules.connections = 3
        for _ in 0..<50 {
            let pool = try BackendPool(rules, tls: nil)
            let taken = await withTaskGroup(of: Bool.self) { tasks in
                for _ in 0..<16 {
                    tasks.addTask {
                        let call = BackendCall(on: MultiThreadedEventLoopGroup.singleton.any())
                        return pool.take(call, except: [], now: .now()) != nil
                    }
                }
                return await tasks.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(taken == 6)
            #expect(pool.members.map(\.snapshot.connections) == [3, 3])
        }
    }

    @Test("a pool whose backends take nobody is not healthy", arguments: [0, 1])
    func weights(_ weight: Int) throws {
        var rules = GatewayConfiguration.Pool(name: "p")
        rules.backends = [.local(1)]
        rules.backends[0].weight = weight
        #expect(try BackendPool(rules, tls: nil).isHealthy() == (weight > 0))
    }

    // MARK: Ends that count against a backend

    @Test("an end at once counts against a backend only where neither side had sent anything")
    func ends() throws {
        let nothing = Tally()
        let cases: [(SessionEnd, Tally, TimeAmount, BackendHealth.State)] = [
            (.backendFin, nothing, .zero, .ejected),
            (.backendReset("no"), nothing, .milliseconds(999), .ejected),
            (.backendFin, nothing, .seconds(1), .up),
            (.backendFin, Tally(inBytes: 7, inMessages: 1), .zero, .up),
            (.backendReset("no"), Tally(inBytes: 7), .zero, .up),
            // An empty message is something, too, for one that speaks WebSocket.
            (.backendFin, Tally(inMessages: 1), .zero, .up),
            (.backendFin, Tally(outBytes: 1, outMessages: 1), .zero, .up),
        ]
        for (end, tally, time, state) in cases {
            var rules = GatewayConfiguration.Pool(name: "p")
            rules.backends = [.local(1), .local(2)]
            rules.eject?.failures = 1
            let pool = try BackendPool(rules, tls: nil)
            pool.used(pool.members[0], end, tally, for: time)
            #expect(pool.members[0].snapshot.health.state(.now()) == state, "\(end.cause) \(tally) \(time)")
        }
    }

    @Test("an end behind bytes of the client does not forgive the ends before it either")
    func unforgiven() throws {
        var rules = GatewayConfiguration.Pool(name: "p")
        rules.backends = [.local(1), .local(2)]
        rules.eject?.failures = 2
        let pool = try BackendPool(rules, tls: nil)
        for tally in [Tally(), Tally(inBytes: 7, inMessages: 1), Tally()] {
            pool.used(pool.members[0], .backendFin, tally, for: .zero)
        }
        #expect(pool.members[0].snapshot.health.state(.now()) == .ejected)
    }

    @Test("a client that sends what a broker closes on does not throw the broker out")
    func garbage() async throws {
        let other = GatewayConfiguration.Backend.local(try await PoolTests.freePort())
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, _ in
                for try await _ in inbound { break }
            }
        } body: { port in
            try await withService(backends: [.local(port), other]) { pool in
                pool.backends[1].isBackup = true
                pool.eject?.failures = 1
            } body: { view in
                for _ in 0..<3 {
                    let socket = try await WebSocketClient().connect(to: view.url)
                    try await socket.send("garbage")
                    #expect(await view.ends.next()?.end.party == .backend)
                    _ = try? await socket.close()
                }
                #expect(view.pool.members[0].snapshot.health.state(.now()) == .up)
            }
        }
    }

    @Test("a WebSocket backend that refuses a client's subprotocols is not out of order")
    func subprotocols() {
        var call = BackendCall(on: MultiThreadedEventLoopGroup.singleton.any())
        func isOfCaller(_ status: Int) -> Bool {
            let error = WebSocketError(
                .openingRefused,
                "no",
                response: HandshakeResponse(status: status),
                phase: .opening
            )
            return WebSocketConnector.failure(error, of: call).isOfCaller
        }
        #expect(!isOfCaller(400))
        call.subprotocols = ["x"]
        #expect(isOfCaller(400))
        #expect(!isOfCaller(503))
        #expect(!WebSocketConnector.failure(ChannelError.eof, of: call).isOfCaller)
    }
}
