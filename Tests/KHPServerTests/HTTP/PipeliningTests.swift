// A client that sends very many requests at once must not keep the event loop from others.

import HTTPTypes
import KHPServer
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@Suite("Pipelined requests") struct PipeliningTests {
    private static func get(_ path: String) -> String { "GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n" }

    @Test("another connection is served between thousands of requests that came together (threat A23)")
    func fairness() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let served = Atomic(0)
        let servedBefore = Mutex<Int?>(nil)
        let other = Mutex<BlockingSocket?>(nil)
        var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
        configuration.gracefulShutdownTimeout = .milliseconds(10)
        configuration.serveHTTP = { exchange in
            switch exchange.request.path {
            case "/first":
                // On the loop: whatever comes of it is there before the second request is taken.
                try? other.withLock { try $0?.send(Self.get("/other")) }
            case "/other":
                let count = served.load(ordering: .relaxed)
                servedBefore.withLock { $0 = $0 ?? count }
            default:
                served.add(1, ordering: .relaxed)
            }
            try await exchange.respond(.init(status: .ok), "")
        }
        let server = WebSocketServer(configuration: configuration, eventLoopGroup: group) { echo() }
        let run = Task { try await server.run() }
        let port = try await server.boundPort() ?? 0
        try await offThread {
            let socket = try BlockingSocket.connect(port)
            try socket.send(Self.get("/hello"))
            _ = try socket.receiveHead()
            other.withLock { $0 = socket }
            let client = try BlockingSocket.connect(port)
            // No more than one read takes.
            try client.send(Self.get("/first") + String(repeating: Self.get("/x"), count: 1_500))
            _ = try socket.receiveHead()
            client.close()
            socket.close()
        }
        run.cancel()
        try await run.value
        try await group.shutdownGracefully()
        let before = try #require(servedBefore.withLock { $0 })
        #expect(before < 500, "\(before) requests were served first")
    }
}
