// The route `tcp:`: what either side sent arrives, and an end that lost something is visibly broken.

import CommandTestSupport
import Foundation
import KHPClient
import KHPGateway
import KHPServer
import NIOCore
import NIOPosix
import Testing

@Suite("Relaying to a byte stream", .timeLimit(.minutes(1)))
struct RelayTests {
    private static let patience = Duration.milliseconds(400)

    private func relaying<R: Sendable>(
        to port: Int,
        patience: Duration = RelayTests.patience,
        ended: @escaping @Sendable () -> Void = {},
        _ body: (Int) async throws -> R
    ) async throws -> R {
        var relay = StreamRelay(named: "the stream")
        relay.patience = patience
        return try await withServer {
            relay.endpoint("/tcp", to: "127.0.0.1", port, ended: ended)
        } body: {
            try await body($0)
        }
    }

    /// A raw client that has opened.
    private func open(_ port: Int, receiveBuffer: Int32? = nil) async throws -> BlockingSocket {
        let client = try BlockingSocket.connect(port, receiveBuffer: receiveBuffer)
        try client.send(openingRequest("/tcp"))
        let head = try await offThread { try client.receiveHead() }
        #expect(head.hasPrefix("HTTP/1.1 101 "))
        return client
    }

    private static let piece = 256 * 1024
    private static let pieces = 16

    // MARK: The client ends

    @Test(
        "the client closes: the backend gets every byte, then the end; a code that says failure resets it",
        arguments: [
            (WebSocketCloseCode.normalClosure, BlockingSocket.End.orderly),
            (WebSocketCloseCode(rawValue: 4000), .orderly), (.internalError, .reset), (.badGateway, .reset),
        ]
    )
    func clientCloses(_ code: WebSocketCloseCode, _ end: BlockingSocket.End) async throws {
        // Read slowly: much of it is still under way when the client has closed.
        let served = try await BlockingSocket.serving(receiveBuffer: 16_384) { backend in
            try backend.send("welcome")
            let all = backend.receiveAll { _ in usleep(500) }
            return (all.bytes.count, all.bytes.allSatisfy { $0 == 9 }, all.end)
        } body: { port in
            try await self.relaying(to: port, patience: .seconds(5 * Sanitizer.patience)) { port in
                let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/tcp")
                for _ in 0..<Self.pieces { try await socket.send(ByteBuffer(repeating: 9, count: Self.piece)) }
                let info = try await socket.close(code: code)
                #expect(info.clean)
            }
        }
        // A reset overtakes what is under way.
        if end == .orderly { #expect(served.served.0 == Self.pieces * Self.piece) }
        #expect(served.served.1)
        #expect(served.served.2 == end)
    }

    @Test("the client vanishes: what it sent arrives, the end does not look orderly", arguments: [false, true])
    func clientVanishes(resets: Bool) async throws {
        let served = try await BlockingSocket.serving { backend in
            let first = try backend.receive(5)
            try backend.send("k")
            return (first, backend.receiveAll().end)
        } body: { port in
            try await self.relaying(to: port) { port in
                let client = try await self.open(port)
                try client.send(maskedFrame(2, [1, 2, 3, 4, 5]))
                // The backend has them.
                #expect(try await offThread { try client.receive(3) } == [0x82, 1, 0x6B])
                if resets { client.reset() } else { client.close() }
            }
        }
        #expect(served.served.0 == [1, 2, 3, 4, 5])
        #expect(served.served.1 == .reset)
    }

    @Test("the client closes and the backend never ends: it is not waited for without bound")
    func backendNeverEnds() async throws {
        let (done, isDone) = AsyncStream.makeStream(of: Void.self)
        _ = try await BlockingSocket.serving { backend in
            _ = backend.receiveAll()
            // It has seen the end, and goes on talking until it cannot.
            while (try? backend.send([UInt8](repeating: 1, count: 10_000))) != nil {}
        } body: { port in
            try await self.relaying(to: port, ended: { isDone.finish() }) { port in
                let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/tcp")
                try await socket.send("bye")
                try await socket.close()
                for await _ in done {}
            }
        }
    }

    // MARK: The backend ends

    /// Says goodbye as soon as it can, and reads on.
    private final class Bye: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        func channelActive(context: ChannelHandlerContext) {
            context.writeAndFlush(NIOAny(ByteBuffer(string: "bye")), promise: nil)
            context.close(mode: .output, promise: nil)
        }
    }

    @Test("a backend that speaks and ends as soon as it has accepted: the client gets its bytes, then 1000")
    func backendEndsAtOnce() async throws {
        let backend = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Bye()) }
            }
            .bind(host: "127.0.0.1", port: 0)
            .get()
        defer { backend.close(promise: nil) }
        try await self.relaying(to: backend.localAddress?.port ?? 0) { port in
            // The end and the set-up of the stream race each other.
            for _ in 0..<60 {
                let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/tcp")
                var received = ByteBuffer()
                for try await case .binary(let bytes) in socket.messages { received.writeImmutableBuffer(bytes) }
                #expect(String(buffer: received) == "bye")
                let info = try await socket.closed()
                #expect(info.code == .normalClosure)
            }
        }
    }

    @Test("the backend ends: the client gets every byte, then 1000", arguments: [1, 3_000_000])
    func backendEnds(_ count: Int) async throws {
        let served = try await BlockingSocket.serving { backend in
            try backend.send([UInt8](repeating: 5, count: count))
            backend.finish()
            // The client's words until it has seen the end arrive as well.
            return backend.receiveAll()
        } body: { port in
            try await self.relaying(to: port, patience: .seconds(5 * Sanitizer.patience)) { port in
                let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/tcp")
                try await socket.send(ByteBuffer(repeating: 2, count: 1000))
                var received = 0
                for try await message in socket.messages { received += message.byteCount }
                #expect(received == count)
                let info = try await socket.closed()
                #expect(info.code == .normalClosure)
                #expect(info.clean)
            }
        }
        #expect(served.served.bytes.count == 1000)
        #expect(served.served.end == .orderly)
    }

    @Test("the backend resets: 1014, never 1000", arguments: [0, 1, 100_000])
    func backendResets(_ count: Int) async throws {
        _ = try await BlockingSocket.serving { backend in
            _ = try backend.receive(1)
            try backend.send([UInt8](repeating: 5, count: count))
            backend.reset()
        } body: { port in
            try await self.relaying(to: port) { port in
                let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/tcp")
                try await socket.send("x")
                for try await _ in socket.messages {}
                let info = try await socket.closed()
                #expect(info.code == .badGateway)
                #expect(info.clean)
            }
        }
    }

    @Test("the backend resets while the client sends: 1014 as well")
    func backendResetsWhileSending() async throws {
        _ = try await BlockingSocket.serving(receiveBuffer: 4096) { backend in
            _ = try backend.receive(100_000)
            backend.reset()
        } body: { port in
            try await self.relaying(to: port) { port in
                let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/tcp")
                let sender = Task {
                    while true { try await socket.send(ByteBuffer(repeating: 1, count: 65_536)) }
                }
                let info = try await socket.closed()
                #expect(info.code == .badGateway)
                _ = try? await sender.value
            }
        }
    }

    @Test("nobody listens there: 1014")
    func nobody() async throws {
        // A port that was free a moment ago.
        let port = try await withServer {
            echo()
        } body: {
            $0
        }
        try await self.relaying(to: port) { port in
            let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/tcp")
            #expect(try await socket.closed().code == .badGateway)
        }
    }

    // MARK: Nobody reads

    @Test("a backend that takes nothing for too long ends the socket with 1014")
    func backendDoesNotRead() async throws {
        let isOver = ThreadFlag()
        _ = try await BlockingSocket.serving(receiveBuffer: 4096) { _ in
            isOver.wait()
        } body: { port in
            defer { isOver.raise() }
            let (done, isDone) = AsyncStream.makeStream(of: Void.self)
            try await self.relaying(to: port, ended: { isDone.finish() }) { port in
                let began = ContinuousClock.now
                let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/tcp")
                let sender = Task {
                    while true { try await socket.send(ByteBuffer(repeating: 1, count: 65_536)) }
                }
                #expect(try await socket.closed().code == .badGateway)
                for await _ in done {}
                _ = try? await sender.value
                #expect(ContinuousClock.now - began < .seconds(5 * Sanitizer.patience))
            }
        }
    }

    @Test("a client that sends, reads nothing and resets gives its place back at once")
    func clientResetsBehindAFullBackend() async throws {
        let isOver = ThreadFlag()
        _ = try await BlockingSocket.serving(receiveBuffer: 4096) { backend in
            // Reads nothing until the relay has given up.
            isOver.wait()
            #expect(backend.receiveAll().end == .reset)
        } body: { port in
            defer { isOver.raise() }
            let (done, isDone) = AsyncStream.makeStream(of: Void.self)
            try await self.relaying(to: port, patience: .seconds(30), ended: { isDone.finish() }) { port in
                let client = try await self.open(port, receiveBuffer: 4096)
                try await offThread { try client.sendUntilFull(maskedFrame(2, [UInt8](repeating: 3, count: 60_000))) }
                let began = ContinuousClock.now
                client.reset()
                for await _ in done {}
                #expect(ContinuousClock.now - began < .seconds(3 * Sanitizer.patience))
            }
        }
    }
}
