// A client that sends very many requests at once must not keep the event loop from others, nor make the server keep answers
// that it does not take.

import HTTPTypes
import NIOCore
import NIOEmbedded
import NIOPosix
import Synchronization
import TestSupport
import Testing

@testable import KHPServer

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

    @Test("the next request waits until the client takes responses that the server makes itself (threat A23)")
    func roomBehind() throws {
        let serves: [HTTPSite.Serve] = [
            { _ in }, { _ in throw HandshakeResponse.refuse(401) }, { try await $0.respond(.text("fine")) },
        ]
        for serve in serves {
            for ends in [false, true] {
                let http = try MemoryHTTP(.socket, serve)
                http.channel.isWritable = false
                try http.receive(String(repeating: Self.get("/"), count: 100))
                let first = try http.written()
                #expect(first.ranges(of: "HTTP/1.1 ").count == 1 && http.has(.writing))
                if ends { http.channel.endInput() }
                #expect(http.channel.isActive && http.has(.writing))
                // As far as there is room, and no further.
                http.channel.isWritable = true
                http.channel.pipeline.fireChannelWritabilityChanged()
                // Others come between so many.
                http.loop.advanceTime(by: .milliseconds(1))
                #expect(try http.written().ranges(of: "HTTP/1.1 ").count == 99 && !http.has(.writing))
                #expect(http.channel.isActive != ends)
            }
        }
    }

    @Test("while the client takes nothing, requests behind are read up to a bound, and a drain ends the connection")
    func readsBehind() throws {
        let http = try MemoryHTTP { _ in }
        http.channel.isWritable = false
        try http.receive(Self.get("/"))
        let before = http.wire.reads
        try http.receive(String(repeating: Self.get("/"), count: 64 * 1024 / Self.get("/").utf8.count + 1))
        http.channel.read()
        #expect(http.wire.reads == before)
        http.handler.goAway()
        #expect(http.phase == "ending")
    }
}
