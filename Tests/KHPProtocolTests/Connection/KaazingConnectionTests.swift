// D7 on an open connection: no fragments towards a Kaazing client, and what it may send that others may not.

import KHPProtocol
import NIOCore
import Testing

@Suite("An open connection of the Kaazing legacy exchange")
struct KaazingConnectionTests {
    private static let now = NIODeadline.uptimeNanoseconds(1_000_000_000)

    /// A server's connection, open and with nothing left to be written.
    private func open(_ target: String, legacy: Bool = true, messageBytes: Int = 1 << 20) throws -> Connection {
        var settings = ConnectionSettings()
        settings.limits.messages.messageBytes = messageBytes
        var connection = Connection(server: ConnectionConfiguration(settings), isSecure: false, now: Self.now)
        connection.transportUp(now: Self.now)
        connection.start(now: Self.now)
        connection.receive(ByteBuffer(string: Sample.openingLines(target)), now: Self.now)
        guard case .server(.decideOpening)? = connection.next(now: Self.now) else {
            throw WebSocketError(.invalidArgument, "no opening request")
        }
        var plan = EndpointPlan.Values()
        plan.extended = true
        plan.kaazingLegacy = legacy
        connection.acceptOpening(EndpointPlan(plan), now: Self.now)
        connection.receive(Self.frame(0x82, ByteBuffer(string: "GET /trades HTTP/1.1\r\n\r\n")), now: Self.now)
        guard case .server(.decideExtended)? = connection.next(now: Self.now) else {
            throw WebSocketError(.invalidArgument, "no extended request")
        }
        connection.answerExtended(HandshakeResponse(status: 101), principal: nil, now: Self.now)
        guard case .opened? = connection.next(now: Self.now) else {
            throw WebSocketError(.invalidArgument, "not open")
        }
        _ = Self.written(&connection)
        return connection
    }

    private static func frame(_ first: UInt8, _ payload: ByteBuffer, longLength: Bool = false) -> ByteBuffer {
        var frame = ByteBuffer(integer: first)
        if longLength {
            frame.writeMultipleIntegers(UInt8(0xFF), UInt64(payload.readableBytes))
        } else {
            frame.writeInteger(0x80 | UInt8(payload.readableBytes))
        }
        frame.writeInteger(UInt32(0))
        frame.writeImmutableBuffer(payload)
        return frame
    }

    private static func written(_ connection: inout Connection) -> ByteBuffer {
        var bytes = ByteBuffer()
        while let next = connection.output.next() { bytes.writeImmutableBuffer(next) }
        return bytes
    }

    private func chunk(_ text: String, first: Bool = false, last: Bool = false) -> MessageChunk {
        MessageChunk(kind: .text, bytes: ByteBuffer(string: text), isFirst: first, isLast: last)
    }

    @Test(
        "pieces of a message go out in one frame",
        arguments: [("/trades?.kl=Y", true), ("/trades?.kl=Y", false), ("/trades", true)]
    )
    func pieces(_ target: String, _ legacy: Bool) throws {
        var connection = try self.open(target, legacy: legacy)
        for piece in [self.chunk("", first: true), self.chunk("ab"), self.chunk("cd"), self.chunk("", last: true)] {
            try connection.send(piece, now: Self.now)
        }
        let isWhole = legacy && target.hasSuffix(".kl=Y")
        let expected: [UInt8] =
            isWhole
            ? [0x81, 0x04, 0x61, 0x62, 0x63, 0x64] : [0x01, 0x02, 0x61, 0x62, 0x00, 0x02, 0x63, 0x64, 0x80, 0x00]
        #expect(Array(Self.written(&connection).readableBytesView) == expected)
        // The next message is one of its own.
        try connection.send(.text, ByteBuffer(string: "e"), now: Self.now)
        #expect(Array(Self.written(&connection).readableBytesView) == [0x81, 0x01, 0x65])
    }

    @Test("pieces are collected up to the message limit; what was too large was never begun")
    func tooLarge() throws {
        var connection = try self.open("/trades?.kl=Y", messageBytes: 4)
        try connection.send(self.chunk("abcd", first: true), now: Self.now)
        let error = #expect(throws: WebSocketError.self) { try connection.send(self.chunk("e"), now: Self.now) }
        #expect(error?.code == .messageTooBig)
        #expect(Self.written(&connection).readableBytes == 0)
        try connection.send(.text, ByteBuffer(string: "f"), now: Self.now)
        #expect(Array(Self.written(&connection).readableBytesView) == [0x81, 0x01, 0x66])
    }

    @Test(
        "65,535 bytes with a 64-bit length",
        arguments: [("/trades?.kl=Y", true), ("/trades?.kl=Y", false), ("/trades", true)]
    )
    func longLength(_ target: String, _ legacy: Bool) throws {
        var connection = try self.open(target, legacy: legacy)
        let payload = ByteBuffer(repeating: 0x61, count: 65_535)
        connection.receive(Self.frame(0x82, payload, longLength: true), now: Self.now)
        if legacy && target.hasSuffix(".kl=Y") {
            guard case .message(.binary, let received)? = connection.next(now: Self.now) else {
                Issue.record("no message")
                return
            }
            #expect(received == payload)
        } else {
            _ = connection.next(now: Self.now)
            #expect(Array(Self.written(&connection).readableBytesView.prefix(4)).dropFirst(2) == [0x03, 0xEA])
        }
    }

    @Test("what keeps a connection alive is a ping, never a pong alone")
    func keepAlive() throws {
        var connection = try self.open("/trades?.kl=Y")
        let due = connection.deadline
        let deadline = try #require(due)
        connection.timeReached(now: deadline)
        #expect(Self.written(&connection).readableBytesView.first == 0x89)
    }
}
