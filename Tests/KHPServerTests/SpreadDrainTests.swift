// A drain that is spread over a time: sockets are closed one after the other, and nothing new is taken meanwhile.

import KHPClient
import KHPServer
import NIOCore
import TestSupport
import Testing

@Suite("A drain over a time") struct SpreadDrainTests {
    private static func withMount(
        _ configure: (inout WebSocketMount.Configuration) -> Void = { _ in },
        _ body: (WebSocketMount, _ port: Int) async throws -> Void
    ) async throws {
        var configuration = WebSocketMount.Configuration()
        configure(&configuration)
        let mount = try WebSocketMount(configuration: configuration) { echo() }
        let listener = WebSocketListener(
            configuration: .init(address: .hostname("127.0.0.1", port: 0)),
            mount: mount
        )
        let port = try await listener.listen().port ?? 0
        let result: Result<Void, any Error>
        do { result = .success(try await body(mount, port)) } catch { result = .failure(error) }
        await listener.close()
        await mount.drain()
        try result.get()
    }

    private static func open(_ count: Int, _ port: Int) async throws -> [WebSocket] {
        var sockets: [WebSocket] = []
        for _ in 0..<count {
            sockets.append(try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/echo"))
        }
        return sockets
    }

    /// How long after `begin` each socket is closed, the shortest time first.
    private static func ends(of sockets: [WebSocket], since begin: ContinuousClock.Instant) async throws -> [Duration] {
        try await withThrowingTaskGroup(of: Duration.self) { group in
            for socket in sockets {
                group.addTask {
                    let code = try await socket.closed().code
                    #expect(code == .goingAway)
                    return ContinuousClock.now - begin
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }.sorted()
        }
    }

    @Test("sockets are closed evenly with 1001, and what is in a handshake at once", arguments: [false, true])
    func spread(byConfiguration: Bool) async throws {
        try await Self.withMount({ if byConfiguration { $0.drainDuration = .milliseconds(500) } }) { mount, port in
            let sockets = try await Self.open(10, port)
            let pending = try await RawClient.connect(port)
            try await pending.send("GET /echo")
            while mount.connections < 11 { await Task.yield() }
            let begin = ContinuousClock.now
            async let drained: Void = byConfiguration ? mount.drain() : mount.drain(over: .milliseconds(500))
            async let ends = Self.ends(of: sockets, since: begin)
            #expect(try await pending.receiveAll().readableBytes == 0)
            let late = try await RawClient.connect(port)
            #expect(try await String(buffer: late.receiveAll()).hasPrefix("HTTP/1.1 503 "))
            for (index, end) in try await ends.enumerated() {
                #expect(end >= .milliseconds(50 * index), "\(index)")
            }
            await drained
            #expect(mount.connections == 0)
            for client in [pending, late] { try? await client.close() }
        }
    }

    @Test("a plain drain meanwhile closes the rest at once, and one without sockets takes no time")
    func shortened() async throws {
        try await Self.withMount { mount, port in
            let sockets = try await Self.open(5, port)
            async let long: Void = mount.drain(over: .seconds(3600))
            async let ends = Self.ends(of: sockets, since: ContinuousClock.now)
            while mount.connections > 4 { await Task.yield() }
            await mount.drain()
            #expect(try await ends.count == 5)
            await long
            await mount.drain(over: .seconds(3600))
        }
    }

    @Test("a peer that does not answer is dropped the graceful shutdown's time behind the drain's")
    func stalled() async throws {
        try await Self.withMount({ $0.gracefulShutdownTimeout = .milliseconds(100) }) { mount, port in
            let peer = try await RawClient.connect(port)
            try await peer.send(openingRequest("/echo"))
            _ = try await peer.receive { String(buffer: $0).hasSuffix("\r\n\r\n") }
            let begin = ContinuousClock.now
            await mount.drain(over: .milliseconds(100))
            #expect(ContinuousClock.now - begin >= .milliseconds(200))
            #expect(mount.connections == 0)
            try? await peer.close()
        }
    }
}
