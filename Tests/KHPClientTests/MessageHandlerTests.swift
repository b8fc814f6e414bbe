import KHPClient
import KHPServer
import NIOCore
import Synchronization
import TestSupport
import Testing

/// A client whose messages are taken on the event loop.
@Suite("A client's message handler")
struct MessageHandlerTests {
    /// Says hello, takes one echo and closes.
    private final class Greeter: MessageHandler {
        let heard: Heard

        init(_ heard: Heard) {
            self.heard = heard
        }

        func opened(_ socket: EventLoopSocket) {
            try? socket.send(.text("hello"))
        }

        func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {
            self.heard.add("\(message.message)")
            socket.close(code: .init(rawValue: 3001), reason: "enough")
        }

        func closed(_ info: CloseInfo) {
            self.heard.add("closed \(info.code.map(String.init(describing:)) ?? "")")
        }
    }

    private final class Heard: Sendable {
        private let events = Mutex<[String]>([])

        func add(_ event: String) { self.events.withLock { $0.append(event) } }

        var all: [String] { self.events.withLock { $0 } }
    }

    @Test("A handler is told of the open socket, its messages and its end, and the call returns how it closed")
    func greeting() async throws {
        try await withServer {
            echo()
        } body: { port in
            let heard = Heard()
            let info = try await WebSocketClient().run(
                to: "ws://127.0.0.1:\(port)/echo",
                messageHandler: { Greeter(heard) }
            )
            #expect(info.clean)
            #expect(info.code == WebSocketCloseCode(rawValue: 3001))
            #expect(heard.all == ["text(\"hello\")", "closed 3001"])
        }
    }

    @Test("A handler pings, and is told of the pong")
    func pings() async throws {
        final class Pinging: MessageHandler {
            let heard: Heard

            init(_ heard: Heard) {
                self.heard = heard
            }

            func opened(_ socket: EventLoopSocket) {
                try? socket.pong()
                try? socket.ping(ByteBuffer(string: "there?"))
                do { try socket.ping(ByteBuffer(repeating: 0, count: 126)) } catch { self.heard.add("\(error.code)") }
            }

            func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {}

            func pongReceived(_ payload: ByteBuffer, after roundTrip: Duration, on socket: EventLoopSocket) {
                self.heard.add("\(String(buffer: payload)) \(roundTrip > .zero)")
                socket.close()
            }
        }
        try await withServer {
            echo()
        } body: { port in
            let heard = Heard()
            let info = try await WebSocketClient().run(
                to: "ws://127.0.0.1:\(port)/echo",
                messageHandler: { Pinging(heard) }
            )
            #expect(info.clean)
            #expect(heard.all == ["\(WebSocketError.Code.invalidArgument)", "there? true"])
        }
    }

    @Test("A task that is cancelled closes the socket with 1001 and waits for that", .timeLimit(.minutes(1)))
    func cancelled() async throws {
        /// Listens and says nothing.
        final class Listener: MessageHandler {
            let opening: AsyncStream<Void>.Continuation
            let heard: Heard

            init(_ opening: AsyncStream<Void>.Continuation, _ heard: Heard) {
                self.opening = opening
                self.heard = heard
            }

            func opened(_ socket: EventLoopSocket) { self.opening.finish() }

            func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {}

            func closed(_ info: CloseInfo) {
                self.heard.add("\(info.code.map(String.init(describing:)) ?? "") clean? \(info.clean)")
            }
        }
        try await withServer {
            echo()
        } body: { port in
            let heard = Heard()
            let (opened, opening) = AsyncStream.makeStream(of: Void.self)
            let connect = Task {
                try await WebSocketClient().run(
                    to: "ws://127.0.0.1:\(port)/echo",
                    messageHandler: { Listener(opening, heard) }
                )
            }
            for await _ in opened {}
            connect.cancel()
            await #expect(throws: CancellationError.self) { try await connect.value }
            #expect(heard.all == ["\(WebSocketCloseCode.goingAway) clean? true"])
        }
    }
}
