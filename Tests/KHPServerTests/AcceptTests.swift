// How fast a listener takes the connections that wait for it.

import KHPProtocol
import KHPServer
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@Suite("Accepting") struct AcceptTests {
    /// Counts connections, and those that one turn of the event loop has accepted.
    private final class Turns: ServerInstrument {
        private let eventLoop: any EventLoop
        private let accepted = Mutex(0)
        private let (firstTurns, told) = AsyncStream.makeStream(of: Int.self)

        init(_ eventLoop: any EventLoop) { self.eventLoop = eventLoop }

        func accepted(_ connection: ConnectionInfo) -> (any ServerConnectionInstrument)? {
            let count = self.accepted.withLock { accepted in
                accepted += 1
                return accepted
            }
            if count == 1 { self.eventLoop.execute { self.told.yield(self.accepted.withLock { $0 }) } }
            return nil
        }

        /// How many the turn has accepted that accepted the first.
        func first() async -> Int? {
            for await count in self.firstTurns { return count }
            return nil
        }
    }

    @Test("of twenty connections that come at once sixteen are accepted in one turn of the event loop")
    func atOnce() async throws {
        // The kernel may not have them all yet when their clients are connected: then once more.
        var counts: [Int?] = []
        repeat { counts.append(try await self.firstTurn()) } while counts.last != 16 && counts.count < 5
        #expect(counts.last == 16, "\(counts)")
        #expect(counts.allSatisfy { $0.map { $0 <= 16 } ?? false }, "\(counts)")
    }

    /// - Returns: how many of twenty connections the turn has accepted that accepted the first.
    private func firstTurn() async throws -> Int? {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let turns = Turns(group.next())
        var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
        configuration.instruments = [turns]
        let server = WebSocketServer(configuration: configuration, eventLoopGroup: group) { echo() }
        let run = Task { try await server.run() }
        let port = try await server.boundAddress().port ?? 0
        // The kernel takes them meanwhile.
        let (clients, connected) = AsyncStream.makeStream(of: [RawClient].self)
        let connecting = Task {
            var all: [RawClient] = []
            for _ in 0..<20 { all.append(try await RawClient.connect(port)) }
            connected.yield(all)
        }
        let mayGoOn = Mutex(false)
        group.next().execute { while !mayGoOn.withLock({ $0 }) {} }
        for await all in clients {
            #expect(all.count == 20)
            break
        }
        mayGoOn.withLock { $0 = true }
        let count = await turns.first()
        try await connecting.value
        run.cancel()
        _ = try? await run.value
        try await group.shutdownGracefully()
        return count
    }
}
