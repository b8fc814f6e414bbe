// A backend that takes connections and is of no use: the check of the gateway's own sees it, and until then it leaves time for
// the next backend.

import CommandTestSupport
import HTTPTypes
import KHPClient
import KHPServer
import NIOCore
import NIOPosix
import Testing

@testable import KHPGateway

@Suite("A backend that hangs", .timeLimit(.minutes(1)))
struct HangingBackendTests {
    private static func backend(_ port: Int) -> GatewayConfiguration.Backend {
        GatewayConfiguration.Backend(scheme: .ws, host: "127.0.0.1", port: port, path: "/in")
    }

    /// Runs a server that answers each connection's first bytes with these, and ends it; with `nil`, it says nothing for ever.
    private static func withAnswer(_ text: String?, body: (Int) async throws -> Void) async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, outbound in
                for try await _ in inbound {
                    guard let text else { continue }
                    if !text.isEmpty { try await outbound.write(ByteBuffer(string: text)) }
                    break
                }
            }
        } body: { port in
            try await body(port)
        }
    }

    private static func check(_ port: Int, timeout: Duration = .seconds(5)) async throws -> ConnectFailure? {
        var rules = GatewayConfiguration.Pool(name: "p")
        rules.backends = [Self.backend(port)]
        let pool = try BackendPool(rules, tls: nil)
        var check = GatewayConfiguration.Check()
        check.timeout = timeout
        let checks = BackendChecks(pool: pool, eventLoop: MultiThreadedEventLoopGroup.singleton.any())
        return await checks.check(pool.members[0], check)
    }

    @Test(
        "and speaks WebSocket fails the check by what it answers to a request",
        arguments: [
            ("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", false),
            ("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", false),
            (
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    + "Sec-WebSocket-Accept: x\r\n\r\n", false
            ),
            ("nonsense\r\n\r\n", false),
            // Somebody has looked at the request, and may have ended the connection.
            ("", true),
            ("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", true),
            ("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"r\"\r\nContent-Length: 0\r\n\r\n", true),
            ("HTTP/1.1 302 Found\r\nLocation: ws://other.example/\r\nContent-Length: 0\r\n\r\n", true),
        ]
    )
    func answers(_ text: String, _ isWell: Bool) async throws {
        try await Self.withAnswer(text) { port in
            let failure = try await Self.check(port)
            #expect((failure == nil) == isWell, "\(String(describing: failure))")
        }
    }

    @Test("fails the check by its silence, and a WebSocket that opens is closed again")
    func silence() async throws {
        try await Self.withAnswer(nil) { port in
            let failure = try await Self.check(port, timeout: .milliseconds(50))
            #expect(failure?.kind == .timeout)
        }
        let seen = AsyncStream.makeStream(of: CloseInfo.self)
        try await withServer {
            Endpoint("/in") { socket, request in
                #expect(request.subprotocols.isEmpty)
                #expect(request.headers[values: .init("Forwarded") ?? .from].isEmpty)
                for try await _ in socket.messages {}
                seen.continuation.yield(try await socket.closed())
            }
        } body: { port in
            let failure = try await Self.check(port)
            #expect(failure == nil)
            for await info in seen.stream {
                #expect(info.code == .normalClosure)
                break
            }
        }
    }

    @Test("leaves time for the next one, and what it did is told")
    func share() async throws {
        try await Self.withAnswer(nil) { hanging in
            try await withServer {
                Endpoint("/in") { socket in
                    for try await message in socket.messages { try await socket.send(message) }
                }
            } body: { good in
                try await withService(backends: [Self.backend(hanging), Self.backend(good)]) { pool in
                    pool.balance = .roundRobin
                    pool.connectTimeout = .milliseconds(300 * Int64(Sanitizer.patience))
                } body: { view in
                    // In turn the one that hangs is the first.
                    for _ in 0..<2 {
                        let socket = try await WebSocketClient().connect(to: view.url)
                        try await socket.close()
                    }
                    let members = view.pool.members.map(\.snapshot)
                    #expect((members[0].connects["timeout"] ?? 0) > 0 && members[1].connects == ["ok": 2])
                    #expect(members[0].health.state(.now()) == .up && members[0].health.lastError != nil)
                }
            }
        }
    }
}
