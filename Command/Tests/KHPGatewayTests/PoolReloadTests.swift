// Backends over a reload: what is known of them stays, and what befalls connections of before counts for the pool of now.

import CommandTestSupport
import KHPClient
import KHPServer
import NIOCore
import NIOPosix
import Testing

@testable import KHPGateway

@Suite("Pools over a reload", .timeLimit(.minutes(1)))
struct PoolReloadTests {
    /// A gateway in front of a backend that sends everything back.
    private static func withRelay(
        _ change: (inout GatewayConfiguration) -> Void = { _ in },
        body: (BareGateway, _ port: Int, PoolMember) async throws -> Void
    ) async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, outbound in
                for try await bytes in inbound { try await outbound.write(bytes) }
            }
        } body: { port in
            try await BareGateway.run(backend: port, change) { gateway in
                try await body(gateway, port, try #require(await gateway.gateway.pools["p"]?.pool.members.first))
            }
        }
    }

    private static func next(
        _ port: Int,
        _ hash: String,
        _ change: (inout GatewayConfiguration) -> Void
    ) -> GatewayMaterials {
        var configuration = BareGateway.configuration(backend: port)
        change(&configuration)
        return GatewayMaterials(configuration, hash: hash)
    }

    private static func status(_ gateway: BareGateway) async -> Gateway.BackendStatus? {
        await gateway.gateway.status().pools.first?.backends.first
    }

    @Test("another weight leaves a backend its sessions, counts and health")
    func weight() async throws {
        try await Self.withRelay { gateway, port, member in
            let socket = try await gateway.connect("/relay")
            let rule = GatewayConfiguration.Ejection()
            member.withState { state in
                for _ in 0..<rule.failures {
                    _ = state.health.failed(.connect, "no", rule, mayEject: true, now: .now())
                }
            }
            _ = try await gateway.gateway.reload(
                Self.next(port, "2") {
                    $0.pools[0].backends[0].weight = 7
                    $0.pools[0].backends[0].isBackup = true
                }
            )
            let after = try #require(await gateway.gateway.pools["p"]?.pool.members.first)
            #expect(after.backend.weight == 7 && after.backend.isBackup)
            let status = try #require(await Self.status(gateway))
            #expect(status.connections == 1)
            #expect(status.counts.connects == ["ok": 1])
            #expect(status.state == .ejected)
            try await socket.close()
            #expect(await Patience.wait { after.snapshot.connections == 0 ? true : nil } != nil)
        }
    }

    @Test(
        "an operator's word outlives a reload that leaves the backend, and no other",
        arguments: [BackendHealth.Override.drain, .disable, .enable]
    )
    func override(_ word: BackendHealth.Override) async throws {
        try await Self.withRelay { gateway, port, member in
            #expect(await gateway.gateway.override(word, pool: "p", backend: member.url))
            #expect(try await gateway.status("/relay") == (word == .enable ? 101 : 503))
            _ = try await gateway.gateway.reload(Self.next(port, "2") { $0.pools[0].connectTimeout = .seconds(3) })
            #expect(await Self.status(gateway)?.override == word.rawValue)
            _ = try await gateway.gateway.reload(
                Self.next(port, "3") {
                    $0.pools[0].connectTimeout = .seconds(3)
                    $0.pools[0].backends[0].weight = 2
                }
            )
            #expect(await Self.status(gateway)?.override == nil)
            #expect(try await gateway.status("/relay") == 101)
            #expect(await gateway.gateway.override(word, pool: "p", backend: member.url))
            #expect(await gateway.gateway.override(nil, pool: "p", backend: member.url))
            #expect(try await gateway.status("/relay") == 101)
        }
    }

    @Test("a reload that fails leaves an operator's word")
    func failed() async throws {
        try await Self.withRelay { gateway, port, member in
            #expect(await gateway.gateway.override(.drain, pool: "p", backend: member.url))
            await #expect(throws: Gateway.Failure.self) {
                try await gateway.gateway.reload(
                    Self.next(port, "2") {
                        $0.pools[0].backends[0].weight = 2
                        $0.services[1].path = PathPattern(path: "/echo")
                    }
                )
            }
            #expect(await Self.status(gateway)?.override == "drain")
        }
    }

    @Test("sessions end with a backend of their own pool, and stay with that of another")
    func onDown() async throws {
        try await Self.withRelay { configuration in
            var other = configuration.pools[0]
            other.name = "q"
            configuration.pools[0].onDown = .close
            configuration.pools.append(other)
            configuration.services.append(
                .init(name: "other", path: PathPattern(path: "/other"), kind: .proxy(pool: "q", frames: .text))
            )
            // One failure is enough, and the check itself never fails.
            configuration.pools[0].check = .init()
            configuration.pools[0].check?.fall = 1
            configuration.pools[0].check?.every = .seconds(60)
        } body: { gateway, _, member in
            let ends = try await gateway.connect("/relay")
            let stays = try await gateway.connect("/other")
            let pool = try #require(await gateway.gateway.pools["p"]?.pool)
            _ = await Patience.wait { member.snapshot.checks["ok"] }
            pool.checked(member, ConnectFailure(.refused, "gone"))
            #expect(try await ends.closed().code == .badGateway)
            try await stays.send("hello")
            #expect(try await stays.receive() == .text("hello"))
            try await stays.close()
        }
    }

    @Test("a backend that its check has found down is back where a reload takes the check away")
    func withoutCheck() async throws {
        try await Self.withRelay {
            $0.pools[0].check = .init()
            $0.pools[0].check?.fall = 1
            $0.pools[0].check?.every = .seconds(60)
        } body: { gateway, port, member in
            let pool = try #require(await gateway.gateway.pools["p"]?.pool)
            _ = await Patience.wait { member.snapshot.checks["ok"] }
            pool.checked(member, ConnectFailure(.refused, "gone"))
            #expect(try await gateway.status("/relay") == 503)
            _ = try await gateway.gateway.reload(Self.next(port, "2") { $0.pools[0].check = nil })
            #expect(try await gateway.status("/relay") == 101)
            // The answer of a check that was under way.
            pool.checked(member, ConnectFailure(.refused, "gone"))
            #expect(try await gateway.status("/relay") == 101)
        }
    }

    @Test("a backend that was left out is back where a reload has nobody left out")
    func withoutEjection() async throws {
        try await Self.withRelay { gateway, port, member in
            let rule = GatewayConfiguration.Ejection()
            member.withState { state in
                for _ in 0..<rule.failures {
                    _ = state.health.failed(.connect, "no", rule, mayEject: true, now: .now())
                }
            }
            #expect(try await gateway.status("/relay") == 503)
            _ = try await gateway.gateway.reload(Self.next(port, "2") { $0.pools[0].eject = nil })
            #expect(try await gateway.status("/relay") == 101)
        }
    }

    @Test("a failure of a connection from before a reload is judged by the pool in force")
    func judged() throws {
        var rules = GatewayConfiguration.Pool(name: "p")
        rules.backends = [.local(1), .local(2)]
        rules.eject?.failures = 1
        let old = try BackendPool(rules, tls: nil)
        rules.backends = [.local(1)]
        let new = try BackendPool(rules, tls: nil, after: old)
        new.begin()
        old.failed(old.members[0], .use, "no")
        #expect(new.members[0].snapshot.health.state(.now()) == .up, "the last one is never left out")
        old.failed(old.members[1], .use, "no")
        #expect(old.members[1].snapshot.health.state(.now()) == .up, "nobody asks for it any more")
    }

    @Test(
        "the sessions of a service that is gone end as it says",
        arguments: [GatewayConfiguration.OnRemove.keep, .close, .drain]
    )
    func onRemove(_ rule: GatewayConfiguration.OnRemove) async throws {
        try await Self.withRelay {
            $0.services[1].onRemove = rule
        } body: { gateway, port, _ in
            let socket = try await gateway.connect("/relay")
            _ = try await gateway.gateway.reload(Self.next(port, "2") { $0.services.remove(at: 1) })
            #expect(try await gateway.status("/relay") == 404)
            if rule == .keep {
                try await socket.send("hello")
                #expect(try await socket.receive() == .text("hello"))
                try await socket.close()
            } else {
                #expect(try await socket.closed().code == .serviceRestart)
            }
        }
    }
}
