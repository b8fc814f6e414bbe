// The gate at which the task in which a socket lives waits for its messages: what opens it, and where the task is then.

import KHPProtocol
import KHPWebSocket
import NIOCore
import Synchronization
import TestSupport
import Testing

@Suite("Gate", .timeLimit(.minutes(1)))
struct GateTests {
    /// Returns once the socket's own task waits at its gate, or elsewhere.
    private static func waitsForOwner(_ served: ServedSocket, isAtGate: Bool = true) async throws {
        let inbox = served.inbox
        while try await served.on({ _ in inbox.gate?.isWaitedAt ?? false }) != isAtGate {
            try Task.checkCancellation()
            await Task.yield()
        }
    }

    private final class Counter: Sendable {
        let value = Atomic(0)
    }

    /// Runs `body` as a server runs an endpoint's task: on the connection's executor, in the socket's own task.
    private static func own<Value: Sendable>(
        _ served: ServedSocket,
        _ body: nonisolated(nonsending) @escaping @Sendable (WebSocket) async throws -> Value
    ) async throws -> Task<Value, any Error> {
        let socket = served.socket
        return Task(executorPreference: try await served.on { $0.executor }) { try await socket.withOwner(body) }
    }

    @Test("each message opens it, alone, beside others, and in pieces, and the task goes on on the event loop")
    func messages() async throws {
        try await withServedSocket {
            $0.delivery = .chunks
        } body: { served in
            let eventLoop = served.channel.eventLoop
            let taken = Counter()
            let owner = try await Self.own(served) { socket in
                var texts: [String] = []
                for try await message in socket.messages {
                    eventLoop.preconditionInEventLoop()
                    taken.value.add(1, ordering: .relaxed)
                    guard case .text(let text) = message else { continue }
                    texts.append(text)
                    try await socket.send(message)
                }
                return texts
            }
            func frame(_ text: String, _ opcode: UInt8 = 1, final: Bool = true) -> [UInt8] {
                maskedFrame(opcode, Array(text.utf8), final: final)
            }
            let writes = [
                (frame("alone"), 1), (frame("one") + frame("two") + frame("three"), 4),
                (frame("half ", final: false), 4),
                (frame("and half", 0), 5), (frame("a", final: false) + frame("b", 0) + frame("next"), 7),
                (maskedFrame(2, [1]), 8),
            ]
            for (write, count) in writes {
                // The rest of a message is not waited for at the gate.
                try await Self.waitsForOwner(served, isAtGate: count != 5)
                try await served.client.send(write)
                while taken.value.load(ordering: .relaxed) < count {
                    try Task.checkCancellation()
                    await Task.yield()
                }
            }
            try await Self.waitsForOwner(served)
            try await served.client.send(maskedFrame(8, [3, 232]))
            let expected = ["alone", "one", "two", "three", "half and half", "ab", "next"]
            #expect(try await owner.value == expected)
            let all = try await served.client.receive { serverFrames($0).contains { $0.first == 0x88 } }
            let echoes = serverFrames(all).filter { $0.first == 0x81 }
            #expect(echoes.map { String(decoding: $0.payload, as: UTF8.self) } == expected)
        }
    }

    @Test("a call for one message waits there too, and a sequence of one kind")
    func otherForms() async throws {
        try await withServedSocket { served in
            let owner = try await Self.own(served) { socket in
                var texts: [String] = []
                if case .text(let text) = try await socket.receive() { texts.append(text) }
                for try await text in socket.texts(unexpected: .skip) { texts.append(text) }
                return texts
            }
            for frame in [maskedFrame(1, [97]), maskedFrame(2, [1]), maskedFrame(1, [98]), maskedFrame(8, [3, 232])] {
                try await Self.waitsForOwner(served)
                try await served.client.send(frame)
            }
            #expect(try await owner.value == ["a", "b"])
        }
    }

    enum End: CaseIterable, Sendable {
        case peerCloses, peerLeaves, weDropIt, cancelledElsewhere, cancelledOnLoop
    }

    @Test("every end opens it", arguments: End.allCases)
    func ends(_ end: End) async throws {
        try await withServedSocket { served in
            let owner = try await Self.own(served) { socket in for try await _ in socket.messages {} }
            try await Self.waitsForOwner(served)
            switch end {
            case .peerCloses: try await served.client.send(maskedFrame(8, [3, 232]))
            case .peerLeaves: try await served.client.close()
            case .weDropIt: served.socket.abort()
            case .cancelledElsewhere: owner.cancel()
            case .cancelledOnLoop: try await served.on { _ in owner.cancel() }
            }
            let result = await owner.result
            switch end {
            case .peerCloses:
                try result.get()
            case .peerLeaves, .weDropIt:
                #expect(throws: WebSocketError.self) { try result.get() }
            case .cancelledElsewhere, .cancelledOnLoop:
                #expect(throws: CancellationError.self) { try result.get() }
                // The socket goes on, and another takes what comes.
                try await served.client.send(maskedFrame(1, Array("later".utf8)))
                #expect(try await served.socket.receive() == .text("later"))
            }
        }
    }

    @Test("a cancelled task does not wait again, and one that has a message already gets it first")
    func cancelledBetween() async throws {
        try await withServedSocket { served in
            let owner = try await Self.own(served) { socket in
                var count = 0
                do throws(WebSocketError) {
                    for try await _ in socket.messages {
                        count += 1
                        withUnsafeCurrentTask { $0?.cancel() }
                    }
                } catch {
                    #expect(error.code == .cancelled)
                }
                return count
            }
            try await Self.waitsForOwner(served)
            try await served.client.send(maskedFrame(1, [97]) + maskedFrame(1, [98]))
            #expect(try await owner.value == 2)
        }
    }

    @Test("a second task that waits beside the one at the gate is refused")
    func second() async throws {
        try await withServedSocket { served in
            let owner = try await Self.own(served) { socket in for try await _ in socket.messages {} }
            try await Self.waitsForOwner(served)
            let error = await #expect(throws: WebSocketError.self) { try await served.socket.receive() }
            #expect(error?.code == .invalidArgument)
            try await served.client.send(maskedFrame(8, [3, 232]))
            try await owner.value
        }
    }

    private actor Room {
        private(set) var texts: [WebSocketMessage] = []

        func take(from socket: WebSocket) async throws {
            for try await message in socket.messages {
                self.preconditionIsolated()
                self.texts.append(message)
            }
        }
    }

    @MainActor
    private static func takeOnMain(from socket: WebSocket) async throws -> [WebSocketMessage] {
        var taken: [WebSocketMessage] = []
        for try await message in socket.messages {
            MainActor.preconditionIsolated()
            taken.append(message)
        }
        return taken
    }

    @Test("a task that waits on an actor comes back to it", arguments: [false, true])
    func actors(onMain: Bool) async throws {
        try await withServedSocket { served in
            let owner = try await Self.own(served) { socket in
                if onMain { return try await Self.takeOnMain(from: socket) }
                let room = Room()
                try await room.take(from: socket)
                return await room.texts
            }
            for text in ["a", "b", "c"] { try await served.client.send(maskedFrame(1, Array(text.utf8))) }
            try await served.client.send(maskedFrame(8, [3, 232]))
            #expect(try await owner.value == [.text("a"), .text("b"), .text("c")])
        }
    }
}
