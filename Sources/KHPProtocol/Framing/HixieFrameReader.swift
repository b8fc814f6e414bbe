/// Why this file exists: the frames of hixie-75 and hixie-76, from bytes to messages (H69-6, X76-1).
///
///     0x00 … 0xFF                  text
///     0x01-0x7F … 0xFF             read and dropped
///     0x80 length …                binary, where Kaazing's peers have agreed on it; else read and dropped
///     0x81-0xFE length …           read and dropped
///     0xFF 0x00                    hixie-76: the closing frame
///
/// A length is base 128, the highest digit first, each byte but the last with its high bit set.

import NIOCore

struct HixieFrameReader: Sendable {
    /// Whether 0xFF 0x00 closes (hixie-76).
    let closes: Bool
    /// Whether 0x80 frames are binary messages.
    let acceptsBinary: Bool
    /// Whether text that is no UTF-8 is mended with U+FFFD; a violation otherwise (H69-7).
    let repairsText: Bool

    private var state = State.start
    /// What has arrived of a message, while not all of it has.
    private var partial = ByteBuffer()
    /// Bytes of the frame so far that count against the limit.
    private var count = 0
    private var begun: UInt64 = 0

    private enum State {
        case start
        /// Behind a type below 0x80, before 0xFF.
        case text(isDropped: Bool)
        /// Behind a type with its high bit set.
        case length(type: UInt8, value: Int, digits: Int)
        /// Within the payload of a frame with a length.
        case payload(isDropped: Bool, remaining: Int)
    }

    init(closes: Bool, acceptsBinary: Bool, repairsText: Bool) {
        self.closes = closes
        self.acceptsBinary = acceptsBinary
        self.repairsText = repairsText
    }

    /// As ``MessageReader/unfinishedMessage``.
    var unfinishedMessage: UInt64? {
        if case .start = state { nil } else { begun }
    }

    /// Bytes held of an unfinished message.
    var retainedBytes: Int { partial.storageCapacity }

    /// The next event in `input`, or `nil` for more.
    mutating func next(_ input: inout ByteBuffer, limit: Int) throws(FrameViolation) -> InboundFrameEvent? {
        while true {
            switch state {
            case .start:
                guard let type: UInt8 = input.readInteger() else { return nil }
                begun &+= 1
                count = 0
                partial = ByteBuffer()
                state = type < 0x80 ? .text(isDropped: type != 0) : .length(type: type, value: 0, digits: 0)
            case .text(let isDropped):
                guard let message = try text(&input, isDropped: isDropped, limit: limit) else {
                    if case .start = state { continue }
                    return nil
                }
                return message
            case .length(let type, let value, let digits):
                guard let byte: UInt8 = input.readInteger() else { return nil }
                if let event = try length(byte, type: type, value: value, digits: digits, limit: limit) { return event }
            case .payload(let isDropped, let remaining):
                if let event = payload(&input, isDropped: isDropped, remaining: remaining) { return event }
                guard case .start = state else { return nil }
            }
        }
    }

    /// Takes what is there up to 0xFF.
    private mutating func text(
        _ input: inout ByteBuffer,
        isDropped: Bool,
        limit: Int
    ) throws(FrameViolation) -> InboundFrameEvent? {
        let end = input.readableBytesView.firstIndex(of: 0xFF)
        let available = (end ?? input.readableBytesView.endIndex) - input.readerIndex
        // H69-11, threat D4: both are not negative, so the subtraction cannot overflow.
        guard available <= limit - count else { throw .tooBig(limit: limit) }
        count += available
        let piece = input.readSlice(length: available) ?? ByteBuffer()
        if end == nil {
            if !isDropped { partial.writeImmutableBuffer(piece) }
            return nil
        }
        input.moveReaderIndex(forwardBy: 1)
        state = .start
        if isDropped { return nil }
        var payload = piece
        if partial.readableBytes > 0 {
            partial.writeImmutableBuffer(piece)
            payload = partial
            partial = ByteBuffer()
        }
        return .message(kind: .text, payload: try Self.checked(payload, repairs: repairsText), rsv: 0)
    }

    /// One more digit of a length (threat D3: at most nine, and none can overflow).
    private mutating func length(
        _ byte: UInt8,
        type: UInt8,
        value: Int,
        digits: Int,
        limit: Int
    ) throws(FrameViolation) -> InboundFrameEvent? {
        guard digits < Limits.Fixed.hixieLengthBytes else { throw .violation("length of too many bytes") }
        // Eight digits of seven bits before this one leave room for it in 63 bits.
        let value = value << 7 | Int(byte & 0x7F)
        guard value <= limit else { throw .tooBig(limit: limit) }
        guard byte & 0x80 == 0 else {
            state = .length(type: type, value: value, digits: digits + 1)
            return nil
        }
        if type == 0xFF, value == 0, closes {
            state = .start
            return .close(code: nil, reason: "")
        }
        state = .payload(isDropped: !(acceptsBinary && type == 0x80), remaining: value)
        return nil
    }

    private mutating func payload(
        _ input: inout ByteBuffer,
        isDropped: Bool,
        remaining: Int
    ) -> InboundFrameEvent? {
        let taken = min(remaining, input.readableBytes)
        let piece = input.readSlice(length: taken) ?? ByteBuffer()
        guard taken == remaining else {
            if !isDropped { partial.writeImmutableBuffer(piece) }
            state = .payload(isDropped: isDropped, remaining: remaining - taken)
            return nil
        }
        state = .start
        if isDropped { return nil }
        guard partial.readableBytes > 0 else { return .message(kind: .binary, payload: piece, rsv: 0) }
        partial.writeImmutableBuffer(piece)
        defer { partial = ByteBuffer() }
        return .message(kind: .binary, payload: partial, rsv: 0)
    }

    /// Text as it is delivered: always UTF-8 (H69-7, W10-12).
    static func checked(_ payload: ByteBuffer, repairs: Bool) throws(FrameViolation) -> ByteBuffer {
        if payload.withUnsafeReadableBytes({ UTF8Validator.isValid($0) }) { return payload }
        guard repairs else { throw .invalidText() }
        return ByteBuffer(string: String(buffer: payload))
    }
}
