// The signatures of the example hold: every message that was changed, played again or signed with another key ends the
// connection.

import KHPProtocol
import KHPTesting
import NIOCore
import Testing

@testable import ExampleSignedMessages

@Suite struct SigningTests {
    private static let key = [UInt8](repeating: 7, count: 32)

    @Test func applicationsSeeNoSignatures() throws {
        let pipe = try ConnectionPipe(
            client: .init(extensions: [Signing(key: Self.key), PerMessageDeflate()]),
            server: .init(extensions: [Signing(key: Self.key), PerMessageDeflate()])
        )
        let agreed = try pipe.open()
        #expect(agreed.server.extensions.map(\.name) == ["x-signed", "permessage-deflate"])
        let messages: [WebSocketMessage] = [.text("buy"), .binary(ByteBuffer(bytes: [0, 1])), .text("")]
        for message in messages { try pipe.send(message, from: .client) }
        #expect(pipe.takeMessages(at: .server) == messages)
        try pipe.send(.text("done"), from: .server)
        #expect(pipe.takeMessages(at: .client) == [.text("done")])
    }

    @Test func anotherKeyIsNoKey() throws {
        let pipe = try ConnectionPipe(
            client: .init(extensions: [Signing(key: [1])]),
            server: .init(extensions: [Signing(key: Self.key)])
        )
        _ = try pipe.open()
        try pipe.send(.text("buy"), from: .client)
        #expect(pipe.takeMessages(at: .server).isEmpty)
        #expect(pipe.closeInfo(at: .client)?.code == .policyViolation)
    }

    @Test func changedOrRepeatedMessagesAreRefused() throws {
        let signing = Signing(key: Self.key)
        var client = try #require(signing.makeTransform(role: .client, parameters: signing.offer()))
        let first = try client.outbound(.text("buy"))
        guard case .binary(let bytes)? = first else { return #expect(Bool(false), "it leaves as binary") }
        // In order it is taken, once.
        var server = try #require(signing.makeTransform(role: .server, parameters: signing.offer()))
        #expect(try server.inbound(.binary(bytes)) == .text("buy"))
        #expect(throws: WebSocketError.self) { try server.inbound(.binary(bytes)) }
        // Not by the end that sent it.
        #expect(throws: WebSocketError.self) { try client.inbound(.binary(bytes)) }
        for index in 0..<bytes.readableBytes {
            var changed = Array(bytes.readableBytesView)
            changed[index] ^= 1
            var fresh = try #require(signing.makeTransform(role: .server, parameters: signing.offer()))
            #expect(throws: WebSocketError.self) { try fresh.inbound(.binary(ByteBuffer(bytes: changed))) }
        }
        #expect(!"\(signing)".contains("7") && !String(reflecting: signing).contains("7"))
    }
}
