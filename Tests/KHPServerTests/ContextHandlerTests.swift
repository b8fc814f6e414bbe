// A handler on the event loop with a value of its handshake, and what such a handler may do to its socket: a relay is made of
// these.

import KHPClient
import KHPServer
import NIOCore
import Synchronization
import TestSupport
import Testing

@Suite("A handler on the event loop with a context", .timeLimit(.minutes(1)))
struct ContextHandlerTests {
    /// All that happened, in order; and a wait for it.
    private final class Ledger: Sendable {
        private let events = Mutex<[String]>([])
        private let news = AsyncStream.makeStream(of: String.self)

        var all: [String] { self.events.withLock { $0 } }

        func add(_ event: String) {
            self.events.withLock { $0.append(event) }
            self.news.continuation.yield(event)
        }

        func wait(for event: String) async {
            for await news in self.news.stream where news == event { break }
        }
    }

    /// Notes all that it is told.
    private final class Noting: MessageHandler {
        let ledger: Ledger
        let reads: Bool
        let onOpen: (EventLoopSocket) -> Void
        var bytes = 0

        init(_ ledger: Ledger, reads: Bool = false, onOpen: @escaping (EventLoopSocket) -> Void = { _ in }) {
            self.ledger = ledger
            self.reads = reads
            self.onOpen = onOpen
        }

        var readsFromCongestedPeer: Bool { self.reads }

        func opened(_ socket: EventLoopSocket) {
            self.ledger.add("opened")
            self.onOpen(socket)
        }

        func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {
            self.bytes += message.bytes.readableBytes
            self.ledger.add(message.kind == .text ? String(buffer: message.bytes) : "\(self.bytes) bytes")
        }

        func writabilityChanged(on socket: EventLoopSocket) {
            self.ledger.add(socket.isWritable ? "writable" : "congested, \(socket.bufferedAmount > 0)")
        }

        func closed(_ info: CloseInfo) { self.ledger.add("closed") }
    }

    @Test(
        "the value is made on the socket's event loop and released behind the end",
        arguments: [ExtendedHandshakePolicy.required, .off]
    )
    func released(_ policy: ExtendedHandshakePolicy) async throws {
        let ledger = Ledger()
        try await withServer {
            Endpoint(
                "/x",
                context: { request in
                    #expect(request.eventLoop.inEventLoop)
                    return "value of \(request.path)"
                },
                release: { ledger.add("released \($0)") },
                messageHandler: { request, value in
                    #expect(request.eventLoop.inEventLoop)
                    ledger.add(value)
                    return Noting(ledger)
                }
            )
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            configuration.extended.policy = policy
            let socket = try await WebSocketClient(configuration: configuration).connect(to: "ws://127.0.0.1:\(port)/x")
            try await socket.send("hello")
            try await socket.close()
            await ledger.wait(for: "released value of /x")
        }
        #expect(ledger.all == ["value of /x", "opened", "hello", "closed", "released value of /x"])
    }

    @Test("a value that no socket takes is released", arguments: [ExtendedHandshakePolicy.required, .off])
    func refused(_ policy: ExtendedHandshakePolicy) async throws {
        let ledger = Ledger()
        try await withServer {
            Endpoint(
                "/x",
                context: { _ in 1 },
                release: { _ in ledger.add("released") },
                respond: { _, _ in .refuse(503, "no room") },
                messageHandler: { _, _ in Noting(ledger) }
            )
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            configuration.extended.policy = policy
            await #expect(throws: WebSocketError.self) {
                _ = try await WebSocketClient(configuration: configuration).connect(to: "ws://127.0.0.1:\(port)/x")
            }
        }
        #expect(ledger.all == ["released"])
    }

    @Test("a paused handler gets nothing, and all of it after it has resumed")
    func pauses() async throws {
        let ledger = Ledger()
        let held = AsyncStream.makeStream(of: NIOLoopBound<EventLoopSocket>.self)
        let (count, size) = (64, 128 * 1024)
        try await withServer {
            Endpoint(
                "/x",
                context: { $0.eventLoop },
                messageHandler: { _, eventLoop in
                    Noting(ledger) { socket in
                        socket.pauseReading()
                        held.continuation.yield(NIOLoopBound(socket, eventLoop: eventLoop))
                    }
                }
            )
        } body: { port in
            let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/x")
            let sending = Task {
                for _ in 0..<count { try await socket.send(ByteBuffer(repeating: 1, count: size)) }
                // Writable again, so that the network has taken all but the last marks.
                return try await socket.close()
            }
            for await bound in held.stream {
                // The pause holds over turns of the loop, and over reads of what has come.
                for _ in 0..<20 { try await bound.eventLoop.scheduleTask(in: .milliseconds(1)) {}.futureResult.get() }
                #expect(ledger.all == ["opened"])
                bound.eventLoop.execute { bound.value.resumeReading() }
                break
            }
            #expect(try await sending.value.clean)
        }
        #expect(ledger.all.contains("\(count * size) bytes"))
        #expect(ledger.all.last == "closed")
    }

    @Test(
        "a peer that does not read is read from where the handler says so, and not otherwise",
        arguments: [true, false]
    )
    func congestion(_ reads: Bool) async throws {
        let ledger = Ledger()
        try await withServer {
            Endpoint(
                "/x",
                context: { _ in },
                messageHandler: { _, _ in
                    Noting(ledger, reads: reads) { socket in
                        for _ in 0..<64 { try? socket.send(.binary, ByteBuffer(repeating: 1, count: 256 * 1024)) }
                    }
                }
            )
        } body: { port in
            let socket = try await WebSocketClient().connect(to: "ws://127.0.0.1:\(port)/x")
            try await socket.send("hello")
            await ledger.wait(for: reads ? "hello" : "congested, true")
            var bytes = 0
            for try await message in socket.messages {
                if case .binary(let payload) = message { bytes += payload.readableBytes }
                if bytes == 64 * 256 * 1024 { try await socket.close() }
            }
        }
        let events = ledger.all
        #expect(events.first == "opened")
        #expect(events.contains("congested, true"))
        #expect(events.contains("writable"))
        let order = try #require(events.firstIndex(of: "hello")) < (try #require(events.firstIndex(of: "writable")))
        #expect(order == reads)
    }
}
