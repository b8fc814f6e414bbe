// W10-13 beyond states and counts: how an end is told apart from a failure, and what a socket that nobody holds does
// with what was sent.

import KHPClient
import KHPProtocol
import KHPServer
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@Suite("The events of the WebSocket API (W10-13)")
struct SocketLifeTests {
    private static func connect(_ port: Int) async throws -> WebSocket {
        try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/x")
    }

    @Test("messages in order, and a close that was clean, with its code and no error")
    func clean() async throws {
        try await withServer {
            Endpoint("/x") { socket in
                for number in 1...3 { try await socket.send("\(number)") }
                try await socket.close(code: .goingAway, reason: "enough")
            }
        } body: { port in
            let socket = try await Self.connect(port)
            var received: [WebSocketMessage] = []
            for try await message in socket.messages { received.append(message) }
            #expect(received == [.text("1"), .text("2"), .text("3")])
            let end = try await socket.closed()
            #expect(end.clean && end.code == .goingAway && end.reason == "enough" && end.error == nil)
            #expect(end.initiator == .peer)
            #expect(await socket.state == .closed(wasClean: true))
        }
    }

    @Test("an end without a close frame is an error and not clean, and is told once to each who waits")
    func unclean() async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, outbound in
                for try await bytes in inbound {
                    guard let key = String(buffer: bytes).firstMatch(of: /Sec-WebSocket-Key: (\S+)/) else { break }
                    let accept = AcceptKey.accept(for: String(key.1))
                    try await outbound.write(
                        ByteBuffer(
                            string: "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                + "Sec-WebSocket-Accept: \(accept)\r\n\r\n\u{1}\u{0}"
                        )
                    )
                    break
                }
            }
        } body: { port in
            let socket = try await Self.connect(port)
            await #expect { for try await _ in socket.messages {} } throws: { ($0 as? WebSocketError)?.code == .closed }
            let end = try await socket.closed()
            #expect(!end.clean && end.error != nil)
            #expect(await socket.state == .closed(wasClean: false))
            await #expect(throws: WebSocketError.self) { try await socket.send("too late") }
        }
    }

    @Test("each call returns where the event loop was shut down", .timeLimit(.minutes(1)))
    func shutDown() async throws {
        try await withServer {
            Endpoint("/x") { socket in for try await _ in socket.messages {} }
        } body: { port in
            let loops = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            let socket = try await WebSocketClient(eventLoopGroup: loops).connect(to: "ws://127.0.0.1:\(port)/x")
            try await loops.shutdownGracefully()
            func isClosed(_ call: () async throws -> Void) async -> Bool {
                do {
                    try await call()
                    return false
                } catch {
                    return (error as? WebSocketError)?.code == .closed
                }
            }
            #expect(await isClosed { try await socket.send("too late") })
            #expect(
                await isClosed { try await socket.stream(.text) { try await $0.write(ByteBuffer(string: "late")) } }
            )
            #expect(await isClosed { _ = try await socket.ping() })
            #expect(await isClosed { try await socket.pong() })
            #expect(await isClosed { _ = try await socket.receive() })
            #expect(try await !socket.close().clean)
            #expect(try await !socket.closed().clean)
            #expect(await socket.state == .closed(wasClean: false))
            #expect(await socket.bufferedAmount == 0)
            var states: [WebSocketState] = []
            for await state in socket.states { states.append(state) }
            #expect(states == [.closed(wasClean: false)])
            let group = WebSocketGroup()
            await group.withMember(socket) { _ in }
            #expect(group.count == 0)
        }
    }

    @Test("what was sent arrives, although nobody holds the socket any more", .timeLimit(.minutes(1)))
    func dataQueued() async throws {
        let gate = AsyncStream.makeStream(of: Void.self)
        let all = AsyncStream.makeStream(of: Int.self)
        try await withServer {
            Endpoint("/x") { socket in
                for await _ in gate.stream { break }
                var count = 0
                do {
                    for try await message in socket.messages {
                        if case .text(let text) = message, text.utf8.count == 5000 { count += 1 }
                    }
                } catch {}
                all.continuation.yield(count)
                all.continuation.finish()
            }
        } body: { port in
            var socket: WebSocket? = try await Self.connect(port)
            for _ in 0..<10 { try await socket?.send(String(repeating: "x", count: 5000)) }
            socket = nil
            gate.continuation.yield()
            var received: Int?
            for await count in all.stream { received = count }
            #expect(received == 10)
        }
    }
}
