// Tasks that wait to send: a message whose send throws was not sent, and no wait outlives the beginning of a close.

import KHPProtocol
import KHPWebSocket
import NIOCore
import Synchronization
import TestSupport
import Testing

@Suite("Waits of senders", .timeLimit(.minutes(1)))
struct SenderTests {
    /// The texts among the server's frames that arrive until its close frame or the end of the stream.
    private func texts(_ served: ServedSocket) async throws -> [String] {
        try await served.client.setReading(true)
        let all = try await served.client.receive { serverFrames($0).contains { $0.first == 0x88 } }
        return serverFrames(all).filter { $0.first == 0x81 }.map { String(decoding: $0.payload, as: UTF8.self) }
    }

    @Test("close ends every wait at once, long before the socket has ended")
    func close() async throws {
        try await withServedSocket {
            $0.timeouts.close = .seconds(20)
            $0.timeouts.stalledWrite = .seconds(20)
        } body: { served in
            try await served.fill()
            let socket = served.socket
            let senders = (0..<3).map { number in Task { try await socket.send("late \(number)") } }
            let pong = Task { try await socket.pong() }
            let began = ContinuousClock.now
            let closing = Task { try await socket.close() }
            for sender in senders + [pong] {
                let error = await #expect(throws: WebSocketError.self) { try await sender.value }
                #expect(error?.code == .closed)
            }
            #expect(ContinuousClock.now - began < .seconds(5))
            #expect(try await served.on { $0.closeInfo == nil })
            // The accepted message arrives, and nothing of the refused one.
            #expect(try await self.texts(served).isEmpty)
            try await served.client.send(maskedFrame(8, [3, 232]))
            #expect(try await closing.value.clean)
        }
    }

    @Test("the end of a session ends every wait at once, though the peer takes nothing of what was sent (threat I6)")
    func sessionEnds() async throws {
        try await withServedSocket {
            $0.timeouts.close = .seconds(8)
            $0.timeouts.stalledWrite = .seconds(20)
        } body: { served in
            try await served.fill()
            let socket = served.socket
            let sender = Task { try await socket.send("late") }
            while try await served.on({ $0.waitingSenders }) == 0 { await Task.yield() }
            let began = ContinuousClock.now
            try await served.on { EventLoopSocket($0).endSession(at: .now()) }
            let error = await #expect(throws: WebSocketError.self) { try await sender.value }
            #expect(error?.code == .closed)
            #expect(ContinuousClock.now - began < .seconds(5))
            #expect(try await served.on { $0.closeInfo == nil })
        }
    }

    private final class Flag: Sendable {
        private let value = Atomic(false)
        var isSet: Bool { self.value.load(ordering: .acquiring) }
        func set() { self.value.store(true, ordering: .releasing) }
    }

    @Test("a task on the socket's own event loop waits as others do")
    func onTheLoop() async throws {
        try await withServedSocket { served in
            try await served.fill()
            let socket = served.socket
            let executor = ConnectionExecutor(eventLoop: served.channel.eventLoop)
            let hasSent = Flag()
            let sender = Task(executorPreference: executor) {
                try await socket.send(.text("late"), options: .uncompressed)
                hasSent.set()
            }
            while try await served.on({ $0.waitingSenders }) == 0, !hasSent.isSet {
                await Task.yield()
            }
            #expect(!hasSent.isSet)
            try await served.client.setReading(true)
            try await sender.value
            let closing = Task { try await socket.close() }
            #expect(try await self.texts(served) == ["late"])
            try await served.client.send(maskedFrame(8, [3, 232]))
            _ = try await closing.value
        }
    }

    @Test("what is asked of a socket that has ended throws at once")
    func ended() async throws {
        try await withServedSocket { served in
            let socket = served.socket
            try await served.client.send(maskedFrame(8, [3, 232]))
            #expect(try await socket.closed().clean)
            let calls: [(WebSocket) async throws -> Void] = [
                { _ = try await $0.ping() }, { _ = try await $0.ping(ByteBuffer(string: "a")) },
                { try await $0.pong() }, { try await $0.send("a") },
                { try await $0.send(.text("a"), options: .uncompressed) },
                { try await $0.stream(.text) { _ in } },
            ]
            for call in calls {
                let error = await #expect(throws: WebSocketError.self) { try await call(socket) }
                #expect(error?.code == .closed)
            }
            #expect(try await socket.close().code == .normalClosure)
        }
    }

    /// Closes the socket from within the connection's own code, which calls an extension.
    private final class Closing: WebSocketExtension, Sendable {
        let name = "x-closing"
        let handler = Mutex<NIOLoopBound<ConnectionHandler>?>(nil)

        func makeTransform(role: Role, parameters: ExtensionParameters) -> (any MessageTransform)? {
            Transform(owner: self)
        }

        struct Transform: MessageTransform {
            let owner: Closing

            mutating func inbound(_ message: WebSocketMessage) -> WebSocketMessage? {
                self.owner.handler.withLock { $0 }?.value.close(code: .goingAway, reason: "from within")
                return message
            }

            mutating func outbound(_ message: WebSocketMessage) -> WebSocketMessage? { message }
        }
    }

    @Test("a socket can be closed from within a call that its connection makes")
    func closeWithin() async throws {
        let closing = Closing()
        try await withServedSocket(extensions: [closing], offer: "x-closing") { served in
            _ = try await served.on { handler in
                closing.handler.withLock { $0 = NIOLoopBound(handler, eventLoop: handler.eventLoop) }
            }
            try await served.client.send(maskedFrame(1, [0x61]))
            let all = try await served.client.receive { serverFrames($0).contains { $0.first == 0x88 } }
            #expect(serverFrames(all).map(\.payload) == [[3, 233] + Array("from within".utf8)])
            try await served.client.send(maskedFrame(8, [3, 233]))
            #expect(try await served.socket.closed().clean)
            _ = closing.handler.withLock { $0.take() }
        }
    }

    @Test("a message whose sender was cancelled is not sent; those before and behind it are, in order")
    func cancelled() async throws {
        try await withServedSocket { served in
            try await served.fill()
            let socket = served.socket
            // Each waits on the event loop before the next one begins.
            func sender(_ text: String) async throws -> Task<Void, any Error> {
                let before = try await served.on { $0.waitingSenders }
                let task = Task { try await socket.send(text) }
                while try await served.on({ $0.waitingSenders }) == before { await Task.yield() }
                return task
            }
            let first = try await sender("first")
            let second = try await sender("second")
            let third = try await sender("third")
            second.cancel()
            await #expect(throws: CancellationError.self) { try await second.value }
            try await served.client.setReading(true)
            try await first.value
            try await third.value
            let closing = Task { try await socket.close() }
            #expect(try await self.texts(served) == ["first", "third"])
            try await served.client.send(maskedFrame(8, [3, 232]))
            _ = try await closing.value
        }
    }

    @Test("a task that is cancelled can send while the peer keeps up")
    func cancelledBefore() async throws {
        try await withServedSocket { served in
            let socket = served.socket
            let task = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                try await socket.send("said all the same")
            }
            try await task.value
            let closing = Task { try await socket.close() }
            #expect(try await self.texts(served) == ["said all the same"])
            try await served.client.send(maskedFrame(8, [3, 232]))
            _ = try await closing.value
        }
    }

    @Test("a streamed message whose sender is cancelled before it begins leaves nothing behind")
    func cancelledStream() async throws {
        try await withServedSocket { served in
            try await served.fill()
            let socket = served.socket
            let stream = Task {
                try await socket.stream(.text) { try await $0.write(ByteBuffer(string: "never")) }
            }
            while try await served.on({ $0.waitingSenders }) == 0 { await Task.yield() }
            stream.cancel()
            await #expect(throws: CancellationError.self) { try await stream.value }
            try await served.client.setReading(true)
            try await socket.send("the next one")
            let closing = Task { try await socket.close() }
            #expect(try await self.texts(served) == ["the next one"])
            try await served.client.send(maskedFrame(8, [3, 232]))
            _ = try await closing.value
        }
    }

    @Test("a streamed message that fails is taken back while nothing of it is out, and closes with 1011 afterwards")
    func failedStream() async throws {
        struct Failure: Error {}
        try await withServedSocket { served in
            let socket = served.socket
            await #expect(throws: Failure.self) { try await socket.stream(.text) { _ in throw Failure() } }
            try await socket.send("still open")
            let kept = Kept()
            try await socket.stream(.text) { kept.stream = $0 }
            // A stream that is used behind its message throws instead of losing bytes.
            let error = await #expect(throws: WebSocketError.self) {
                try await kept.stream?.write(ByteBuffer(string: "lost"))
            }
            #expect(error?.code == .invalidArgument)
            let failing = Task {
                try await socket.stream(.text) { stream in
                    try await stream.write(ByteBuffer(string: "half"))
                    throw Failure()
                }
            }
            let all = try await served.client.receive { serverFrames($0).contains { $0.first == 0x88 } }
            let frames = serverFrames(all)
            #expect(frames.map(\.first) == [0x81, 0x81, 0x01, 0x88])
            #expect(frames.last?.payload.prefix(2) == [0x03, 0xF3])
            try await served.client.send(maskedFrame(8, [0x03, 0xF3]))
            await #expect(throws: Failure.self) { try await failing.value }
        }
    }

    @Test("a stream that is used behind its message writes nothing into the next")
    func keptStream() async throws {
        try await withServedSocket { served in
            let socket = served.socket
            let kept = Kept()
            try await socket.stream(.binary) { kept.stream = $0 }
            try await socket.stream(.text) { stream in
                try await stream.write(ByteBuffer(string: "a"))
                let error = await #expect(throws: WebSocketError.self) {
                    try await kept.stream?.write(ByteBuffer(bytes: [0xFF]))
                }
                #expect(error?.code == .invalidArgument)
            }
            let closing = Task { try await socket.close() }
            let all = try await served.client.receive { serverFrames($0).contains { $0.first == 0x88 } }
            let frames = serverFrames(all)
            #expect(frames.map(\.first) == [0x82, 0x01, 0x80, 0x88])
            #expect(frames.prefix(3).map(\.payload) == [[], [0x61], []])
            try await served.client.send(maskedFrame(8, [3, 232]))
            _ = try await closing.value
        }
    }

    private final class Kept: @unchecked Sendable {
        // Unchecked: touched by the one task of the test.
        var stream: MessageStream?
    }
}
