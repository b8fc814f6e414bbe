// The ways to take messages: one by one, of one kind, typed errors, and the errors of a cancelled task.

import KHPProtocol
import KHPWebSocket
import NIOCore
import TestSupport
import Testing

@Suite("Taking messages", .timeLimit(.minutes(1)))
struct ReceivingTests {
    private static let text = maskedFrame(1, Array("one".utf8))
    private static let binary = maskedFrame(2, [1, 2])

    @Test("receive gives one message after the other, and an error behind a clean close")
    func receive() async throws {
        try await withServedSocket { served in
            try await served.client.send(Self.text)
            try await served.client.send(Self.binary)
            try await served.client.send(maskedFrame(8, [3, 232]))
            #expect(try await served.socket.receive() == .text("one"))
            #expect(try await served.socket.receive() == .binary(ByteBuffer(bytes: [1, 2])))
            let error = await #expect(throws: WebSocketError.self) { try await served.socket.receive() }
            #expect(error?.code == .closed)
            #expect(error?.closeCode == .normalClosure)
        }
    }

    @Test("receive joins the pieces of a message on a socket that delivers pieces")
    func pieces() async throws {
        try await withServedSocket {
            $0.delivery = .chunks
        } body: { served in
            try await served.client.send(maskedFrame(1, Array("half ".utf8), final: false))
            try await served.client.send(maskedFrame(0, Array("and half".utf8)))
            #expect(try await served.socket.receive() == .text("half and half"))
        }
    }

    @Test("a message of the other kind closes with 1003 and ends the sequence")
    func closes() async throws {
        try await withServedSocket { served in
            try await served.client.send(Self.text)
            try await served.client.send(Self.binary)
            var texts: [String] = []
            do throws(WebSocketError) {
                for try await text in served.socket.texts { texts.append(text) }
                Issue.record("the sequence ended without an error")
            } catch {
                // Typed: it needs no cast.
                let code: WebSocketError.Code = error.code
                #expect(code == .closed)
                #expect(error.closeCode == .unsupportedData)
            }
            #expect(texts == ["one"])
            let all = try await served.client.receive { serverFrames($0).contains { $0.first == 0x88 } }
            #expect(serverFrames(all).last?.payload.prefix(2) == [0x03, 0xEB])
        }
    }

    @Test("a message of the other kind is skipped where that was asked for")
    func skips() async throws {
        try await withServedSocket { served in
            try await served.client.send(Self.text)
            try await served.client.send(Self.binary)
            try await served.client.send(maskedFrame(8, [3, 232]))
            var payloads: [ByteBuffer] = []
            for try await payload in served.socket.binaries(unexpected: .skip) { payloads.append(payload) }
            #expect(payloads == [ByteBuffer(bytes: [1, 2])])
        }
    }

    @Test("a cancelled task gets CancellationError from methods and from the body that owns the socket")
    func cancelled() async throws {
        try await withServedSocket { served in
            let socket = served.socket
            let waits: [@Sendable () async throws -> Void] = [
                { _ = try await socket.receive() },
                { _ = try await socket.closed() },
                { try await socket.withOwner { for try await _ in $0.messages {} } },
                { try await socket.withOwner { for try await _ in $0.texts {} } },
                { try await socket.withOwner { for try await _ in $0.chunks {} } },
            ]
            for wait in waits {
                let task = Task { try await wait() }
                task.cancel()
                await #expect(throws: CancellationError.self) { try await task.value }
            }
            // The sequence alone has one type of error.
            let loop = Task { () -> WebSocketError.Code? in
                do throws(WebSocketError) {
                    for try await _ in socket.messages {}
                    return nil
                } catch {
                    return error.code
                }
            }
            loop.cancel()
            #expect(await loop.value == .cancelled)
            // Nothing of it has touched the socket.
            try await served.client.send(Self.text)
            #expect(try await socket.receive() == .text("one"))
        }
    }
}
