// A gateway that a test drives by hand: no signals, no admin address, and drains that take no time.

import HTTPTypes
import KHPClient
import KHPServer
import NIOCore
import Synchronization

@testable import KHPGateway

/// A gateway without a run around it, as a test drives it.
struct BareGateway: Sendable {
    let gateway: Gateway
    let lines: Lines
    let ports: [String: Int]

    final class Lines: Sendable {
        private let all = Mutex<[String]>([])

        func add(_ line: String) { self.all.withLock { $0.append(line) } }
        func with(_ words: String...) -> [String] {
            self.all.withLock { $0.filter { line in words.allSatisfy { line.contains($0) } } }
        }
    }

    func url(_ path: String, listener: String = "public") -> String {
        "ws://127.0.0.1:\(self.ports[listener] ?? 0)\(path)"
    }

    func connect(_ path: String = "/echo", listener: String = "public") async throws -> WebSocket {
        try await WebSocketClient().connect(to: self.url(path, listener: listener))
    }

    /// The status of the handshake of one who is not let in; 101 for one who is.
    func status(_ path: String = "/echo", listener: String = "public") async throws -> Int {
        do {
            try await self.connect(path, listener: listener).close()
            return 101
        } catch let error as WebSocketError {
            return error.response?.status ?? 0
        }
    }

    /// Runs one, and shuts it down behind the body, unless that has been done.
    static func run(
        backend port: Int = 1,
        progress: Duration = .seconds(5),
        _ change: (inout GatewayConfiguration) -> Void = { _ in },
        body: (BareGateway) async throws -> Void
    ) async throws {
        var configuration = Self.configuration(backend: port)
        change(&configuration)
        try await self.run(GatewayMaterials(configuration, hash: "1"), progress: progress, body: body)
    }

    /// As ``GatewayTests`` has it, without checks of backends, and with a drain that takes no time.
    static func configuration(backend port: Int = 1) -> GatewayConfiguration {
        var configuration = GatewayTests.configuration(backend: port)
        configuration.pools[0].check = nil
        configuration.shutdown.drain = .zero
        return configuration
    }

    static func run(
        _ materials: GatewayMaterials,
        progress: Duration = .seconds(5),
        grace: Duration = .seconds(1),
        body: (BareGateway) async throws -> Void
    ) async throws {
        let lines = Lines()
        let gateway = Gateway(materials, threads: 2, progress: progress, grace: grace) { lines.add($0) }
        let listening = try await gateway.start()
        let ports = Dictionary(uniqueKeysWithValues: listening.map { ($0.name, $0.address.port ?? 0) })
        let result: Result<Void, any Error>
        do {
            try await body(BareGateway(gateway: gateway, lines: lines, ports: ports))
            result = .success(())
        } catch {
            result = .failure(error)
        }
        if await gateway.phase != .ended { _ = await gateway.shutDown() }
        try result.get()
    }

    /// The answer of the admin address, whose routes are asked without a socket.
    func admin(_ method: HTTPRequest.Method, _ path: String) async -> HandshakeResponse {
        let routes = AdminRoutes(gateway: self.gateway, access: AdminAccess(.init(listen: .unix(path: "/a")))) {
            .failed(["none is to be read"])
        }
        return await routes.answer(HTTPRequest(method: method, scheme: "http", authority: "localhost", path: path))
    }
}
