import KHPProtocol
import NIOCore
import Testing

/// A reader written for clarity, to compare with: bytes in an array, one rule after the other.
private struct PlainReader {
    let masked: Bool
    let limits: MessageLimits

    func read(_ bytes: [UInt8]) -> ReaderResult {
        var result = ReaderResult()
        var rest = bytes[...]
        var message: (kind: MessageKind, payload: [UInt8], fragments: Int)?
        func fail(_ code: WebSocketCloseCode) -> ReaderResult {
            result.violation = code
            return result
        }
        while let first = rest.first {
            let opcode = first & 0x0F
            let isFinal = first >= 0x80
            guard [0, 1, 2, 8, 9, 10].contains(opcode), first & 0x70 == 0 else { return fail(.protocolError) }
            guard opcode < 8 || isFinal else { return fail(.protocolError) }
            if opcode < 8, (opcode == 0) != (message != nil) { return fail(.protocolError) }
            guard rest.count >= 2 else { return result }
            let second = rest[rest.startIndex + 1]
            guard (second >= 0x80) == self.masked else { return fail(.protocolError) }
            var length = UInt64(second & 0x7F)
            var size = 2
            if length >= 126 {
                if opcode >= 8 { return fail(.protocolError) }
                let count = length == 126 ? 2 : 8
                let extended = rest.dropFirst(2).prefix(count)
                if count == 8, let top = extended.first, top >= 0x80 { return fail(.protocolError) }
                guard extended.count == count else { return result }
                length = extended.reduce(0) { $0 << 8 | UInt64($1) }
                if length <= (count == 2 ? 125 : 0xFFFF) { return fail(.protocolError) }
                size += count
            }
            let key = Array(rest.dropFirst(size).prefix(self.masked ? 4 : 0))
            guard key.count == (self.masked ? 4 : 0) else { return result }
            size += key.count
            var payload: [UInt8] = []
            for (offset, byte) in rest.dropFirst(size).prefix(Int(clamping: length)).enumerated() {
                payload.append(self.masked ? byte ^ key[offset % 4] : byte)
            }
            let isWhole = payload.count == length
            if opcode >= 8 {
                guard isWhole else { return result }
                rest = rest.dropFirst(size + payload.count)
                if opcode == 9 { result.events.append(.ping(ByteBuffer(bytes: payload))) }
                if opcode == 10 { result.events.append(.pong(ByteBuffer(bytes: payload))) }
                guard opcode == 8 else { continue }
                if payload.isEmpty {
                    result.events.append(.close(code: nil, reason: ""))
                    return result
                }
                guard payload.count > 1 else { return fail(.protocolError) }
                let code = WebSocketCloseCode(rawValue: UInt16(payload[0]) << 8 | UInt16(payload[1]))
                guard code.isValidOnWire else { return fail(.protocolError) }
                guard let reason = String(validating: payload[2...], as: UTF8.self) else {
                    return fail(.invalidPayload)
                }
                result.events.append(.close(code: code, reason: reason))
                return result
            }
            var current = message ?? (opcode == 1 ? .text : .binary, [], 0)
            current.fragments += 1
            if current.fragments > self.limits.fragments { return fail(.policyViolation) }
            if length > UInt64(self.limits.messageBytes - current.payload.count) { return fail(.messageTooBig) }
            current.payload += payload
            let isLast = isWhole && isFinal
            if current.kind == .text {
                let isPossible = isLast ? self.isValid(current.payload) : self.canBecomeValid(current.payload)
                if !isPossible { return fail(.invalidPayload) }
            }
            guard isWhole else { return result }
            rest = rest.dropFirst(size + payload.count)
            message = current
            if isLast {
                let buffer = ByteBuffer(bytes: current.payload)
                result.events.append(.message(kind: current.kind, payload: buffer, rsv: 0))
                message = nil
            }
        }
        return result
    }

    private func isValid(_ bytes: [UInt8]) -> Bool { String(validating: bytes, as: UTF8.self) != nil }

    /// Valid as it is, or with up to three more continuation bytes.
    private func canBecomeValid(_ bytes: [UInt8]) -> Bool {
        if self.isValid(bytes) { return true }
        for second: UInt8 in [0x80, 0x90, 0xA0] {
            for tail in [[second], [second, 0x80], [second, 0x80, 0x80]] where self.isValid(bytes + tail) {
                return true
            }
        }
        return false
    }
}

@Suite("Frames: fuzz and identity")
struct FrameFuzzTests {
    private func limits() -> MessageLimits {
        var limits = MessageLimits()
        limits.messageBytes = 3000
        limits.fragments = 6
        return limits
    }

    /// A stream of plausible frames with a few bytes changed, so that most of it gets past the first header.
    private func stream(masked: Bool, _ random: inout SeededGenerator) -> [UInt8] {
        let texts = [
            "", "a", "héllo", "日本語", "😀😀", String(repeating: "text ", count: 30), String(repeating: "é", count: 99),
        ]
        var bytes: [UInt8] = []
        var isOpen = false
        for _ in 0..<Int.random(in: 1...8, using: &random) {
            let key = masked ? (0..<4).map { _ in UInt8.random(in: 0...255, using: &random) } : nil
            var payload = Array((texts.randomElement(using: &random) ?? "").utf8)
            let kind = Int.random(in: 0...11, using: &random)
            if kind == 0 { payload = [0x03, 0xE8] + payload.prefix(100) }
            let isFinal = Bool.random(using: &random)
            let first: UInt8
            switch kind {
            case 0: first = 0x88
            case 1: first = 0x89
            case 2: first = 0x8A
            default:
                first = (isFinal ? 0x80 : 0) | (isOpen ? 0 : UInt8.random(in: 1...2, using: &random))
                isOpen = !isFinal
            }
            if first & 8 != 0 { payload = Array(payload.prefix(125)) }
            bytes += FrameSupport.frame(first, payload, key: key)
        }
        for _ in 0..<Int.random(in: 0...2, using: &random) where !bytes.isEmpty {
            bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
        return bytes
    }

    /// The reader at random cuts, in both modes, and a plain reading of the specification agree on 3,000 streams.
    @Test(arguments: [Role.client, .server])
    func agreesWithThePlainReader(_ role: Role) {
        var random = SeededGenerator(seed: role == .client ? 1 : 2)
        for round in 0..<1500 {
            let bytes = self.stream(masked: role == .server, &random)
            let expected = PlainReader(masked: role == .server, limits: self.limits()).read(bytes)
            let cuts = (0..<3).map { _ in Int.random(in: 0...bytes.count, using: &random) }.sorted()
            let pieces = zip([0] + cuts, cuts + [bytes.count]).map { bytes[$0..<$1] }
            let whole = MessageReader(role: role, limits: self.limits())
            let streaming = MessageReader(role: role, limits: self.limits(), mode: .streaming)
            #expect(FrameSupport.read(bytes, with: whole) == expected, "round \(round): \(bytes)")
            #expect(FrameSupport.read(pieces, with: whole) == expected, "round \(round): \(bytes), cut at \(cuts)")
            let joined = FrameSupport.joined(FrameSupport.read(pieces, with: streaming))
            #expect(joined == expected, "round \(round): \(bytes), cut at \(cuts), streaming")
        }
    }

    /// Random bytes: the result comes without a trap, and at every cut the same.
    @Test func noise() {
        var random = SeededGenerator(seed: 3)
        for round in 0..<3000 {
            let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            for role in [Role.client, .server] {
                let reader = MessageReader(role: role, limits: self.limits())
                let whole = FrameSupport.read(bytes, with: reader)
                #expect(
                    whole == PlainReader(masked: role == .server, limits: self.limits()).read(bytes),
                    "round \(round)"
                )
                #expect(
                    FrameSupport.read(bytes.indices.map { bytes[$0...$0] }, with: reader) == whole,
                    "round \(round)"
                )
            }
        }
    }

    /// Each end reads the other's frames, whatever the kind, size, fragmentation and mask.
    @Test(arguments: [Role.client, .server])
    func identity(_ role: Role) {
        var random = SeededGenerator(seed: 4)
        let writer = FrameWriter(role: role)
        for size in Array(0...140) + [500, 511, 512, 513, 1000, 65_535, 65_536, 70_000] {
            let payload = ByteBuffer(bytes: (0..<size).map { _ in UInt8.random(in: 0x20...0x7E, using: &random) })
            var output = ByteBuffer()
            var expected: [InboundFrameEvent] = []
            for (kind, opcode) in [(MessageKind.text, Opcode.text), (.binary, .binary)] {
                let mask = UInt32.random(in: 0 ... .max, using: &random)
                writer.write(opcode, payload: payload, mask: mask, into: &output)
                expected.append(.message(kind: kind, payload: payload, rsv: 0))
                let cut = Int.random(in: 0...size, using: &random)
                writer.write(
                    opcode,
                    payload: payload.getSlice(at: 0, length: cut) ?? payload,
                    fin: false,
                    mask: mask,
                    into: &output
                )
                writer.writePing(payload, mask: mask, into: &output)
                writer.write(
                    .continuation,
                    payload: payload.getSlice(at: cut, length: size - cut) ?? payload,
                    mask: ~mask,
                    into: &output
                )
                expected.append(.ping(payload.getSlice(at: 0, length: min(125, size)) ?? payload))
                expected.append(.message(kind: kind, payload: payload, rsv: 0))
            }
            let reader = MessageReader(role: role == .client ? .server : .client)
            let bytes = Array(output.readableBytesView)
            #expect(FrameSupport.read(bytes, with: reader) == ReaderResult(events: expected), "\(size) bytes")
        }
    }
}
