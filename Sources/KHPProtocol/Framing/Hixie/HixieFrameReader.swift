// The frames of hixie-75 and hixie-76, from bytes to messages (H69-6, X76-1).
//
//     0x00 … 0xFF                  text
//     0x01-0x7F … 0xFF             read and dropped
//     0x80 length …                binary, where Kaazing's peers have agreed on it; else read and dropped
//     0x81-0xFE length …           read and dropped
//     0xFF 0x00                    hixie-76: the closing frame
//
// A length is base 128, the highest digit first, each byte but the last with its high bit set.

import NIOCore

struct HixieFrameReader: Sendable {
    /// `true` when 0xFF 0x00 closes (hixie-76).
    let closes: Bool
    /// `true` when 0x80 frames are binary messages.
    let acceptsBinary: Bool
    private var state = State.start
    private var message: PartialMessage
    /// Bytes of the text so far that count against the limit.
    private var count = 0

    private enum State {
        case start
        /// Behind a type below 0x80, before 0xFF.
        case text
        /// Behind a type with its high bit set.
        case length(type: UInt8, value: Int, digits: Int)
        /// Within the payload of a frame with a length.
        case payload(remaining: Int)
    }

    /// - Parameter repairsText: `true` to mend text that is no UTF-8.
    init(closes: Bool, acceptsBinary: Bool, repairsText: Bool) {
        self.closes = closes
        self.acceptsBinary = acceptsBinary
        self.message = PartialMessage(repairsText: repairsText)
    }

    /// As ``MessageReader/unfinishedMessage``.
    var unfinishedMessage: UInt64? {
        if case .start = self.state { nil } else { self.message.begun }
    }

    /// Bytes held of an unfinished message.
    var retainedBytes: Int { self.message.retainedBytes }

    /// Lets go of an unfinished message.
    mutating func forgetMessage() { self.message.forget() }

    /// The next event in `input`, or `nil` for more.
    mutating func next(_ input: inout ByteBuffer, limit: Int) throws(FrameViolation) -> InboundFrameEvent? {
        while true {
            switch self.state {
            case .start:
                guard let type: UInt8 = input.readInteger() else { return nil }
                self.message.begin(isDropped: type != 0)
                self.count = 0
                self.state = type < 0x80 ? .text : .length(type: type, value: 0, digits: 0)
            case .text:
                if let event = try self.text(&input, limit: limit) { return event }
                guard case .start = self.state else { return nil }
            case .length(let type, let value, let digits):
                guard let byte: UInt8 = input.readInteger() else { return nil }
                if let event = try self.length(byte, type: type, value: value, digits: digits, limit: limit) {
                    return event
                }
            case .payload(let remaining):
                let (rest, payload) = self.message.take(remaining, from: &input)
                self.state = rest > 0 ? .payload(remaining: rest) : .start
                if rest > 0 { return nil }
                if let payload { return .message(kind: .binary, payload: payload, rsv: 0) }
            }
        }
    }

    /// Takes the bytes up to 0xFF.
    private mutating func text(_ input: inout ByteBuffer, limit: Int) throws(FrameViolation) -> InboundFrameEvent? {
        let end = input.readableBytesView.firstIndex(of: 0xFF)
        let available = (end ?? input.readableBytesView.endIndex) - input.readerIndex
        // H69-11, threat D4: both are not negative, so the subtraction cannot overflow.
        guard available <= limit - self.count else { throw .tooBig(limit: limit) }
        self.count += available
        let piece = input.readSlice(length: available) ?? ByteBuffer()
        guard end != nil else {
            self.message.append(piece)
            return nil
        }
        input.moveReaderIndex(forwardBy: 1)
        self.state = .start
        guard let payload = self.message.finish(piece) else { return nil }
        return try self.message.text(payload, limit: limit)
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
            self.state = .length(type: type, value: value, digits: digits + 1)
            return nil
        }
        if type == 0xFF, value == 0, self.closes {
            self.state = .start
            return .close(code: nil, reason: "")
        }
        self.message.isDropped = !(self.acceptsBinary && type == 0x80)
        self.state = .payload(remaining: value)
        return nil
    }
}
