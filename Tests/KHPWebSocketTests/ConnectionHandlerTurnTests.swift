// One read, one deadline and one call of the application at a time, on a channel in memory.

import KHPProtocol
import NIOCore
import NIOEmbedded
import Synchronization
import TestSupport
import Testing

@testable import KHPWebSocket

@Suite("Reads, deadlines and calls, on a channel in memory")
struct ConnectionHandlerTurnTests {
    /// Notes what it gets, and does something at the first message.
    private final class Noting: MessageHandler {
        var seen: [String] = []
        let first: (EventLoopSocket) -> Void

        init(first: @escaping (EventLoopSocket) -> Void = { _ in }) { self.first = first }

        func received(_ message: ReceivedMessage, on socket: EventLoopSocket) {
            self.seen.append(String(buffer: message.bytes))
            if self.seen.count == 1 { self.first(socket) }
        }

        func closed(_ info: CloseInfo) { self.seen.append("closed \(info.code?.rawValue ?? 0)") }
    }

    private static func text(_ text: String) -> [UInt8] { maskedFrame(1, Array(text.utf8)) }

    // MARK: One read

    @Test("a channel that goes while messages are handed over ends behind the last that had arrived")
    func goesWithin() throws {
        var channel: EmbeddedChannel?
        let noting = Noting { _ in channel?.close(promise: nil) }
        let socket = try EmbeddedSocket(messages: noting)
        channel = socket.channel
        socket.receive(Self.text("a") + Self.text("b"))
        #expect(noting.seen == ["a", "b", "closed 1006"])
        socket.end()

        // With the last message of a read.
        let last = Noting { _ in channel?.close(promise: nil) }
        let other = try EmbeddedSocket(messages: last)
        channel = other.channel
        other.receive(Self.text("a"))
        #expect(last.seen == ["a", "closed 1006"])
        other.end()
    }

    @Test("what is said while messages are handed over leaves in one write, at the end of the read")
    func answers() throws {
        let noting = Noting { try? $0.send(.text("answer")) }
        let socket = try EmbeddedSocket(messages: noting)
        var writes = 0
        socket.wire.onWrite = { writes += 1 }
        socket.receive(Self.text("a") + Self.text("b"))
        #expect(writes == 1)
        #expect(socket.sent().map(\.first) == [0x81])
        #expect(noting.seen == ["a", "b"])
        socket.end()
    }

    @Test("a handler that pauses within a read gets the rest once it reads on")
    func pausesWithin() throws {
        let noting = Noting { $0.pauseReading() }
        let socket = try EmbeddedSocket(messages: noting)
        socket.receive(Self.text("a") + Self.text("b"))
        #expect(noting.seen == ["a"])
        #expect(!socket.isReading)
        socket.receive(Self.text("c"))
        #expect(noting.seen == ["a"])
        EventLoopSocket(socket.handler).resumeReading()
        #expect(noting.seen == ["a", "b", "c"])
        #expect(socket.isReading)
        socket.end()
    }

    @Test("the owner is told when all is read: behind the read that goes on, or in the loop's next turn, once")
    func readEnds() throws {
        var handler: ConnectionHandler?
        let noting = Noting { _ in handler?.tellOnceAllIsRead() }
        let socket = try EmbeddedSocket(messages: noting)
        handler = socket.handler
        socket.receive(Self.text("a"))
        #expect(socket.readEnds == 1)
        socket.run()
        #expect(socket.readEnds == 1)
        socket.handler.tellOnceAllIsRead()
        #expect(socket.readEnds == 1)
        socket.run()
        #expect(socket.readEnds == 2)
        socket.end()
    }

    @Test("the owner learns of a close that its handler begins within the same read")
    func observes() throws {
        let noting = Noting { $0.close(code: .goingAway) }
        let socket = try EmbeddedSocket(messages: noting)
        socket.receive(Self.text("a"))
        #expect(socket.sent().map(\.payload) == [[3, 233]])
        socket.receive(maskedFrame(8, [3, 233]))
        #expect(noting.seen == ["a", "closed 1001"])
        socket.end()
    }

    @Test("one executor runs the tasks of a connection")
    func executor() throws {
        let socket = try EmbeddedSocket()
        #expect(socket.handler.executor === socket.handler.executor)
        socket.end()
    }

    // MARK: TLS

    @Test("TLS that agrees on another protocol leaves the connection to that", arguments: [false, true])
    func agreement(isOther: Bool) throws {
        let socket = try EmbeddedSocket(transport: .tls, opens: false)
        socket.givesAway = isOther
        #expect(socket.told.isEmpty)
        socket.agree(on: "x")
        #expect(socket.told == (isOther ? [] : ["connected"]))
        socket.end()
    }

    // MARK: Deadlines

    @Test("a deadline that has come is met at that very moment, and one that has moved is not")
    func deadline() throws {
        let socket = try EmbeddedSocket { $0.keepAlive.idleTimeout = .seconds(60) }
        let next = socket.handler.connection.deadline
        let deadline = try #require(next)
        socket.handler.timerFired(now: deadline - .nanoseconds(1))
        #expect(socket.sent().isEmpty)
        #expect(socket.handler.alarm.wakesAt <= deadline)
        socket.handler.timerFired(now: deadline)
        // A ping, since the keep-alive's interval is the shorter one.
        #expect(socket.sent().map(\.first) == [0x89])
        socket.end()
    }

    @Test("a connection that reads has an alarm that comes before any deadline can come nearer")
    func alarm() throws {
        let socket = try EmbeddedSocket()
        let noLater = NIODeadline.now() + socket.handler.connection.configuration.shortestWait + .seconds(60)
        #expect(socket.handler.alarm.wakesAt < noLater)
        socket.handler.alarm.fired()
        #expect(socket.handler.alarm.wakesAt == .distantFuture)
        socket.receive(Self.text("a"))
        #expect(socket.handler.alarm.wakesAt < noLater)
        #expect(socket.handler.alarm.isSoon(.now()))
        socket.end()
    }

    @Test("a connection stays with the deadlines of its loop, whichever loop its thread turns last")
    func deadlines() throws {
        let one = try EmbeddedSocket()
        let before = one.handler.deadlines
        #expect(before != nil)
        let other = try EmbeddedSocket()
        one.handler.alarm.fired()
        one.handler.updateTimer()
        #expect(one.handler.deadlines === before)
        #expect(other.handler.deadlines !== before)
        one.end()
        #expect(one.handler.heapPlace == -1)
        #expect(one.handler.alarm.wakesAt == .distantFuture)
        other.end()
    }

    @Test("a session that ends now closes with 1008")
    func sessionEnd() throws {
        let socket = try EmbeddedSocket()
        let now = NIODeadline.now()
        EventLoopSocket(socket.handler).endSession(at: now + .seconds(1))
        #expect(socket.handler.alarm.wakesAt <= now + .seconds(1))
        socket.handler.timerFired(now: now + .seconds(1))
        #expect(socket.sent().map { Array($0.payload.prefix(2)) } == [[3, 240]])
        socket.end()
    }

    // MARK: Calls

    @Test("a send behind the end says how it ended")
    func sendBehindTheEnd() throws {
        let socket = try EmbeddedSocket()
        socket.receive(maskedFrame(8, [3, 233]))
        #expect(socket.closed.count == 1)
        for _ in 0..<2 {
            let error = #expect(throws: WebSocketError.self) {
                try socket.handler.sendMessage(.binary, ByteBuffer(bytes: [1]))
            }
            #expect(error?.closeCode == .goingAway)
        }
        socket.end()
    }

    @Test("whoever waits to send waits on while the socket is open, and is told when it closes")
    func waiters() throws {
        let socket = try EmbeddedSocket()
        socket.setWritable(false)
        let told = Mutex(0)
        socket.handler.whenSendable { told.withLock { $0 += 1 } }
        socket.handler.drive()
        socket.receive(Self.text("a"))
        #expect(told.withLock { $0 } == 0)
        #expect(socket.handler.waitingSenders == 1)
        socket.handler.close(code: .normalClosure, reason: "")
        #expect(told.withLock { $0 } == 1)
        #expect(socket.handler.waitingSenders == 0)
        socket.end()
    }

    @Test("a ping of a task that was cancelled is not sent, and one behind the end says how it ended")
    func pings() async throws {
        func ping(
            isSent: Bool,
            _ prepare: @escaping (EmbeddedSocket, TaskWait) -> Void
        ) async throws -> Duration {
            try await withUnsafeThrowingContinuation { (continuation: UnsafeContinuation<Duration, any Error>) in
                do {
                    let socket = try EmbeddedSocket()
                    let wait = TaskWait()
                    prepare(socket, wait)
                    _ = socket.sent()
                    socket.handler.sendPing(ByteBuffer(bytes: [7]), wait, continuation)
                    socket.run()
                    #expect(socket.sent().map(\.payload) == (isSent ? [[7]] : []))
                    if isSent { socket.receive(maskedFrame(0xA, [7])) }
                    socket.end()
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
        #expect(try await ping(isSent: true) { _, _ in } > .zero)
        await #expect(throws: CancellationError.self) { try await ping(isSent: false) { $1.giveUp() } }
        let error = await #expect(throws: WebSocketError.self) {
            try await ping(isSent: false) { socket, _ in socket.receive(maskedFrame(8, [3, 233])) }
        }
        #expect(error?.closeCode == .goingAway)
    }

    @Test("a streamed message is taken back only while nothing of it is out")
    func takesBack() throws {
        let socket = try EmbeddedSocket()
        func piece(_ text: String, isFirst: Bool) -> MessageChunk {
            MessageChunk(kind: .text, bytes: ByteBuffer(string: text), isFirst: isFirst, isLast: false)
        }
        let (first, second) = (StreamedMessage(), StreamedMessage())
        try socket.handler.sendChunk(piece("", isFirst: true), of: first)
        #expect(socket.handler.takeBackStream(of: first))
        try socket.handler.sendChunk(piece("", isFirst: true), of: second)
        // The one that was given up has nothing to do with it.
        let error = #expect(throws: WebSocketError.self) {
            try socket.handler.sendChunk(piece("X", isFirst: false), of: first)
        }
        #expect(error?.code == .invalidArgument)
        #expect(socket.handler.takeBackStream(of: first))
        try socket.handler.sendChunk(piece("a", isFirst: false), of: second)
        #expect(!socket.handler.takeBackStream(of: second))
        socket.end()
    }

    /// Sends, and closes, from within the connection's own code.
    private final class Within: WebSocketExtension, @unchecked Sendable {
        // Unchecked: on the test's thread only.
        let name = "x-within"
        var handler: ConnectionHandler?
        var doMore: ((ConnectionHandler) -> Void)?
        var error: WebSocketError?

        func makeTransform(role: Role, parameters: ExtensionParameters) -> (any MessageTransform)? {
            Transform(owner: self)
        }

        struct Transform: MessageTransform {
            let owner: Within

            mutating func inbound(_ message: WebSocketMessage) -> WebSocketMessage? {
                guard let handler = self.owner.handler else { return message }
                do throws(WebSocketError) {
                    try handler.sendMessage(.text("from within"))
                } catch {
                    self.owner.error = error
                }
                self.owner.doMore?(handler)
                return message
            }

            mutating func outbound(_ message: WebSocketMessage) -> WebSocketMessage? { message }
        }
    }

    @Test("an extension can close the socket while it handles a message, and cannot send")
    func within() throws {
        let within = Within()
        let socket = try EmbeddedSocket(extensions: [within])
        within.handler = socket.handler
        within.doMore = { $0.close(code: .goingAway, reason: "") }
        socket.receive(Self.text("a"))
        within.handler = nil
        #expect(within.error?.code == .invalidArgument)
        #expect(socket.inbox.queued.messages == 1)
        socket.run()
        #expect(socket.sent().map(\.payload) == [[3, 233]])
        try? socket.handler.sendMessage(.text("late"))
        socket.run()
        #expect(socket.sent().isEmpty)
        socket.end()
    }

    @Test("an extension can end the session and have reading go on while it handles a message")
    func sessionWithin() throws {
        let within = Within()
        let socket = try EmbeddedSocket(extensions: [within])
        let end = NIODeadline.now()
        within.handler = socket.handler
        within.doMore = { handler in
            EventLoopSocket(handler).pauseReading()
            EventLoopSocket(handler).resumeReading()
            EventLoopSocket(handler).endSession(at: end)
            // The connection is at work: nothing has been done to it yet.
            #expect(handler.reading.isPaused)
        }
        socket.receive(Self.text("a") + Self.text("b"))
        within.handler = nil
        socket.run()
        #expect(!socket.handler.reading.isPaused)
        #expect(socket.inbox.queued.messages == 2)
        let deadline = socket.handler.connection.deadline
        #expect(deadline == end)
        socket.handler.timerFired(now: .now())
        #expect(socket.sent().map(\.payload).first?.prefix(2) == [3, 240])
        socket.end()
    }

    // MARK: The states that are watched

    @Test("a reader of the states that goes is forgotten")
    func forgottenWatcher() throws {
        let socket = try EmbeddedSocket()
        let webSocket = WebSocket(
            handler: socket.handler,
            inbox: socket.inbox,
            negotiated: HandshakeSummary(
                url: try WebSocketURL("ws://a/"),
                dialect: .rfc6455,
                subprotocol: nil,
                extensions: [],
                status: nil,
                response: nil
            ),
            address: nil
        )
        let kept = webSocket.states
        for _ in 0..<10 { _ = webSocket.states }
        socket.run()
        #expect(socket.handler.waiters.states?.watchers.count == 1)
        withExtendedLifetime(kept) { socket.end() }
    }

    @Test("each state is told once, and behind the last nothing")
    func states() async throws {
        let (stream, continuation) = AsyncStream.makeStream(of: WebSocketState.self)
        let (late, lateContinuation) = AsyncStream.makeStream(of: WebSocketState.self)
        try {
            let socket = try EmbeddedSocket()
            #expect(socket.handler.state == .open)
            socket.handler.watch(StateWatcher(continuation))
            for _ in 0..<2 { socket.receive(Self.text("a")) }
            socket.handler.drive()
            socket.handler.close(code: .normalClosure, reason: "")
            socket.run()
            socket.handler.drive()
            #expect(socket.handler.state == .closing)
            socket.receive(maskedFrame(8, [3, 232]))
            #expect(socket.handler.state == .closed(wasClean: true))
            socket.handler.watch(StateWatcher(lateContinuation))
            socket.end()
        }()
        var states: [WebSocketState] = []
        for await state in stream { states.append(state) }
        #expect(states == [.open, .closing, .closed(wasClean: true)])
        var others: [WebSocketState] = []
        for await state in late { others.append(state) }
        #expect(others == [.closed(wasClean: true)])
    }
}
