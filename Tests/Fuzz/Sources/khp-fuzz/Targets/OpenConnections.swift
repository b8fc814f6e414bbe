// An open connection in either role, with and without extensions and in every dialect: a peer's bytes between the deeds
// of an application that sends whole messages and pieces, stops reading, and moves what the shell moves.

import KHPProtocol
import NIOCore

extension FuzzTarget {
    /// Elements of Sec-WebSocket-Extensions in an answer; none at 0.
    private static let agreements = [
        "", "permessage-deflate", "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        "x-kaazing-ping-pong; 01010102", "x-kaazing-idle-timeout; timeout=20000",
        "x-kaazing-http-revalidate; 01010103, permessage-deflate", "permessage-deflate, x-inverted",
    ]

    static let openConnections = FuzzTarget(name: "open-connections") { seeds in
        let frames = try seeds.hexadecimal(in: "frames.json", keys: ["hex"])
        let deflated = try seeds.hexadecimal(in: "deflate.json", keys: ["messages"])
        let control = "\u{1}\u{1}\u{1}\u{3}\u{1}/path?a=b"
        var written = ByteBuffer()
        for role in [Role.client, .server] {
            let writer = FrameWriter(role: role)
            for bytes in deflated.prefix(8) {
                writer.write(.text, payload: ByteBuffer(bytes: bytes), rsv: 0x40, mask: 7, into: &written)
            }
            for text in [control, "\u{1}\u{1}\u{1}\u{2}\u{9}\0", "hello"] {
                writer.write(.text, payload: ByteBuffer(string: text), mask: 7, into: &written)
            }
        }
        let all = Array(written.readableBytesView)
        let halves = [Array(all.prefix(all.count / 2)), Array(all.suffix(all.count - all.count / 2)), all]
        // Each shape with its role, extension, dialect and way to deliver; then the cuts and the deeds.
        let shapes: [[UInt8]] = (0..<7).flatMap { agreed in
            [
                [0, agreed, 0, 0, 3, 7], [1, agreed, 0, 1, 9, 50], [0, agreed, 0, 3, 0, 99],
                [1, agreed, 0, 5, 20, 120],
            ]
        }
        let old: [[UInt8]] = (1..<4).map { [1, 0, $0, 0, 5, $0 &* 31] }
        return halves.deciding(shapes)
            + frames.prefix(40).map { $0 }.deciding([[0, 0, 0, 0, 4, 9], [1, 0, 0, 1, 4, 8]])
            + [Array("\u{0}hello".utf8) + [0xFF, 0xFF, 0], [0xFF, 0, 0, 0, 0, 0, 0, 0, 2, 0x68, 0x69]].deciding(old)
            // Enough of one length to come to each deed.
            + (0..<48).map { Array(repeating: 0x89, count: 60) + [200, UInt8($0) &* 5 | 1, 0, 0, $0 % 7, $0 % 2] }
    } run: { input in
        var input = input
        let role: Role = input.flag() ? .server : .client
        let agreed = agreements[input.choice(agreements.count)]
        // A client of an older dialect has keys of its own, which `clients` plays.
        let dialects: [Dialect] =
            role == .server && agreed.isEmpty ? [.rfc6455, .hixie75, .hixie76, .whatwg2010] : [.rfc6455]
        let dialect = dialects[input.choice(4) % dialects.count]
        let shape = OpenShape(role: role, agreed: agreed, dialect: dialect, bits: input.byte())
        var cuts = input.cuts()
        var deeds = input.cuts()
        let content = input.content
        guard let start = OpenPlay(shape) else {
            return check(false, "a \(dialect) \(role) with \(agreed) does not open")
        }

        // Plain messages may be taken where they lie, or one action each: the application gets the same.
        let pieces = cuts.pieces(of: content)
        var slow = start.copy()
        var quick = start.copy()
        for piece in pieces {
            slow.receive(piece)
            quick.receivePlain(piece)
        }
        check(slow.messages == quick.messages, "taken where they lie they are other messages")
        check(slow.closed?.code == quick.closed?.code, "taken where they lie they end otherwise")
        slow.finish()
        quick.finish()

        var busy = start.copy()
        for piece in pieces {
            busy.act(&deeds)
            if Bool.random(using: &deeds) { busy.receivePlain(piece) } else { busy.receive(piece) }
        }
        busy.act(&deeds)
        busy.finish()
    }
}

private struct OpenShape {
    let role: Role
    let agreed: String
    let dialect: Dialect
    let deliversChunks: Bool
    let isObserved: Bool
    let hasEnd: Bool

    init(role: Role, agreed: String, dialect: Dialect, bits: UInt8) {
        self.role = role
        self.agreed = agreed
        self.dialect = dialect
        self.deliversChunks = bits & 1 == 1
        self.isObserved = bits & 2 == 2
        self.hasEnd = bits & 4 == 4
    }

    var extensions: [any WebSocketExtension] {
        var deflate = PerMessageDeflate()
        deflate.threshold = 8
        return [
            deflate, Inverting(), KaazingPingPong(), KaazingIdleTimeout(timeout: .seconds(20)),
            self.role == .server ? KaazingHTTPRevalidate() : KaazingHTTPRevalidate { _ in },
        ]
    }

    var configuration: ConnectionConfiguration {
        var settings = ConnectionSettings()
        settings.dialects = [self.dialect]
        settings.delivery = self.deliversChunks ? .chunks : .messages
        settings.observation = self.isObserved ? .everything : .nothing
        settings.limits.messages.messageBytes = 100_000
        if self.hasEnd { settings.keepAlive.idleTimeout = .seconds(90) }
        return ConnectionConfiguration(settings)
    }
}

/// The same masking key for each frame.
private struct OneMask: MaskSource {
    func next() -> UInt32 { 0x0102_0304 }
}

/// Turns each bit around, under RSV2: pieces go through two stages.
private struct Inverting: WebSocketExtension, FrameTransform {
    let name = "x-inverted"
    let reservedBits: ReservedBits = .rsv2

    func makeFrameTransform(role: Role, parameters: ExtensionParameters) -> (any FrameTransform)? { self }

    func outbound(_ piece: inout MessagePiece, into output: inout ByteBuffer) {
        if piece.isFirst { piece.reservedBits.insert(.rsv2) }
        output.writeBytes(piece.bytes.readableBytesView.map { ~$0 })
    }

    func inbound(_ piece: inout MessagePiece, into output: inout ByteBuffer, room: Int) -> Bool {
        let bytes = piece.bytes.readBytes(length: min(room, piece.bytes.readableBytes)) ?? []
        output.writeBytes(bytes.map { ~$0 })
        return piece.bytes.readableBytes == 0
    }
}

private struct OpenPlay {
    private let shape: OpenShape
    private var connection: Connection
    private var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private var pausedSince: NIODeadline?
    private var hasOpened = false
    /// True once all that is written is frames.
    private var isOpen = false
    /// Reads all that is written, as the peer does.
    private var peer: FrameCodec
    private var unread = ByteBuffer()
    private(set) var messages: [[UInt8]] = []
    private var partial: [UInt8] = []
    private(set) var closed: CloseInfo?
    private var pieces = 0

    init?(_ shape: OpenShape) {
        self.shape = shape
        self.peer = FrameCodec(shape.dialect, role: shape.role == .client ? .server : .client)
        if shape.agreed.contains("deflate") { self.peer.allowedReservedBits = 0x60 }
        let field = shape.agreed.isEmpty ? "" : "Sec-WebSocket-Extensions: \(shape.agreed)\r\n"
        if shape.role == .server {
            self.connection = Connection(
                server: shape.configuration,
                isSecure: false,
                masks: OneMask(),
                now: self.now
            )
        } else {
            guard let url = try? WebSocketURL("ws://example.com/echo") else { return nil }
            var plan = ClientPlan(url: url)
            plan.extended.policy = .off
            plan.extensions = shape.extensions
            guard
                let connection = try? Connection(
                    client: plan,
                    configuration: shape.configuration,
                    key: "dGhlIHNhbXBsZSBub25jZQ==",
                    masks: OneMask(),
                    deadline: nil,
                    now: self.now
                )
            else { return nil }
            self.connection = connection
        }
        self.connection.transportUp(now: self.now)
        self.connection.start(now: self.now)
        self.connection.receive(ByteBuffer(string: Self.opening(shape, field)), now: self.now)
        self.run()
        if shape.role == .server {
            var plan = EndpointPlan.Values()
            plan.dialects = [shape.dialect]
            plan.extensions = shape.extensions
            if shape.hasEnd { plan.sessionLifetime = .seconds(100) }
            self.connection.acceptOpening(EndpointPlan(plan), now: self.now)
            self.run()
        }
        guard self.hasOpened else { return nil }
        self.isOpen = true
    }

    private static func opening(_ shape: OpenShape, _ field: String) -> String {
        guard shape.role == .server else {
            return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\(field)\r\n"
        }
        let head = "GET /echo HTTP/1.1\r\nHost: example.com\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
        switch shape.dialect.opening {
        case .acceptKey:
            // A client offers names only; what the answer says, the server adds.
            let offered = field.replacing("; 01010102", with: "").replacing("; 01010103", with: "")
                .replacing("; timeout=20000", with: "")
            return "\(head)Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\(offered)\r\n"
        case .invariant: return "\(head)Origin: http://example.com\r\n\r\n"
        case .twoKeys:
            return "\(head)Origin: http://example.com\r\nSec-WebSocket-Key1: 18x 6]8vM;54 *(5:  {   U1]8  z [  8\r\n"
                + "Sec-WebSocket-Key2: 1_ tx7X d  <  nw  334J702) 7]o}` 0\r\n\r\nTm[K T2u"
        }
    }

    /// Goes on from the same place.
    func copy() -> OpenPlay {
        var copy = self
        copy.connection = self.connection.copy()
        copy.peer = self.peer.copy()
        return copy
    }

    // MARK: The peer's bytes

    mutating func receive(_ bytes: ByteBuffer) {
        guard self.closed == nil else { return }
        self.connection.receive(bytes, now: self.now)
        self.run()
    }

    /// As the shell does it: where they lie, and the rest by actions.
    mutating func receivePlain(_ bytes: ByteBuffer) {
        guard self.closed == nil else { return }
        guard !self.isPaused, var cursor = self.connection.beginPlain(bytes, areNew: true, now: self.now) else {
            return self.receive(bytes)
        }
        var kind = MessageKind.binary
        while cursor.rest > 0 {
            let payload =
                self.connection.nextShort(&cursor, &kind, now: self.now)
                ?? self.connection.nextPlain(bytes, &cursor, &kind, now: self.now)
            guard let payload else { break }
            self.messages.append(Array(payload.readableBytesView))
        }
        let isTaken = cursor.rest > 0
        self.connection.putBack(bytes, from: cursor)
        self.run(isPlainTaken: isTaken)
    }

    private mutating func run(isPlainTaken: Bool = false) {
        var isPlainTaken = isPlainTaken
        while self.closed == nil {
            let action = self.connection.next(now: self.now, isPaused: self.isPaused, isPlainTaken: isPlainTaken)
            guard let action else { break }
            isPlainTaken = false
            self.take(action)
        }
        var (isLast, isQueued) = (false, false)
        while let bytes = self.connection.output.next(isLast: &isLast, isQueued: &isQueued) {
            check(bytes.readableBytes > 0, "nothing is written")
            if self.isOpen { self.unread.writeImmutableBuffer(bytes) }
        }
        self.readWritten()
        check(self.connection.heldBytes <= 1 << 21, "\(self.connection.heldBytes) bytes are held")
        check(self.connection.bufferedBytes <= 1 << 21, "\(self.connection.bufferedBytes) bytes wait")
    }

    private mutating func take(_ action: ConnectionAction) {
        switch action {
        case .message(_, let payload): self.messages.append(Array(payload.readableBytesView))
        case .chunk(let chunk):
            self.partial = (chunk.isFirst ? [] : self.partial) + chunk.bytes.readableBytesView
            if chunk.isLast { self.messages.append(self.partial) }
        case .peerClosing: self.connection.answerHeldClose(now: self.now)
        case .opened: self.hasOpened = true
        case .closed(let info): self.closed = info
        case .failed(let error): check(!error.message.isEmpty, "an error without words")
        case .event, .pong, .client, .server: break
        }
    }

    /// The peer understands each frame that is written.
    private mutating func readWritten() {
        do throws(FrameViolation) {
            while try self.peer.next(&self.unread) != nil {}
        } catch {
            check(false, "the peer cannot read what is written: \(error)")
        }
    }

    // MARK: Deeds

    mutating func act(_ deeds: inout Cuts) {
        for _ in 0..<Int.random(in: 0..<4, using: &deeds) where self.closed == nil {
            self.send(&deeds)
            self.move(&deeds)
            self.run()
        }
    }

    private mutating func send(_ deeds: inout Cuts) {
        let count = [0, 3, 100, 5000, 70_000].randomElement(using: &deeds) ?? 0
        let payload = ByteBuffer(repeating: 0x61, count: count)
        let kind: MessageKind = Bool.random(using: &deeds) ? .text : .binary
        let number = Int.random(in: 0..<12, using: &deeds)
        do throws(WebSocketError) {
            switch number {
            case 0: try self.connection.send(kind == .text ? .text("hello wörld") : .binary(payload), now: self.now)
            case 1: try self.connection.send(kind, payload, now: self.now)
            case 2, 3, 4, 5:
                let chunk = MessageChunk(
                    kind: kind,
                    bytes: payload,
                    isFirst: !self.connection.isStreaming || number == 2,
                    isLast: number == 5
                )
                try self.connection.send(chunk, options: count == 3 ? [.uncompressed] : [], now: self.now)
            case 6: _ = self.connection.takeBackStream(now: self.now)
            case 7:
                // One message for two connections that have agreed on the same.
                let shared = SharedMessage(kind, payload)
                var other = self.connection.copy()
                try self.connection.send(shared, now: self.now)
                try other.send(shared, now: self.now)
                check(
                    other.output.pendingBytes == self.connection.output.pendingBytes,
                    "a shared message is another one"
                )
                check(shared.encodings <= 1, "\(shared.encodings) encodings for one agreement")
            case 8: _ = try self.connection.ping(now: self.now)
            case 9: _ = try self.connection.ping(ByteBuffer(repeating: 1, count: min(count, 130)), now: self.now)
            case 10: try self.connection.pong(ByteBuffer(repeating: 2, count: min(count, 130)), now: self.now)
            case 11: _ = try self.connection.askToRevalidate(count == 3 ? "//no" : "/path", now: self.now)
            default: break
            }
        } catch {
            let documented: [WebSocketError.Code] = [
                .invalidArgument, .messageTooBig, .closed, .limitExceeded, .extensionFailed, .timeout,
                .protocolViolation, .connectFailed,
            ]
            check(documented.contains(error.code), "\(number) fails with \(error)")
        }
    }

    private mutating func move(_ deeds: inout Cuts) {
        switch Int.random(in: 0..<24, using: &deeds) {
        case 0: self.advance(by: .milliseconds(Int64.random(in: 1...30_000, using: &deeds)))
        case 1: self.connection.setCongested(true, now: self.now)
        case 2: self.connection.setCongested(false, now: self.now)
        case 3: self.connection.setBacklogged(true, now: self.now)
        case 4: self.connection.setBacklogged(false, now: self.now)
        case 5: self.connection.writesProgressed(now: self.now)
        case 6: self.pausedSince = self.pausedSince ?? self.now
        case 7, 8: self.readOn()
        case 9:
            let end = Int64.random(in: 0..<200, using: &deeds)
            self.connection.moveSessionEnd(to: end < 100 ? self.now + .seconds(end) : nil)
        case 10: self.connection.releaseSpare()
        case 11: check(self.connection.stallLook > .zero, "it is looked all the time")
        case 12: _ = self.connection.takeAnsweredPing()
        case 13 where Bool.random(using: &deeds):
            let bytes = self.connection.takeReceived()
            if let bytes { self.connection.putBack(bytes, from: nil) }
        case 14 where Int.random(in: 0..<4, using: &deeds) == 0:
            let reason = String(repeating: "ö", count: Int.random(in: 0..<90, using: &deeds))
            self.connection.close(code: .goingAway, reason: reason, now: self.now)
        case 15 where Int.random(in: 0..<4, using: &deeds) == 0: self.connection.inputClosed(now: self.now)
        case 16 where Int.random(in: 0..<8, using: &deeds) == 0:
            let error = WebSocketError(.connectFailed, "The connection failed: reset.")
            self.connection.transportFailed(error, now: self.now)
        case 17 where Int.random(in: 0..<8, using: &deeds) == 0: self.connection.transportEnded(now: self.now)
        case 18 where Int.random(in: 0..<16, using: &deeds) == 0: self.closed = self.connection.abandoned(now: self.now)
        default: break
        }
    }

    private var isPaused: Bool { self.pausedSince != nil }

    private mutating func readOn() {
        guard let pausedSince = self.pausedSince.take() else { return }
        self.connection.readingResumes(now: self.now, pausedSince: pausedSince)
    }

    private mutating func advance(by amount: TimeAmount) {
        let target = self.now + amount
        var rounds = 0
        while self.closed == nil, let deadline = self.connection.deadline, deadline <= target {
            self.now = max(self.now, deadline)
            if self.isPaused { self.connection.readingIsPaused(now: self.now) }
            rounds += 1
            check(rounds < 1_000, "time is asked for again and again")
            guard let due = self.connection.deadline, due <= self.now else { continue }
            self.connection.timeReached(now: self.now)
            check(self.connection.deadline.map { $0 > self.now } ?? true, "a deadline stays where it was")
            self.run()
        }
        self.now = max(self.now, target)
    }

    /// The peer's stream ends, and with time the connection; what nobody has taken can be taken still.
    mutating func finish() {
        let wasPaused = self.isPaused
        if let pausedSince { self.connection.readingResumes(now: self.now, pausedSince: pausedSince) }
        if self.closed == nil {
            self.connection.inputClosed(now: self.now)
            self.run()
        }
        self.pausedSince = nil
        for _ in 0..<8 where self.closed == nil { self.advance(by: .seconds(60)) }
        check(self.closed != nil, "it is still there after minutes without a peer")
        var count = 0
        while let action = self.connection.nextUnread(now: self.now) {
            count += 1
            check(count < 100_000, "there is no end of what is unread")
            self.take(action)
        }
        check(!self.connection.hasUnread, "what is unread stays")
        check(wasPaused || count == 0 || self.closed != nil, "messages come from nowhere")
        if let error = self.closed?.error { check(!error.message.isEmpty, "an error without words") }
    }
}
