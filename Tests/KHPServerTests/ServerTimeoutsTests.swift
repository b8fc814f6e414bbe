// Each limit and time that a server's user can set reaches the connections of its endpoints.

import KHPProtocol
import Testing

@testable import KHPServer

@Suite("A server's limits and times reach the connection")
struct ServerTimeoutsTests {
    private typealias Server = WritableKeyPath<WebSocketServer.Timeouts, Duration>
    private typealias Own = WritableKeyPath<Endpoint.Timeouts, Duration>
    private typealias Row = (name: String, server: Server, own: Own?, core: KeyPath<KHPProtocol.Timeouts, Duration>)

    /// The server's times that connections read, with the endpoint's where it can have its own.
    private static func rows() -> [Row] {
        [
            ("opening", \.opening, nil, \.opening), ("extended", \.extended, \.extended, \.extended),
            ("processing", \.processing, \.processing, \.wait), ("replay", \.replay, \.replay, \.replay),
            ("stalledWrite", \.stalledWrite, nil, \.stalledWrite),
            ("closeHold", \.closeHold, \.closeHold, \.closeHold), ("close", \.close, \.close, \.close),
        ]
    }

    /// Members that no row can have: one that may be `nil`, and one that the server itself reads.
    private static let others: Set<String> = ["message", "wrongAnswerWindow"]

    /// The times of a connection at an endpoint.
    private static func times(
        _ server: WebSocketServer.Timeouts,
        _ own: Endpoint.Timeouts?
    ) throws -> KHPProtocol.Timeouts {
        var configuration = WebSocketMount.Configuration()
        configuration.timeouts = server
        let endpoint = Endpoint("/x", options: .init(timeouts: own)) { _ in .complete() }
        let state = try ServerState(configuration: configuration, endpoints: [endpoint])
        let values = try #require(try state.table.endpoints.match("/x")).endpoint.values
        return try #require(values.plan.configuration).timeouts
    }

    @Test("each time, the server's and an endpoint's own")
    func timeouts() throws {
        var server = WebSocketServer.Timeouts()
        var own = Endpoint.Timeouts()
        for (index, row) in Self.rows().enumerated() {
            server[keyPath: row.server] = .seconds(100 + index)
            if let path = row.own { own[keyPath: path] = .seconds(200 + index) }
        }
        server.message = nil
        own.message = .seconds(7)
        for (index, row) in Self.rows().enumerated() {
            #expect(try Self.times(server, nil)[keyPath: row.core] == .seconds(100 + index), "\(row.name)")
            let expected = (row.own == nil ? 100 : 200) + index
            #expect(try Self.times(server, own)[keyPath: row.core] == .seconds(expected), "\(row.name)")
            if let path = row.own { #expect(Endpoint.Timeouts(server)[keyPath: path] == .seconds(100 + index)) }
        }
        #expect(try Self.times(server, nil).message == nil)
        #expect(try Self.times(server, own).message == .seconds(7))
        #expect(Endpoint.Timeouts(server).message == nil)
    }

    @Test("no member is left out")
    func complete() {
        let server = Set(Mirror(reflecting: WebSocketServer.Timeouts()).children.compactMap(\.label))
        #expect(server == Set(Self.rows().map(\.name)).union(Self.others))
        let own = Set(Mirror(reflecting: Endpoint.Timeouts()).children.compactMap(\.label))
        #expect(own == Set(Self.rows().filter { $0.own != nil }.map(\.name)).union(["message"]))
    }

    @Test("an endpoint's keep-alive goes before the server's")
    func keepAlive() throws {
        var configuration = WebSocketMount.Configuration()
        configuration.keepAlive.pingInterval = .seconds(5)
        var own = KeepAliveConfiguration()
        own.pingInterval = nil
        own.idleTimeout = .seconds(3)
        let endpoints = [
            Endpoint("/own", options: .init(keepAlive: own)) { _ in .complete() },
            Endpoint("/servers") { _ in .complete() },
        ]
        let state = try ServerState(configuration: configuration, endpoints: endpoints)
        for (path, ping, idle) in [("/own", nil, .seconds(3)), ("/servers", Duration.seconds(5), nil as Duration?)] {
            let values = try #require(try state.table.endpoints.match(path)).endpoint.values
            let connection = try #require(values.plan.configuration)
            #expect(connection.keepAlive.pingInterval == ping, "\(path)")
            #expect(connection.keepAlive.idleTimeout == idle, "\(path)")
        }
    }
}
