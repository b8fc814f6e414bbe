// The in-memory pipe: both sides of our own stack against each other.

import KHPProtocol
import KHPTesting
import NIOCore
import Testing

/// Turns text around, for tests of transforms.
private struct Reversing: WebSocketExtension {
    let name = "x-reverse"

    struct Transform: MessageTransform {
        func turned(_ message: WebSocketMessage) -> WebSocketMessage {
            guard case .text(let text) = message else { return message }
            return .text(String(text.reversed()) + ".")
        }

        mutating func inbound(_ message: WebSocketMessage) throws -> WebSocketMessage? { message }
        mutating func outbound(_ message: WebSocketMessage) throws -> WebSocketMessage? { self.turned(message) }
    }

    func makeTransform(role: Role, parameters: ExtensionParameters) -> (any MessageTransform)? { Transform() }
}

@Suite struct ConnectionPipeTests {
    @Test("both sides agree, messages pass the extension, both close cleanly", arguments: [nil, 1, 5])
    func conversation(_ readBytes: Int?) throws {
        let pipe = try ConnectionPipe(
            client: .init(subprotocols: ["stomp", "amqp"], extensions: [Reversing(), NamedExtension("x-none")]),
            server: .init(subprotocols: ["amqp"], extensions: [Reversing()])
        )
        pipe.readBytes = readBytes
        let agreed = try pipe.open()
        #expect(agreed.client.subprotocol == "amqp")
        #expect(agreed.client.extensions == agreed.server.extensions)
        #expect(agreed.client.extensions.map(\.name) == ["x-reverse"])
        try pipe.send(.text("abc"), from: .client)
        try pipe.send(.binary(ByteBuffer(bytes: [1, 2])), from: .client)
        #expect(pipe.takeMessages(at: .server) == [.text("cba."), .binary(ByteBuffer(bytes: [1, 2]))])
        #expect(pipe.takeMessages(at: .server).isEmpty)
        try pipe.send(.text("de"), from: .server)
        #expect(pipe.takeMessages(at: .client) == [.text("ed.")])
        pipe.close(from: .server, code: .goingAway, reason: "enough")
        let info = try #require(pipe.closeInfo(at: .client))
        #expect(info.code == .goingAway)
        #expect(info.reason == "enough")
        #expect(info.clean)
        #expect(pipe.closeInfo(at: .server)?.clean == true)
        #expect(throws: WebSocketError.self) { try pipe.send(.text("late"), from: .client) }
        #expect(pipe.bytesFromClient > 0 && pipe.bytesFromServer > 0)
    }

    @Test("plain WebSocket, and none where one side insists (KHP-O4, KHP-O5)")
    func plain() throws {
        let plain = try ConnectionPipe(client: .init(extendedHandshake: .off))
        #expect(try plain.open().client.status == nil)
        let required = try ConnectionPipe(
            client: .init(extendedHandshake: .required),
            server: .init(extendedHandshake: .off)
        )
        #expect(throws: WebSocketError.self) { try required.open() }
        let insisting = try ConnectionPipe(
            client: .init(extendedHandshake: .off),
            server: .init(extendedHandshake: .required)
        )
        #expect(throws: WebSocketError.self) { try insisting.open() }
    }

    @Test("time passes without waiting: pings keep it alive")
    func time() throws {
        let pipe = try ConnectionPipe()
        _ = try pipe.open()
        let before = pipe.bytesFromClient
        for _ in 0..<10 { pipe.advance(by: .seconds(15)) }
        #expect(pipe.closeInfo(at: .client) == nil)
        #expect(pipe.bytesFromClient > before)
    }

    @Test("chunks are put together again")
    func chunks() throws {
        var server = ConnectionPipe.Server()
        server.delivery = .chunks
        let pipe = try ConnectionPipe(server: server)
        pipe.readBytes = 3
        _ = try pipe.open()
        try pipe.send(.text("a longer text"), from: .client)
        #expect(pipe.takeMessages(at: .server) == [.text("a longer text")])
    }
}
