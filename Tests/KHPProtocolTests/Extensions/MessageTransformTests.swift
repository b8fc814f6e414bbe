// Extensions over whole messages: what they may make of them, what they may refuse, and when their life begins and ends
// (R-X, threats C1, C4).

import KHPProtocol
import NIOCore
import Synchronization
import Testing

@testable import KHPTesting

/// Delivers each message several times over, refuses to send one, and notes what it is told.
private struct Repeating: WebSocketExtension {
    var name = "x-repeat"
    var count = 1
    var layers: Set<HandshakeLayer> = [.opening, .extended]
    var record = Record()

    final class Record: Sendable {
        private let notes = Mutex<[String]>([])
        func note(_ call: String) { self.notes.withLock { $0.append(call) } }
        var calls: [String] { self.notes.withLock { $0 } }
    }

    func makeTransform(role: Role, parameters: ExtensionParameters) -> (any MessageTransform)? {
        Transform(count: self.count, record: self.record)
    }

    struct Transform: MessageTransform {
        let count: Int
        let record: Record

        mutating func opened(_ scope: inout ExtensionScope) { self.record.note("opened") }

        mutating func closed() { self.record.note("closed") }

        mutating func inbound(_ message: WebSocketMessage) -> WebSocketMessage? {
            guard case .text(let text) = message else { return message }
            return .text(String(repeating: text, count: self.count))
        }

        mutating func outbound(_ message: WebSocketMessage) throws -> WebSocketMessage? {
            struct Unspeakable: Error {}
            guard message != .text("unspeakable") else { throw Unspeakable() }
            return message
        }
    }
}

@Suite("Extensions over whole messages")
struct MessageTransformTests {
    @Test(
        "what an extension makes of a message counts against the limit: 1009",
        arguments: [MessageDelivery.messages, .chunks],
        [Role.client, .server]
    )
    func growth(delivery: MessageDelivery, role: Role) throws {
        var limits = Limits()
        limits.messages.messageBytes = 100
        let extensions = [Repeating(count: 10)]
        var peer =
            role == .server
            ? try WirePeer.server(extensions, offer: "x-repeat", limits: limits, delivery: delivery)
            : try WirePeer.client(extensions, answer: "x-repeat", limits: limits, delivery: delivery)
        peer.feed(WireFrame(0x81, Array("0123456789".utf8)))
        #expect(peer.takeMessages().map(\.byteCount) == [100])
        peer.feed(WireFrame(0x81, Array("0123456789a".utf8)), WireFrame(0x81, [0x61]))
        #expect(peer.takeCloseCode() == 1009)
        #expect(peer.takeMessages().isEmpty)
        peer.endInput()
        #expect(peer.closed?.error?.code == .messageTooBig)
    }

    @Test("a refused message is not sent, and the socket stays open")
    func refused() throws {
        var peer = try WirePeer.client([Repeating()], answer: "x-repeat")
        let error = #expect(throws: WebSocketError.self) { try peer.send(.text("unspeakable")) }
        #expect(error?.code == .extensionFailed)
        try peer.send(.text("fine"))
        #expect(peer.takeFrames() == [WireFrame(0x81, Array("fine".utf8))])
        #expect(peer.closed == nil)
    }

    @Test("a message refused after another extension has had it: 1011, since the ends no longer agree on what was sent")
    func refusedAmongSeveral() throws {
        let both = [Repeating(name: "x-one"), Repeating(name: "x-two")]
        var peer = try WirePeer.server(both, offer: "x-one, x-two")
        #expect(throws: WebSocketError.self) { try peer.send(.text("unspeakable")) }
        peer.run()
        #expect(peer.takeCloseCode() == 1011)
        #expect(peer.closed != nil)
        #expect(throws: WebSocketError.self) { try peer.send(.text("fine")) }
        #expect(both.map(\.record.calls) == [["opened", "closed"], ["opened", "closed"]])
    }

    @Test("a streamed message is collected for it and leaves whole; its own messages may pass meanwhile")
    func streamed() throws {
        func piece(_ text: String, isFirst: Bool = false, isLast: Bool = false) -> MessageChunk {
            MessageChunk(kind: .text, bytes: ByteBuffer(string: text), isFirst: isFirst, isLast: isLast)
        }
        var limits = Limits()
        limits.messages.messageBytes = 10
        var peer = try WirePeer.client([KaazingPingPong()], answer: "x-kaazing-ping-pong; 01010102", limits: limits)
        try peer.send(piece("\u{1}\u{1}", isFirst: true))
        try peer.send(piece("\u{1}\u{2}"))
        #expect(peer.takeFrames().isEmpty)
        peer.feed(WireFrame(0x81, [1, 1, 1, 2, 9, 0]))
        #expect(peer.takeFrames() == [WireFrame(0x81, [1, 1, 1, 2, 10, 0])])
        try peer.send(piece("x"))
        try peer.send(piece("", isLast: true))
        // It begins as a control message does, which only the whole shows.
        #expect(peer.takeFrames() == [WireFrame(0x81, [1, 1, 1, 2]), WireFrame(0x81, [1, 1, 1, 2, 0x78])])
        // No more than the limit is collected.
        try peer.send(piece("0123456789", isFirst: true))
        let error = #expect(throws: WebSocketError.self) { try peer.send(piece("a")) }
        #expect(error?.code == .messageTooBig)
        #expect(peer.takeFrames().isEmpty)
        try peer.send(.text("next"))
        #expect(peer.takeFrames() == [WireFrame(0x81, Array("next".utf8))])
    }

    @Test(
        "beside compression: fragments in, pieces out, control frames between, both deliveries",
        arguments: [nil, 1, 7]
    )
    func fragments(readBytes: Int?) throws {
        for delivery in [MessageDelivery.messages, .chunks] {
            let extensions: [any WebSocketExtension] = [Repeating(count: 2), PerMessageDeflate()]
            var peer = try WirePeer.server(
                extensions,
                offer: "x-repeat, permessage-deflate",
                delivery: delivery
            )
            // "Hello" in two frames (RFC 7692 section 7.2.3.1), a ping between them; then one that is not compressed.
            peer.feed(
                [
                    WireFrame(0x41, [0xF2, 0x48, 0xCD]), WireFrame(0x89, [1]),
                    WireFrame(0x80, [0xC9, 0xC9, 0x07, 0x00]), WireFrame(0x01, [0x61]), WireFrame(0x8A, []),
                    WireFrame(0x80, [0x62]),
                ],
                readBytes: readBytes
            )
            #expect(peer.takeMessages() == [.text("HelloHello"), .text("abab")])
            #expect(peer.takeFrames() == [WireFrame(0x8A, [1])])
            for (index, text) in ["tick ", "tick ", ""].enumerated() {
                let bytes = ByteBuffer(string: String(repeating: text, count: 40))
                try peer.send(MessageChunk(kind: .text, bytes: bytes, isFirst: index == 0, isLast: index == 2))
            }
            #expect(peer.takeFrames().map(\.first) == [0xC1])
        }
    }

    // MARK: Life

    /// A client that the opening handshake has given `x-repeat` and the extended handshake.
    private static func beforeCompletion(_ record: Repeating.Record) throws -> DrivenConnection {
        let now = NIODeadline.uptimeNanoseconds(1_000_000_000)
        var plan = ClientPlan(url: try WebSocketURL("ws://example.com/"))
        plan.extensions = [Repeating(record: record)]
        let connection = try Connection(
            client: plan,
            configuration: ConnectionConfiguration(),
            key: Transcript.Constants.key,
            masks: FixedMask(),
            deadline: nil,
            now: now
        )
        let client = DrivenConnection(connection, now: now)
        client.feed(
            ByteBuffer(
                string: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    + "Sec-WebSocket-Accept: \(Transcript.Constants.accept)\r\nSec-WebSocket-Protocol: x-kaazing-handshake\r\n"
                    + "Sec-WebSocket-Extensions: x-repeat\r\n\r\n"
            )
        )
        return client
    }

    @Test(
        "an attempt that the extended handshake redirects, refuses or breaks lets go of what the opening agreed on",
        arguments: [
            "HTTP/1.1 302 Found\r\nLocation: ws://example.com/other\r\n\r\n", "HTTP/1.1 403 Forbidden\r\n\r\n",
            "HTTP/1.1 101 Web Socket Protocol Handshake\r\nSec-WebSocket-Extensions: x-repeat\r\n\r\n", "nonsense",
        ]
    )
    func discarded(answer: String) throws {
        let record = Repeating.Record()
        let client = try Self.beforeCompletion(record)
        #expect(record.calls.isEmpty)
        var bytes = ByteBuffer()
        FrameWriter(role: .server).write(.binary, payload: ByteBuffer(string: answer), into: &bytes)
        client.feed(bytes)
        client.endInput()
        #expect(client.opened == nil)
        #expect(record.calls == ["closed"])
    }

    @Test("what the transport simply drops is let go of as well")
    func abandoned() throws {
        let record = Repeating.Record()
        let client = try Self.beforeCompletion(record)
        _ = client.connection.abandoned(now: client.now)
        #expect(record.calls == ["closed"])
    }
}
