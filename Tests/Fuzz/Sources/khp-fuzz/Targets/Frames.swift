// Frames of all dialects: the same at every cut, no more kept than twice the received bytes, and written as they were
// read.

import KHPProtocol
import NIOCore

/// The result of a reader, put together so that cuts do not show.
private struct FrameReading: Equatable {
    enum Item: Equatable {
        case message(MessageKind, [UInt8], rsv: UInt8)
        case ping([UInt8])
        case pong([UInt8])
        case close(WebSocketCloseCode?, String)
        case dropped
    }

    var items: [Item] = []
    var violation: FrameViolation?
    var isFinished = false

    private var partial: [UInt8] = []
    private var hasBegun = false

    init(_ reader: FrameCodec, _ pieces: [ByteBuffer]) {
        var reader = reader.copy()
        var input = ByteBuffer()
        var received = 0
        for piece in pieces {
            // As a connection does it: never in place, since messages may be slices of it.
            var joined = input
            joined.writeImmutableBuffer(piece)
            input = joined
            received += piece.readableBytes
            do throws(FrameViolation) {
                while let event = try reader.next(&input) {
                    check(self.violation == nil, "something comes behind a violation")
                    self.take(event)
                }
            } catch {
                check(self.violation == nil, "a second violation: \(error)")
                self.violation = error
            }
            check(input.readableBytes <= 131, "\(input.readableBytes) bytes are left lying")
            check(
                reader.retainedBytes <= 2 * received + 131_072,
                "\(reader.retainedBytes) of \(received) bytes are kept"
            )
        }
        self.isFinished = reader.isFinished
        // How much came of a message that never ended, or broke a rule, does depend on cuts.
        (self.partial, self.hasBegun) = ([], false)
    }

    private mutating func take(_ event: InboundFrameEvent) {
        switch event {
        case .message(let kind, let payload, let rsv):
            self.items.append(.message(kind, Array(payload.readableBytesView), rsv: rsv))
        case .chunk(let kind, let payload, let isFirst, let isLast, let rsv):
            check(isFirst != self.hasBegun, "a message begins twice, or not at all")
            self.hasBegun = !isLast
            self.partial += payload.readableBytesView
            guard isLast else { return }
            self.items.append(.message(kind, self.partial, rsv: rsv))
            self.partial = []
        case .ping(let payload): self.items.append(.ping(Array(payload.readableBytesView)))
        case .pong(let payload): self.items.append(.pong(Array(payload.readableBytesView)))
        case .close(let code, let reason): self.items.append(.close(code, reason))
        case .dropped: self.items.append(.dropped)
        }
        if case .message(.text, let payload, 0) = self.items.last {
            check(String(validating: payload, as: UTF8.self) != nil, "text that is not UTF-8")
        }
    }
}

extension FuzzTarget {
    static let frames = FuzzTarget(name: "frames") { seeds in
        try seeds.hexadecimal(in: "frames.json", keys: ["hex"])
            .deciding([[0, 0, 0, 0, 0], [0, 1, 0, 0, 9], [1, 0, 1, 0, 5], [1, 1, 0, 1, 77], [0, 0, 2, 1, 3]])
    } run: { input in
        var input = input
        let role: Role = input.flag() ? .client : .server
        let isStreaming = input.flag()
        let bits: [UInt8] = [0, 0x40, 0x70]
        var limits = MessageLimits()
        let reservedBits = bits[input.choice(bits.count)]
        if input.flag() { (limits.messageBytes, limits.fragments) = (300, 5) }
        var cuts = input.cuts()
        var reader = FrameCodec(.rfc6455, role: role, limits: limits, mode: isStreaming ? .streaming : .whole)
        reader.allowedReservedBits = reservedBits
        let content = input.content
        let whole = FrameReading(reader, content.isEmpty ? [] : [ByteBuffer(bytes: content)])
        let cut = FrameReading(reader, cuts.pieces(of: content))
        check(whole == cut, "whole it is \(whole), in pieces \(cut)")
        for case .message(_, let payload, 0) in whole.items {
            check(payload.count <= limits.messageBytes, "a message of \(payload.count) bytes")
        }

        // Written by the other side they are the same.
        let writer = FrameWriter(role: role == .client ? .server : .client)
        var written = ByteBuffer()
        for item in whole.items {
            let mask = UInt32(truncatingIfNeeded: cuts.next())
            switch item {
            case .message(let kind, let bytes, let rsv):
                let opcode: Opcode = kind == .text ? .text : .binary
                writer.write(opcode, payload: ByteBuffer(bytes: bytes), rsv: rsv, mask: mask, into: &written)
            case .ping(let bytes): writer.write(.ping, payload: ByteBuffer(bytes: bytes), mask: mask, into: &written)
            case .pong(let bytes): writer.write(.pong, payload: ByteBuffer(bytes: bytes), mask: mask, into: &written)
            case .close(let code, let reason): writer.writeClose(code: code, reason: reason, mask: mask, into: &written)
            case .dropped: check(false, "RFC 6455 drops no frame")
            }
        }
        // A message that an extension would have made smaller may be a little larger than the limit.
        var roomy = FrameCodec(.rfc6455, role: role, mode: isStreaming ? .streaming : .whole)
        roomy.allowedReservedBits = reservedBits
        let again = FrameReading(roomy, [written])
        check(again.items == whole.items && again.violation == nil, "written \(whole.items), read \(again)")
    }

    static let oldFrames = FuzzTarget(name: "old-frames") { _ in
        let hixie: [[UInt8]] = [
            [0x00] + Array("hello wörld".utf8) + [
                0xFF, 0x80, 0x03, 1, 2, 3, 0x41, 0x42, 0xFF, 0x81, 0x80, 0x01, 7, 0xFF, 0x00,
            ],
            [0x80, 0x81, 0x00] + Array(repeating: 9, count: 128) + [0x00, 0xC3, 0xFF, 0x80]
                + Array(repeating: 0xFF, count: 9),
            [0x00, 0xF4, 0x8F, 0xBF, 0xBF, 0xF1, 0x80, 0x80, 0x80, 0xF0, 0x9F, 0x98, 0xFF],
            [0x80] + Array(repeating: 0x80, count: 12) + [1],
        ]
        let whatwg: [[UInt8]] = [
            [0xFF, 0, 0, 0, 0, 0, 0, 0, 5] + Array("hello".utf8) + [0x07, 0, 0, 0, 0, 0, 0, 0, 1, 9]
                + Array(repeating: 0, count: 9),
            [0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0],
            [0xFF] + Array(repeating: 0, count: 8) + [0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0xC3],
        ]
        return hixie.deciding([[0, 0, 0, 0, 0], [1, 1, 1, 0, 4], [0, 1, 1, 1, 9]])
            + whatwg.deciding([[2, 0, 0, 0, 0], [2, 1, 0, 0, 7], [2, 1, 0, 1, 3]])
    } run: { input in
        var input = input
        let dialects: [Dialect] = [.hixie75, .hixie76, .whatwg2010]
        let dialect = dialects[input.choice(dialects.count)]
        let role: Role = input.flag() ? .client : .server
        let acceptsBinary = input.flag()
        var limits = MessageLimits()
        if input.flag() { limits.messageBytes = 200 }
        var cuts = input.cuts()
        let reader = FrameCodec(dialect, role: role, limits: limits, agreesOnBinary: acceptsBinary)
        let content = input.content
        let whole = FrameReading(reader, content.isEmpty ? [] : [ByteBuffer(bytes: content)])
        let cut = FrameReading(reader, cuts.pieces(of: content))
        check(whole == cut, "\(dialect): whole it is \(whole), in pieces \(cut)")

        let writer = DialectFrameWriter(dialect)
        var written = ByteBuffer()
        var items: [FrameReading.Item] = []
        for item in whole.items {
            switch item {
            case .message(.text, let bytes, _): bytes.withUnsafeBytes { writer.writeText($0, into: &written) }
            case .message(.binary, let bytes, _): writer.writeBinary(ByteBuffer(bytes: bytes), into: &written)
            case .close: writer.writeClose(into: &written)
            case .dropped: continue
            case .ping, .pong: check(false, "\(dialect) has neither ping nor pong")
            }
            items.append(item)
        }
        // Mended text is longer than the received bytes.
        let roomy = FrameCodec(dialect, role: role, agreesOnBinary: acceptsBinary)
        let again = FrameReading(roomy, [written])
        check(again.items == items && again.violation == nil, "\(dialect): written \(items), read \(again)")
    }
}
