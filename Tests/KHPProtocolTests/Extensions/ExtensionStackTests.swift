// Extensions in force: several at once, conflicts, both handshakes, their life (KHP-E5, KHP-E8, KHP-E10, KHP-E14).

import KHPProtocol
import KHPTesting
import NIOCore
import Synchronization
import Testing

/// XORs each byte with a constant, under a reserved bit of its own; says when it was let go.
private struct Flipping: WebSocketExtension {
    var name = "x-flip"
    var reservedBits = ReservedBits.rsv2
    var layers: Set<HandshakeLayer> = [.opening, .extended]
    var key: UInt8 = 0x55
    var life: Life?

    final class Life: Sendable {
        let closed = Mutex(0)
    }

    func makeFrameTransform(role: Role, parameters: ExtensionParameters) -> (any FrameTransform)? {
        Transform(bits: self.reservedBits, key: self.key, life: self.life)
    }

    struct Transform: FrameTransform {
        let bits: ReservedBits
        let key: UInt8
        let life: Life?

        mutating func inbound(_ piece: inout MessagePiece, into output: inout ByteBuffer, room: Int) -> Bool {
            // A step at a time, however much room there is.
            guard let bytes = piece.bytes.readBytes(length: min(room, 3, piece.bytes.readableBytes)) else {
                return true
            }
            output.writeBytes(bytes.map { $0 ^ self.key })
            return piece.bytes.readableBytes == 0
        }

        mutating func outbound(_ piece: inout MessagePiece, into output: inout ByteBuffer) {
            if piece.isFirst { piece.reservedBits = [.rsv1, .rsv2, .rsv3] }
            output.writeBytes(piece.bytes.readableBytesView.map { $0 ^ self.key })
        }

        mutating func closed() {
            self.life?.closed.withLock { $0 += 1 }
        }
    }
}

/// Puts its mark behind text that leaves and takes it off what arrives; may say something of its own at once.
private struct Marking: WebSocketExtension {
    let name: String
    var layers: Set<HandshakeLayer> = [.opening, .extended]
    var refuses = false
    var announces = false

    func choose(_ offer: ExtensionParameters) -> ExtensionChoice {
        self.refuses ? .fail("The offer of \(self.name) cannot be understood.") : .accept(offer)
    }

    func makeTransform(role: Role, parameters: ExtensionParameters) -> (any MessageTransform)? {
        Transform(name: self.name, announces: self.announces)
    }

    struct Transform: MessageTransform {
        let name: String
        let announces: Bool

        mutating func opened(_ scope: inout ExtensionScope) {
            if self.announces { scope.send(.text("hello from " + self.name)) }
        }

        mutating func inbound(_ message: WebSocketMessage) throws -> WebSocketMessage? {
            guard case .text(let text) = message else { return message }
            guard text.hasSuffix(self.name) else {
                throw WebSocketError(.protocolViolation, "No mark.", closeCode: WebSocketCloseCode(rawValue: 4001))
            }
            return .text(String(text.dropLast(self.name.count)))
        }

        mutating func outbound(_ message: WebSocketMessage) -> WebSocketMessage? {
            guard case .text(let text) = message else { return message }
            return .text(text + self.name)
        }
    }
}

/// Cannot bear "bad".
private struct Failing: WebSocketExtension {
    let name = "x-fail"

    func makeTransform(role: Role, parameters: ExtensionParameters) -> (any MessageTransform)? { Transform() }

    struct Transform: MessageTransform {
        struct Bug: Error {}

        mutating func inbound(_ message: WebSocketMessage) throws -> WebSocketMessage? { try self.outbound(message) }

        mutating func outbound(_ message: WebSocketMessage) throws -> WebSocketMessage? {
            guard message != .text("bad") else { throw Bug() }
            return message
        }
    }
}

/// Says something every ten milliseconds, and does not look at messages.
private struct Beating: WebSocketExtension {
    let name = "x-beat"

    func makeTransform(role: Role, parameters: ExtensionParameters) -> (any MessageTransform)? { Transform() }

    struct Transform: MessageTransform {
        var handlesMessages: Bool { false }

        mutating func opened(_ scope: inout ExtensionScope) { scope.deadline = scope.now + .milliseconds(10) }

        mutating func deadlineReached(_ scope: inout ExtensionScope) {
            scope.send(.text("beat"))
            scope.deadline = scope.now + .milliseconds(10)
        }
    }
}

@Suite("Extensions in force")
struct ExtensionStackTests {
    private static func pipe(
        client: [any WebSocketExtension],
        server: [any WebSocketExtension],
        extended: ExtendedHandshakePolicy = .required
    ) throws -> ConnectionPipe {
        try ConnectionPipe(
            client: .init(extensions: client, extendedHandshake: extended),
            server: .init(extensions: server)
        )
    }

    @Test("two over frames and two over messages at once", arguments: [nil, 1, 4])
    func together(readBytes: Int?) throws {
        let all: [any WebSocketExtension] = [PerMessageDeflate(), Marking(name: "-a"), Flipping(), Marking(name: "-b")]
        let pipe = try Self.pipe(client: all, server: all, extended: .off)
        pipe.readBytes = readBytes
        let agreed = try pipe.open()
        // The order of the answer is that of operations: messages first, frames behind.
        #expect(agreed.server.extensions.map(\.name) == ["-a", "-b", "permessage-deflate", "x-flip"])
        #expect(agreed.client.extensions == agreed.server.extensions)
        try pipe.send(.text("again"), from: .server)
        let text = String(repeating: "tick ", count: 5000)
        try pipe.send(.text(text), from: .server)
        let bytes = ByteBuffer(repeating: 0, count: 100_000)
        try pipe.send(.binary(bytes), from: .server)
        #expect(pipe.takeMessages(at: .client) == [.text("again"), .text(text), .binary(bytes)])
        #expect(pipe.bytesFromServer < 4000)
    }

    @Test("messages of an extension's own pass those nearer to the wire, and not itself")
    func injected() throws {
        let marking = ["-a", "-b"].map { Marking(name: $0, announces: true) }
        var peer = try WirePeer.client(marking, answer: "-a, -b")
        #expect(
            peer.takeFrames().map { String(decoding: $0.payload, as: UTF8.self) } == [
                "hello from -a-b", "hello from -b",
            ]
        )
        try peer.send(.text("x"))
        #expect(peer.takeFrames().map { String(decoding: $0.payload, as: UTF8.self) } == ["x-a-b"])
        // An error that the extension throws closes with the code that it names.
        peer.feed(WireFrame(0x81, Array("unmarked".utf8)))
        #expect(peer.takeCloseCode() == 4001)
    }

    @Test("an error of an extension's own: thrown to who sends, and the end of who receives")
    func ownErrors() throws {
        var peer = try WirePeer.server([Failing()], offer: "x-fail")
        let refusal = #expect(throws: WebSocketError.self) { try peer.send(.text("bad")) }
        #expect(refusal?.code == .extensionFailed)
        #expect(refusal?.message.contains("Bug") == true)
        try peer.send(.text("good"))
        #expect(peer.takeFrames() == [WireFrame(0x81, Array("good".utf8))])
        peer.feed(WireFrame(0x81, Array("bad".utf8)))
        #expect(peer.takeMessages().isEmpty)
        #expect(peer.takeCloseCode() == 1011)
        peer.endInput()
        #expect(peer.closed?.error?.code == .extensionFailed)
    }

    @Test("messages of an extension's own wait for the end of one that the application sends in pieces")
    func injectedWhileStreaming() throws {
        var peer = try WirePeer.server([Beating()], offer: "x-beat")
        peer.advance(by: .milliseconds(10))
        #expect(peer.takeFrames().map(\.payload) == [Array("beat".utf8)])
        try peer.send(MessageChunk(kind: .text, bytes: ByteBuffer(string: "a"), isFirst: true, isLast: false))
        peer.advance(by: .milliseconds(20))
        try peer.send(MessageChunk(kind: .text, bytes: ByteBuffer(string: "b"), isFirst: false, isLast: false))
        #expect(peer.takeFrames() == [WireFrame(0x01, Array("a".utf8)), WireFrame(0x00, Array("b".utf8))])
        try peer.send(MessageChunk(kind: .text, bytes: ByteBuffer(string: "c"), isFirst: false, isLast: true))
        let beat = WireFrame(0x81, Array("beat".utf8))
        #expect(peer.takeFrames() == [WireFrame(0x80, Array("c".utf8)), beat, beat])
        peer.advance(by: .milliseconds(10))
        #expect(peer.takeFrames() == [beat])
    }

    @Test("no more than 64 of them wait")
    func injectedWithoutEnd() throws {
        var peer = try WirePeer.server([Beating()], offer: "x-beat")
        try peer.send(MessageChunk(kind: .text, bytes: ByteBuffer(string: "a"), isFirst: true, isLast: false))
        for _ in 0..<64 { peer.advance(by: .milliseconds(10)) }
        #expect(peer.takeFrames().map(\.first) == [0x01])
        peer.advance(by: .milliseconds(10))
        #expect(peer.takeCloseCode() == 1011)
        peer.endInput()
        #expect(peer.closed?.error?.code == .limitExceeded)
    }

    @Test("no bit but its own is an extension's to set")
    func ownBits() throws {
        var peer = try WirePeer.server([Flipping(key: 1)], offer: "x-flip")
        try peer.send(.binary(ByteBuffer(bytes: [0, 1])))
        #expect(peer.takeFrames() == [WireFrame(0xA2, [1, 0])])
        // Messages without its bit pass it by.
        peer.feed(WireFrame(0xA2, [0, 1]), WireFrame(0x82, [0, 1]))
        #expect(
            peer.takeMessages() == [.binary(ByteBuffer(bytes: [1, 0])), .binary(ByteBuffer(bytes: [0, 1]))]
        )
    }

    @Test("a server declines the second extension of a bit")
    func conflictAtServer() throws {
        let both: [any WebSocketExtension] = [Flipping(name: "x-one", reservedBits: .rsv1), PerMessageDeflate()]
        #expect(
            try WirePeer.server(both, offer: "permessage-deflate, x-one").extensionsField == "permessage-deflate"
        )
        #expect(try WirePeer.server(both, offer: "x-one, permessage-deflate").extensionsField == "x-one")
        // The same extension in two layers of compression is one too many as well (threat C6).
        let twice = try WirePeer.server(both, offer: "permessage-deflate, permessage-deflate; server_max_window_bits=9")
        #expect(twice.extensionsField == "permessage-deflate")
    }

    @Test("a client fails on an answer with two extensions of a bit, in one handshake or over both")
    func conflictAtClient() throws {
        let both: [any WebSocketExtension] = [Flipping(name: "x-one", reservedBits: .rsv1), PerMessageDeflate()]
        let peer = try WirePeer.client(both, answer: "x-one, permessage-deflate")
        #expect(peer.failure?.code == .openingInvalid)
        #expect(peer.failure?.message.contains("reserved bit") == true)
        var negotiation = try OfferedExtensions(both)
        try negotiation.take(try parseExtensions(["x-one"]), layer: .opening)
        #expect(throws: OfferedExtensions.Mismatch.self) {
            try negotiation.take(try parseExtensions(["permessage-deflate"]), layer: .extended)
        }
        // On the server's side the opening's bits count in the extended handshake.
        let known = [NegotiatedExtension(name: "x-one", layer: .opening)]
        let offers = try parseExtensions(["permessage-deflate"])
        #expect(
            try OfferedExtensions.choose(from: offers, supported: both, layer: .extended, beside: known).isEmpty
        )
    }

    @Test("negotiated inside, in the opening, or one in each (KHP-E5)", arguments: [nil, 1])
    func layers(readBytes: Int?) throws {
        let flipping = Flipping(layers: [.opening])
        let inner: [any WebSocketExtension] = [Marking(name: "-a", layers: [.extended]), PerMessageDeflate()]
        let all: [any WebSocketExtension] = [flipping] + inner
        let pipe = try Self.pipe(client: all, server: all)
        pipe.readBytes = readBytes
        let agreed = try pipe.open()
        #expect(
            agreed.client.extensions.map { "\($0.name)/\($0.layer)" } == [
                "x-flip/opening", "-a/extended", "permessage-deflate/extended",
            ]
        )
        #expect(agreed.server.extensions == agreed.client.extensions)
        let text = String(repeating: "abc", count: 1000)
        try pipe.send(.text(text), from: .server)
        #expect(pipe.takeMessages(at: .client) == [.text(text)])
        // An extension for the other handshake alone is neither asked for nor granted in this one.
        let plain = try Self.pipe(client: inner, server: inner, extended: .off)
        #expect(try plain.open().client.extensions.map(\.name) == ["permessage-deflate"])
    }

    @Test("a server refuses a handshake for an offer that it fails on: 400 in either")
    func refused() throws {
        for policy in [ExtendedHandshakePolicy.off, .required] {
            let pipe = try Self.pipe(
                client: [Marking(name: "x-mark")],
                server: [Marking(name: "x-mark", refuses: true)],
                extended: policy
            )
            let error = #expect(throws: WebSocketError.self) { try pipe.open() }
            #expect(error?.response?.status == 400)
            let entity = error?.response.map { String(buffer: $0.body) } ?? ""
            #expect(entity.contains("The offer of x-mark cannot be understood."))
        }
    }

    @Test("KHP-E8: what the opening negotiated must not be asked for inside; other parameters are alternatives")
    func askedTwice() throws {
        for (inside, status) in [
            ("x-flip", 400), ("x-flip; level=2", 400), ("x-other, x-other", 400),
            ("permessage-deflate; server_max_window_bits=9, permessage-deflate", 101), ("x-other", 101),
        ] {
            let answer = try Self.answer(inside: inside)
            #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(inside): \(answer)")
            #expect(answer.contains("permessage-deflate; server_max_window_bits=9") == inside.contains("bits=9"))
        }
    }

    /// The answer of a server, which negotiated x-flip in the opening, to an extended request for these.
    private static func answer(inside: String) throws -> String {
        let extensions: [any WebSocketExtension] = [Flipping(layers: [.opening]), PerMessageDeflate()]
        let opening =
            "GET / HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + "Sec-WebSocket-Key: \(Transcript.Constants.key)\r\nSec-WebSocket-Version: 13\r\n"
            + "Sec-WebSocket-Protocol: x-kaazing-handshake\r\nSec-WebSocket-Extensions: x-flip\r\n\r\n"
        let now = NIODeadline.uptimeNanoseconds(1_000_000_000)
        var connection = Connection(server: ConnectionConfiguration(), isSecure: false, now: now)
        connection.start(now: now)
        connection.receive(ByteBuffer(string: opening), now: now)
        var plan = EndpointPlan.Values()
        plan.extended = true
        plan.extensions = extensions
        let writer = FrameWriter(role: .client)
        var request = ByteBuffer()
        let head = ByteBuffer(string: "GET / HTTP/1.1\r\nSec-WebSocket-Extensions: \(inside)\r\n\r\n")
        writer.write(.binary, payload: head, mask: 0x1234_5678, into: &request)
        while let action = connection.next(now: now) {
            switch action {
            case .server(.decideOpening): connection.acceptOpening(EndpointPlan(plan), now: now)
            case .server(.decideExtended):
                connection.answerExtended(HandshakeResponse(status: 101), principal: nil, now: now)
            default: break
            }
        }
        _ = connection.output.next()
        connection.receive(request, now: now)
        while let action = connection.next(now: now) {
            if case .server(.decideExtended) = action {
                connection.answerExtended(HandshakeResponse(status: 101), principal: nil, now: now)
            }
        }
        var bytes = ByteBuffer()
        while let buffer = connection.output.next() { bytes.writeImmutableBuffer(buffer) }
        var reader = MessageReader(role: .client)
        guard case .message(_, let payload, let reserved)? = try reader.next(&bytes) else { return "" }
        // Threat C5: no message of the extended handshake is transformed, whatever the opening negotiated.
        #expect(reserved == 0)
        return String(buffer: payload)
    }

    @Test("Threats C5, E16: the extended request goes out uncompressed; a peer's compressed answer is read")
    func handshakeMessages() throws {
        let now = NIODeadline.uptimeNanoseconds(1_000_000_000)
        var plan = ClientPlan(url: try WebSocketURL("ws://example.com/"))
        // It would compress messages as short as the request.
        var eager = PerMessageDeflate()
        eager.threshold = 0
        plan.extensions = [eager]
        var client = try Connection(
            client: plan,
            configuration: ConnectionConfiguration(),
            key: Transcript.Constants.key,
            deadline: nil,
            now: now
        )
        client.start(now: now)
        while client.next(now: now) != nil {}
        while client.output.next() != nil {}
        let accept = AcceptKey.accept(for: Transcript.Constants.key)
        client.receive(
            ByteBuffer(
                string: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    + "Sec-WebSocket-Accept: \(accept)\r\nSec-WebSocket-Protocol: x-kaazing-handshake\r\n"
                    + "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
            ),
            now: now
        )
        while client.next(now: now) != nil {}
        let written = client.output.next()
        let request = try #require(written)
        #expect(request.getInteger(at: request.readerIndex, as: UInt8.self) == 0x82)
        // The peer's library compresses everything, with a context that goes on after the handshake.
        var deflate = try #require(PerMessageDeflate().makeFrameTransform(role: .server, parameters: .init()))
        let answer =
            "HTTP/1.1 101 Web Socket Protocol Handshake\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            + "Sec-WebSocket-Accept: \(accept)\r\n\r\n"
        let message = "HTTP/1.1 101 Web Socket Protocol Handshake, once more: Connection: Upgrade, Upgrade: websocket"
        for text in [answer, message] {
            var piece = MessagePiece(.binary, ByteBuffer(string: text))
            var payload = ByteBuffer()
            try deflate.outbound(&piece, into: &payload)
            var frame = ByteBuffer()
            FrameWriter(role: .server).write(.binary, payload: payload, rsv: 0x40, into: &frame)
            #expect(payload.readableBytes < text.utf8.count)
            client.receive(frame, now: now)
        }
        var got: [String] = []
        var negotiation: HandshakeSummary?
        while let action = client.next(now: now) {
            if case .opened(let opened) = action { negotiation = opened }
            if case .message(_, let payload) = action { got.append(String(buffer: payload)) }
        }
        #expect(negotiation?.extensions.map { "\($0)/\($0.layer)" } == ["permessage-deflate/opening"])
        #expect(negotiation?.status == 101)
        #expect(got == [message])
    }

    @Test("an answer that no extension can read fails the handshake, in either role", arguments: Role.allCases)
    func unreadableHandshake(_ role: Role) throws {
        let now = NIODeadline.uptimeNanoseconds(1_000_000_000)
        let field = "Sec-WebSocket-Protocol: x-kaazing-handshake\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
        var connection: Connection
        if role == .client {
            var plan = ClientPlan(url: try WebSocketURL("ws://example.com/"))
            plan.extensions = [PerMessageDeflate()]
            connection = try Connection(
                client: plan,
                configuration: ConnectionConfiguration(),
                key: Transcript.Constants.key,
                deadline: nil,
                now: now
            )
            connection.start(now: now)
            let accept = AcceptKey.accept(for: Transcript.Constants.key)
            connection.receive(
                ByteBuffer(
                    string: "HTTP/1.1 101 A\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        + "Sec-WebSocket-Accept: \(accept)\r\n\(field)\r\n"
                ),
                now: now
            )
        } else {
            connection = Connection(server: ConnectionConfiguration(), isSecure: false, now: now)
            connection.transportUp(now: now)
            connection.start(now: now)
            connection.receive(
                ByteBuffer(
                    string: "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        + "Sec-WebSocket-Key: \(Transcript.Constants.key)\r\nSec-WebSocket-Version: 13\r\n\(field)\r\n"
                ),
                now: now
            )
            while connection.next(now: now) != nil {}
            var plan = EndpointPlan.Values()
            plan.extended = true
            plan.extensions = [PerMessageDeflate()]
            connection.acceptOpening(EndpointPlan(plan), now: now)
        }
        while connection.next(now: now) != nil {}
        while connection.output.next() != nil {}
        // A block of a type that deflate does not know.
        let mask: [UInt8] = role == .server ? [0, 0, 0, 0] : []
        connection.receive(ByteBuffer(bytes: [0xC2, role == .server ? 0x81 : 0x01] + mask + [0x07]), now: now)
        while connection.next(now: now) != nil {}
        var written: [UInt8] = []
        while let bytes = connection.output.next() { written += bytes.readableBytesView }
        #expect(written.contains(0x88), "\(written)")
        #expect(connection.lastFailure?.code == .extendedInvalid || connection.lastFailure?.code == .protocolViolation)
    }

    @Test("told of the end, once, and let go", arguments: [true, false])
    func life(isClean: Bool) throws {
        let life = Flipping.Life()
        var peer = try WirePeer.client([Flipping(life: life)], answer: "x-flip")
        #expect(life.closed.withLock { $0 } == 0)
        if isClean {
            peer.feed(WireFrame(0x88, [0x03, 0xE8]))
        }
        peer.endInput()
        #expect(peer.closed != nil)
        #expect(life.closed.withLock { $0 } == 1)
        weak let last = life
        #expect(last != nil)
    }
}
