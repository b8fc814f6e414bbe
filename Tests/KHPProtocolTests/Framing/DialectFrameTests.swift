// Frames of the dialects before RFC 6455: H69-6, H69-7, H69-11, X76-1, W10-8, W10-10, W10-12, D2 and threats D3, D4,
// D10.

import KHPProtocol
import NIOCore
import Testing

@Suite("Frames of the old dialects")
struct DialectFrameTests {
    /// Bytes, and a reader's result.
    struct Case: Sendable, CustomTestStringConvertible {
        var dialect: Dialect
        var role: Role = .client
        var hex: String
        var expected: [String]
        var acceptsBinary = false
        var testDescription: String { "\(self.dialect) \(self.role): \(self.hex)" }
    }

    static let cases: [Case] = [
        // Text, and dropped frames.
        Case(dialect: .hixie75, hex: "0048656c6c6fff", expected: ["text Hello"]),
        Case(dialect: .hixie76, hex: "00ff00ff", expected: ["text ", "text "]),
        Case(dialect: .hixie75, hex: "00e6bca2ff", expected: ["text 漢"]),
        Case(dialect: .hixie75, hex: "0141ff7f42ff0043ff", expected: ["text C"]),
        Case(dialect: .hixie75, hex: "80034445460047ff", expected: ["text G"]),
        Case(dialect: .hixie75, hex: "fe8080020102" + "0047ff", expected: ["text G"]),
        Case(dialect: .hixie75, hex: "80ff00" + String(repeating: "41", count: 16256) + "0047ff", expected: ["text G"]),
        // Only hixie-76 has a closing frame; bytes behind it do not count (threat D10).
        Case(dialect: .hixie76, hex: "0041ffff000042ff", expected: ["text A", "close"]),
        Case(dialect: .hixie75, hex: "0041ffff000042ff", expected: ["text A", "text B"]),
        Case(dialect: .hixie76, hex: "ff01410042ff", expected: ["text B"]),
        // 0xFF 0x80 0x00 is a length of zero as well.
        Case(dialect: .hixie76, hex: "ff80000042ff", expected: ["close"]),
        // Binary, where it was agreed on; other types with a length stay dropped.
        Case(
            dialect: .hixie76,
            hex: "8003414243810141" + "8000",
            expected: ["binary ABC", "binary "],
            acceptsBinary: true
        ),
        // Text with invalid UTF-8.
        Case(dialect: .hixie76, hex: "0061c361ff", expected: ["text a\u{FFFD}a"]),
        Case(dialect: .hixie76, hex: "00edadbfff", expected: ["text \u{FFFD}\u{FFFD}\u{FFFD}"]),
        Case(dialect: .hixie76, role: .server, hex: "0041ff0061c361ff", expected: ["text A", "violation 1007"]),
        // Lengths (threat D3): eight leading zeros are nine bytes, one more is too many; more than the limit is.
        Case(dialect: .hixie76, hex: "80" + String(repeating: "80", count: 8) + "000041ff", expected: ["text A"]),
        Case(
            dialect: .hixie76,
            hex: "80" + String(repeating: "80", count: 9) + "000041ff",
            expected: ["violation 1002"]
        ),
        Case(dialect: .hixie76, hex: "80ffffffffffffffff7f", expected: ["violation 1009"]),
        Case(dialect: .hixie76, hex: "81ffffffffffffffffffff", expected: ["violation 1009"]),
        // WHATWG 2010.
        Case(dialect: .whatwg2010, hex: "ff000000000000000548656c6c6f", expected: ["text Hello"]),
        Case(dialect: .whatwg2010, hex: "ff0000000000000000", expected: ["text "]),
        Case(dialect: .whatwg2010, hex: "000000000000000000ff000000000000000141", expected: ["close"]),
        Case(dialect: .whatwg2010, hex: "00000000000000000141ff000000000000000142", expected: ["dropped", "text B"]),
        Case(dialect: .whatwg2010, hex: "8000000000000000024142ff000000000000000142", expected: ["dropped", "text B"]),
        Case(
            dialect: .whatwg2010,
            role: .server,
            hex: "ff000000000000000141" + "01",
            expected: ["text A", "violation 1002"]
        ),
        Case(dialect: .whatwg2010, role: .server, hex: "000000000000000001", expected: ["violation 1002"]),
        Case(dialect: .whatwg2010, hex: "ff0000000000000003" + "61c361", expected: ["text a\u{FFFD}a"]),
        Case(dialect: .whatwg2010, role: .server, hex: "ff0000000000000001c3", expected: ["violation 1007"]),
        Case(dialect: .whatwg2010, hex: "ffffffffffffffffff41", expected: ["violation 1009"]),
        Case(dialect: .whatwg2010, hex: "ff8000000000000000", expected: ["violation 1009"]),
    ]

    static func events(
        _ pieces: [some Collection<UInt8>],
        _ reader: FrameCodec
    ) -> [String] {
        var reader = reader.copy()
        var input = ByteBuffer()
        var events: [String] = []
        do {
            for piece in pieces {
                input.writeBytes(piece)
                while let event = try reader.next(&input) {
                    switch event {
                    case .message(let kind, let payload, _): events.append("\(kind) \(String(buffer: payload))")
                    case .chunk(let kind, let payload, _, _, _): events.append("\(kind) \(String(buffer: payload))")
                    case .close: events.append("close")
                    case .dropped: events.append("dropped")
                    case .ping, .pong: events.append("control")
                    }
                }
            }
        } catch {
            events.append("violation \(error.closeCode)")
        }
        return events
    }

    @Test(arguments: cases)
    func readsAlikeAtEveryCut(_ item: Case) {
        var limits = MessageLimits()
        limits.messageBytes = 20_000
        let bytes = FrameSupport.bytes(hex: item.hex)
        for mode in [MessageReader.Mode.whole, .streaming] {
            let reader = FrameCodec(
                item.dialect,
                role: item.role,
                limits: limits,
                mode: mode,
                agreesOnBinary: item.acceptsBinary
            )
            #expect(Self.events([bytes], reader) == item.expected)
            #expect(Self.events(bytes.map { [$0] }, reader) == item.expected)
            for cut in bytes.indices.dropFirst().prefix(64) {
                #expect(Self.events([Array(bytes[..<cut]), Array(bytes[cut...])], reader) == item.expected)
            }
        }
    }

    /// H69-11, W10-10, threat D4: a message that does not end is cut off at the limit, not kept for ever.
    @Test(arguments: [Dialect.hixie75, .hixie76], [UInt8(0x00), 0x01])
    func anEndlessTextIsTooBig(_ dialect: Dialect, _ type: UInt8) {
        var limits = MessageLimits()
        limits.messageBytes = 1000
        var reader = FrameCodec(dialect, role: .client, limits: limits)
        var input = ByteBuffer(bytes: [type])
        #expect(throws: FrameViolation.self) {
            for _ in 0..<200 {
                input.writeBytes([UInt8](repeating: 0x41, count: 10))
                while try reader.next(&input) != nil {}
                #expect(reader.retainedBytes <= 4096)
                #expect(reader.unfinishedMessage != nil)
            }
        }
        #expect(reader.isFinished)
        #expect(reader.unfinishedMessage == nil)
    }

    /// Threat D4: the bound itself is allowed, one byte more is not.
    @Test(arguments: [Dialect.hixie75, .hixie76, .whatwg2010, .rfc6455], [MessageKind.text, .binary])
    func aMessageOfTheLimitIsRead(_ dialect: Dialect, _ kind: MessageKind) throws {
        guard kind == .text || dialect == .hixie76 || dialect == .rfc6455 else { return }
        var limits = MessageLimits()
        limits.messageBytes = 300
        for size in [299, 300, 301] {
            let payload = ByteBuffer(repeating: 0x61, count: size)
            var bytes = ByteBuffer()
            if dialect == .rfc6455 {
                FrameWriter(role: .server).write(kind == .text ? .text : .binary, payload: payload, into: &bytes)
            } else if kind == .text {
                payload.withUnsafeReadableBytes { DialectFrameWriter(dialect).writeText($0, into: &bytes) }
            } else {
                DialectFrameWriter(dialect).writeBinary(payload, into: &bytes)
            }
            let reader = FrameCodec(dialect, role: .client, limits: limits, agreesOnBinary: true)
            let expected = size > 300 ? "violation 1009" : "\(kind) \(String(buffer: payload))"
            #expect(Self.events([bytes.readableBytesView], reader) == [expected])
            #expect(Self.events(bytes.readableBytesView.map { [$0] }, reader) == [expected])
        }
    }

    /// Threat D4: U+FFFD is three bytes where there was one.
    @Test(arguments: [Dialect.hixie75, .hixie76, .whatwg2010], [99, 100, 101, 300])
    func mendedTextIsBoundedToo(_ dialect: Dialect, _ size: Int) {
        var limits = MessageLimits()
        limits.messageBytes = 300
        let payload = ByteBuffer(repeating: 0x80, count: size)
        var bytes = ByteBuffer()
        payload.withUnsafeReadableBytes { DialectFrameWriter(dialect).writeText($0, into: &bytes) }
        let reader = FrameCodec(dialect, role: .client, limits: limits)
        let mended = "text " + String(repeating: "\u{FFFD}", count: size)
        #expect(Self.events([bytes.readableBytesView], reader) == [size > 100 ? "violation 1009" : mended])
    }

    /// A close frame of the older dialects says no more than that all is well: one that was to say more is left out where
    /// nothing comes behind it.
    @Test(arguments: [Dialect.hixie75, .hixie76, .whatwg2010], [true, false])
    func closesWithoutACode(_ dialect: Dialect, _ isLast: Bool) {
        for code in [nil, WebSocketCloseCode.protocolError] {
            let isFailure = isLast && code != nil
            let codec = FrameCodec(dialect, role: .server)
            var output = OutboundQueue()
            let result = codec.writeClose(ClosePayload(code: code), isLast: isLast, mask: 0, into: &output)
            let written = output.next().map { Array($0.readableBytesView) }
            switch dialect {
            case .hixie75:
                #expect(result == .none(isClean: !isFailure))
                #expect(written == nil)
            case .hixie76 where !isFailure:
                #expect(result == .written)
                #expect(written == [0xFF, 0x00])
            case .whatwg2010 where !isFailure:
                #expect(result == .written)
                #expect(written == [UInt8](repeating: 0, count: 9))
            default:
                #expect(result == .none(isClean: false))
                #expect(written == nil)
            }
        }
    }

    @Test("a text that holds the byte at which a frame ends is not sent", arguments: [Dialect.hixie75, .hixie76])
    func endWithinAText(_ dialect: Dialect) throws {
        var open = try OpenConnection(.server, dialect: dialect)
        for bytes in [[0xFF], [0x61, 0xFF, 0x00, 0x62]] as [[UInt8]] {
            let error = #expect(throws: WebSocketError.self) {
                try open.connection.send(.text, ByteBuffer(bytes: bytes), now: open.now)
            }
            #expect(error?.code == .invalidArgument)
        }
        try open.connection.send(.text, ByteBuffer(string: "a"), now: open.now)
        #expect(open.written() == [0x00, 0x61, 0xFF])
    }

    @Test(
        "content of the extended exchange comes as it was sent, whatever its bytes are",
        arguments: [Dialect.hixie75, .hixie76],
        [Role.client, .server]
    )
    func contentOfAnyBytes(_ dialect: Dialect, _ role: Role) throws {
        let contents: [[UInt8]] = [
            Array(UInt8.min...UInt8.max), [0x61, 0xFF, 0x00, 0x62], [0xFF, 0x00], [0x61, 0xC3, 0x61], [0x61], [],
        ]
        let writer = FrameCodec(dialect, role: role, agreesOnBinary: true)
        var reader = FrameCodec(dialect, role: role == .client ? .server : .client, agreesOnBinary: true)
        for content in contents {
            var output = OutboundQueue()
            writer.writeHandshake(ByteBuffer(bytes: content), mask: 0, into: &output)
            var input = ByteBuffer()
            while let next = output.next() { input.writeImmutableBuffer(next) }
            guard case .message(_, let payload, _)? = try reader.next(&input) else {
                Issue.record("no message for \(content)")
                return
            }
            #expect(Array(payload.readableBytesView) == content)
            #expect(input.readableBytes == 0)
        }
    }

    @Test(arguments: [Dialect.hixie75, .hixie76, .whatwg2010])
    func nothingIsReservedForADeclaredLength(_ dialect: Dialect) throws {
        var limits = MessageLimits()
        limits.messageBytes = 1 << 30
        var reader = FrameCodec(dialect, role: .client, limits: limits, agreesOnBinary: true)
        let header = dialect == .whatwg2010 ? "ff000000003fffffff" : "8083ffffff7f"
        var input = ByteBuffer(bytes: FrameSupport.bytes(hex: header) + [0x41])
        #expect(try reader.next(&input) == nil)
        #expect(reader.retainedBytes < 4096)
        #expect(reader.unfinishedMessage == 1)
    }

    /// Frames that are written are read back, at sizes around each digit of a length.
    @Test(arguments: [Dialect.hixie75, .hixie76, .whatwg2010])
    func writesWhatItReads(_ dialect: Dialect) throws {
        let writer = DialectFrameWriter(dialect)
        for size in [0, 1, 127, 128, 129, 16_383, 16_384, 65_535, 65_536, 300_000] {
            let payload = ByteBuffer(repeating: 0x61, count: size)
            var bytes = ByteBuffer()
            payload.withUnsafeReadableBytes { writer.writeText($0, into: &bytes) }
            var expected: [InboundFrameEvent] = [.message(kind: .text, payload: payload, rsv: 0)]
            if dialect.framing == .hixie {
                writer.writeBinary(payload, into: &bytes)
                expected.append(.message(kind: .binary, payload: payload, rsv: 0))
            }
            writer.writeClose(into: &bytes)
            if dialect != .hixie75 { expected.append(.close(code: nil, reason: "")) }
            var reader = FrameCodec(dialect, role: .server, agreesOnBinary: true)
            var events: [InboundFrameEvent] = []
            while let event = try reader.next(&bytes) { events.append(event) }
            #expect(events == expected)
        }
    }

    /// Random and mutated bytes: events or a violation with its close code; nothing traps, nothing grows.
    @Test(arguments: [Dialect.hixie75, .hixie76, .whatwg2010], [Role.client, .server])
    func survivesAnything(_ dialect: Dialect, _ role: Role) {
        var generator = SeededGenerator(seed: 2010)
        var limits = MessageLimits()
        limits.messageBytes = 4096
        let seeds = Self.cases.filter { $0.dialect == dialect && $0.hex.count < 400 }
            .map { FrameSupport.bytes(hex: $0.hex) }
        for round in 0..<4000 {
            var bytes = generator.mutated(seeds.randomElement(using: &generator) ?? [])
            if round.isMultiple(of: 4) {
                bytes = (0..<Int.random(in: 0...60, using: &generator)).map { _ in
                    UInt8.random(in: 0...255, using: &generator)
                }
            }
            let reader = FrameCodec(dialect, role: role, limits: limits, agreesOnBinary: round.isMultiple(of: 2))
            let whole = Self.events([bytes], reader)
            #expect(whole == Self.events(bytes.map { [$0] }, reader), "\(bytes)")
            if let last = whole.last, last.hasPrefix("violation") {
                #expect(["violation 1002", "violation 1007", "violation 1009"].contains(last))
            }
        }
    }
}
