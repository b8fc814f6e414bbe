// A service at work in front of a backend that a test plays.

import KHPServer
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

@testable import KHPGateway

/// The sessions that have ended, for a test that waits for them.
final class Ends: Sendable {
    private let stream = AsyncStream.makeStream(of: EndedSession.self)

    func add(_ ended: EndedSession) { self.stream.continuation.yield(ended) }

    /// The next session that ends.
    func next() async -> EndedSession? {
        for await ended in self.stream.stream { return ended }
        return nil
    }
}

/// A running service, as a test sees it.
struct ServiceView: Sendable {
    var port: Int
    var ends: Ends
    var sessions: SessionTable
    var pool: BackendPool
    var service: RunningService

    var url: String { "ws://127.0.0.1:\(self.port)/x" }
}

/// Runs a service with one pool.
func withService<Result: Sendable>(
    backends: [GatewayConfiguration.Backend],
    frames: GatewayConfiguration.Frames? = nil,
    kind: GatewayConfiguration.Kind? = nil,
    tls: TLSConfiguration? = nil,
    drain: Drain = Drain(),
    pool configurePool: (inout GatewayConfiguration.Pool) -> Void = { _ in },
    rules configure: (inout GatewayConfiguration.Rules) -> Void = { _ in },
    opened: @escaping @Sendable (SessionFacts) -> Void = { _ in },
    body: (ServiceView) async throws -> Result
) async throws -> Result {
    var poolRules = GatewayConfiguration.Pool(name: "p")
    poolRules.backends = backends
    poolRules.check = nil
    configurePool(&poolRules)
    var rules = GatewayConfiguration.Rules()
    configure(&rules)
    let ends = Ends()
    var surroundings = ServiceSurroundings(sessions: SessionTable(MultiThreadedEventLoopGroup.singleton))
    let pool = try BackendPool(poolRules, tls: tls)
    surroundings.pools = ["p": pool]
    surroundings.drain = drain
    surroundings.opened = opened
    surroundings.ended = { ends.add($0) }
    let service = RunningService(
        GatewayConfiguration.Service(
            name: "s",
            path: PathPattern(path: "/x"),
            kind: kind ?? .proxy(pool: "p", frames: frames),
            rules: rules
        ),
        in: surroundings
    )
    var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
    configuration.gracefulShutdownTimeout = .seconds(2)
    configuration.limits.sendBufferHighMark = rules.relay.buffer
    configuration.limits.sendBufferLowMark = rules.relay.buffer / 2
    configuration.timeouts.stalledWrite = rules.relay.stalled + .seconds(5)
    let server = WebSocketServer(
        configuration: configuration,
        endpoints: [try service.endpoint(on: "l", limits: configuration.limits)]
    )
    let run = Task { try await server.run() }
    defer { run.cancel() }
    let view = ServiceView(
        port: try await server.boundPort() ?? 0,
        ends: ends,
        sessions: surroundings.sessions,
        pool: pool,
        service: service
    )
    let result = try await body(view)
    run.cancel()
    try await run.value
    return result
}

extension GatewayConfiguration.Backend {
    static func local(_ port: Int) -> GatewayConfiguration.Backend {
        GatewayConfiguration.Backend(scheme: .tcp, host: "127.0.0.1", port: port)
    }
}
