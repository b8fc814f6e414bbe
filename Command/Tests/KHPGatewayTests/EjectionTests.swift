// Backends that take part in a pool whatever their clients say: what a client chooses takes none out (threat H13).

import CommandTestSupport
import KHPClient
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import Testing

@testable import KHPGateway

@Suite("Clients take no backend out", .timeLimit(.minutes(1)))
struct EjectionTests {
    /// The ways in which a WebSocket backend may take a request that it does not like.
    enum Answer: Sendable, CaseIterable {
        /// It ends the connection, as brokers do that do not know the subprotocol.
        case end
        case silence
        case refusal
        case failure
        case unavailable
        /// It agrees on something that nobody has asked for.
        case nonsense

        var text: String? {
            switch self {
            case .end, .silence: nil
            case .refusal: "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
            case .failure: "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
            case .unavailable: "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
            case .nonsense:
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    + "Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
            }
        }
    }

    @Test(
        "a request that names a client, whatever comes of it, takes no WebSocket backend out",
        arguments: Answer.allCases
    )
    func requests(_ answer: Answer) async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, outbound in
                for try await _ in inbound {
                    if answer == .silence { continue }
                    if let text = answer.text { try await outbound.write(ByteBuffer(string: text)) }
                    break
                }
            }
        } body: { port in
            let backends = ["/a", "/b"].map { path in
                GatewayConfiguration.Backend(scheme: .ws, host: "127.0.0.1", port: port, path: path)
            }
            try await withService(backends: backends) { pool in
                pool.eject?.failures = 1
                if answer == .silence { pool.connectTimeout = .milliseconds(100) }
            } body: { view in
                let asked = answer == .silence ? [["bogus"]] : [["bogus"], []]
                for subprotocols in asked {
                    await #expect(throws: WebSocketError.self) {
                        try await WebSocketClient().connect(to: view.url, subprotocols: subprotocols)
                    }
                }
                let members = view.pool.members.map(\.snapshot)
                #expect(members.allSatisfy { $0.health.state(.now()) == .up })
                // They were asked: nobody was spared for nothing.
                #expect(members.reduce(0) { $0 + $1.connects.values.reduce(0, +) } >= asked.count)
            }
        }
    }

    typealias Header = GatewayConfiguration.Pool.ProxyHeader

    /// A backend that ends each connection at the first bytes, those of a PROXY header where one is sent.
    static let rows: [(scheme: GatewayConfiguration.Backend.Scheme, header: Header, counts: Bool)] = [
        (.tls, .off, true), (.wss, .off, true), (.tls, .v1, false), (.tls, .v2, false),
    ]

    @Test(
        "TLS that fails takes a backend out, but not behind a PROXY header, which names the client",
        arguments: Self.rows
    )
    func handshakes(_ row: (scheme: GatewayConfiguration.Backend.Scheme, header: Header, counts: Bool)) async throws {
        let other = GatewayConfiguration.Backend.local(try await PoolTests.freePort())
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, _ in
                for try await _ in inbound { break }
            }
        } body: { port in
            let backend = GatewayConfiguration.Backend(
                scheme: row.scheme,
                host: "127.0.0.1",
                port: port,
                path: row.scheme == .wss ? "/" : ""
            )
            try await withService(backends: [backend, other], tls: .makeClientConfiguration()) { pool in
                pool.backends[1].isBackup = true
                pool.proxyHeader = row.header
                pool.eject?.failures = 1
            } body: { view in
                await #expect(throws: WebSocketError.self) { try await WebSocketClient().connect(to: view.url) }
                let state = view.pool.members[0].snapshot.health.state(.now())
                #expect(state == (row.counts ? .ejected : .up))
            }
        }
    }

    @Test("a backend that nobody reaches is taken out", arguments: [GatewayConfiguration.Backend.Scheme.tcp, .ws])
    func unreached(_ scheme: GatewayConfiguration.Backend.Scheme) async throws {
        let port = try await PoolTests.freePort()
        let backends = [
            GatewayConfiguration.Backend(
                scheme: scheme,
                host: "127.0.0.1",
                port: port,
                path: scheme == .ws ? "/" : ""
            ),
            GatewayConfiguration.Backend(scheme: .tls, host: "127.0.0.1", port: port),
        ]
        try await withService(backends: backends) { pool in
            pool.backends[1].isBackup = true
            pool.eject?.failures = 1
        } body: { view in
            await #expect(throws: WebSocketError.self) {
                try await WebSocketClient().connect(to: view.url, subprotocols: ["bogus"])
            }
            #expect(view.pool.members[0].snapshot.health.state(.now()) == .ejected)
        }
    }

    @Test(
        "a try to which those before it have left less than a fifth of the time says nothing of a backend that hangs",
        arguments: [(79, true), (81, false)]
    )
    func remainders(_ passed: Int, _ counts: Bool) async throws {
        let refused = GatewayConfiguration.Backend.local(try await PoolTests.freePort())
        try await withRawServer { connection in
            // It says nothing in TLS.
            try await connection.executeThenClose { inbound, _ in for try await _ in inbound {} }
        } body: { port in
            var rules = GatewayConfiguration.Pool(name: "p")
            rules.backends = [refused, .init(scheme: .tls, host: "127.0.0.1", port: port)]
            rules.backends[1].isBackup = true
            // The first is refused well within it.
            let time = 500 * Sanitizer.patience
            rules.connectTimeout = .milliseconds(time)
            let pool = try BackendPool(rules, tls: .makeClientConfiguration())
            // The first is asked at once, and the second when so much of the time has passed.
            let readings = Mutex(0)
            let begin = NIODeadline.now()
            let failure = await #expect(throws: ConnectFailure.self) {
                try await pool.connect(BackendCall(on: MultiThreadedEventLoopGroup.singleton.any())) {
                    let reading = readings.withLock { readings in
                        readings += 1
                        return readings
                    }
                    return reading < 3 ? begin : begin + .milliseconds(Int64(time * passed / 100))
                }
            }
            #expect(failure?.kind == .timeout && failure?.tries.count == 2)
            let errors = pool.members.map(\.snapshot.health.lastError)
            #expect(errors == ["the connection was refused", counts ? "it did not answer in time" : nil])
            #expect(pool.members[1].snapshot.connects == ["timeout": 1])
        }
    }
}
