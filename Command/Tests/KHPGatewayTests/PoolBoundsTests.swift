// The bounds of a pool, who counts among its backends, and which ends of connections count against one.

import CommandTestSupport
import Foundation
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

    @Test("an end at once does not count where the backend had heard of the client by then (threat H13)")
    func endsBehindNames() throws {
        for (header, scheme) in [
            (.v1, .tcp), (.v2, .tls),
            (.off, .ws), (.off, .wss),
        ] as [(GatewayConfiguration.Pool.ProxyHeader, GatewayConfiguration.Backend.Scheme)] {
            var rules = GatewayConfiguration.Pool(name: "p")
            rules.backends = [1, 2].map { .init(scheme: scheme, host: "127.0.0.1", port: $0) }
            rules.proxyHeader = header
            rules.eject?.failures = 1
            let pool = try BackendPool(rules, tls: nil)
            pool.used(pool.members[0], .backendFin, Tally(), for: .zero)
            #expect(pool.members[0].snapshot.health.state(.now()) == .up, "\(header) \(scheme)")
        }
    }

    @Test("the end of a client that has heard nothing of the backend, or not of late, forgives nothing (threat H13)")
    func endsOfClients() throws {
        let close = SessionEnd(.client, .clientClose, .normalClosure, "")
        for (tally, time) in [
            (Tally(), .zero), (Tally(inBytes: 7, inMessages: 1), .milliseconds(999)),
            (Tally(outBytes: 7, outMessages: 1), .hours(1)),
        ] as [(Tally, TimeAmount)] {
            var rules = GatewayConfiguration.Pool(name: "p")
            rules.backends = [.local(1), .local(2)]
            rules.eject?.failures = 2
            let pool = try BackendPool(rules, tls: nil)
            pool.used(pool.members[0], .backendFin, Tally(), for: .zero)
            pool.used(pool.members[0], close, tally, for: time)
            pool.used(pool.members[0], .backendFin, Tally(), for: .zero)
            #expect(pool.members[0].snapshot.health.state(.now()) == .ejected, "\(tally) \(time)")
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

    @Test("nothing that a WebSocket backend answers to a client's request says that it is out of order")
    func requests() {
        func mayBeOfClient(_ status: Int, isAsked: Bool) -> Bool {
            let error = WebSocketError(
                .openingRefused,
                "no",
                response: HandshakeResponse(status: status),
                phase: .opening
            )
            return WebSocketConnector.failure(error, isAsked: isAsked).mayBeOfClient
        }
        for status in [101, 200, 302, 400, 403, 500, 503] { #expect(mayBeOfClient(status, isAsked: true)) }
        #expect(WebSocketConnector.failure(ChannelError.eof, isAsked: true).mayBeOfClient)
        #expect(!WebSocketConnector.failure(ChannelError.eof, isAsked: false).mayBeOfClient)
        #expect(!mayBeOfClient(503, isAsked: false))
    }

    @Test("a gateway without descriptors or ports finds no fault with its backends (threat H13)")
    func wants() {
        for code in [EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL] {
            #expect(ConnectFailure(IOError(errnoCode: code, reason: "socket")).mayBeOfClient)
        }
        for code in [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT, ECONNRESET, ENOENT] {
            #expect(!ConnectFailure(IOError(errnoCode: code, reason: "connect")).mayBeOfClient)
        }
    }

    // MARK: Use

    /// A session of which `what` becomes, and which its client's socket outlives for ten seconds.
    private static func isOfUse(_ what: (Session, NIODeadline) -> Void) -> Bool {
        let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
        let session = Session(SessionFacts(id: "1", service: "s"), now: start) { _, _ in }
        var isOfUse = false
        session.onUse = { isOfUse = true }
        what(session, start)
        session.ended(.backendFin, now: start + .seconds(10))
        return isOfUse
    }

    @Test("a backend is of use where it has answered, or has kept a connection for a second (threat H13)")
    func use() {
        for (tally, kept, expected) in [
            // Its client takes its time to go.
            (Tally(), .milliseconds(300), false), (Tally(inBytes: 1, inMessages: 1), .zero, false),
            (Tally(), .seconds(1), true), (Tally(), nil, true),
            (Tally(outBytes: 1, outMessages: 1), .zero, true),
            // A message of no bytes.
            (Tally(outMessages: 1), .zero, true),
        ] as [(Tally, TimeAmount?, Bool)] {
            let isOfUse = Self.isOfUse { session, start in
                session.tally = tally
                if let kept { session.backendLeft(start + kept) }
            }
            #expect(isOfUse == expected, "\(tally) \(String(describing: kept))")
        }
    }

    @Test("a backend that has left is not of use a second later, though its client is still there")
    func useOfNone() {
        let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)
        let session = Session(SessionFacts(id: "1", service: "s"), now: start) { _, _ in }
        session.onUse = { Issue.record("it was of use") }
        session.backendLeft(start + .milliseconds(300))
        session.tellUse(start + .seconds(2))
        #expect(session.kept(start + .seconds(2)) == .milliseconds(300))
    }
}
