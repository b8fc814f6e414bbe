// The header of a frame (RFC 6455 section 5.2), read strictly and as early as possible.
// Everything that one frame alone can do wrong is refused here, before a byte of its payload counts.

/// A frame's header as it was received.
struct FrameHeader {
    /// FIN, RSV1 to RSV3 and the opcode.
    var first: UInt8
    /// Bytes of the header itself: 2 to 14.
    var size: Int
    /// Bytes of the payload as declared. Not negative; nothing may be reserved on its account.
    var length: Int
    /// The masking key, or the one that changes nothing.
    var key: MaskingKey

    var isFinal: Bool {
        @inline(__always) get { self.first & FrameBits.final != 0 }
    }
    var isControl: Bool {
        @inline(__always) get { self.first & FrameBits.control != 0 }
    }
    var opcodeBits: UInt8 {
        @inline(__always) get { self.first & FrameBits.opcode }
    }
    var reserved: UInt8 {
        @inline(__always) get { self.first & FrameBits.reserved }
    }
}

extension FrameHeader {
    /// The rules for a header that follow from the connection.
    struct Rules {
        /// `true` when frames must be masked (a server's reader), `false` when they must not be (a client's).
        var masked: Bool
        /// Reserved bits that an extension claims on the first frame of a message.
        var reservedBits: UInt8
        /// `true` while a fragmented message has begun and not ended.
        var continuing: Bool
        /// `true` when a payload of 65,535 bytes may have a 64-bit length (D7).
        var longLength = false
    }

    /// Reads the header at the beginning of `bytes`; `nil` if that needs more bytes. Violations are thrown as soon as
    /// the bytes that show them are there, in an order that does not depend on how the bytes were cut.
    static func read(_ bytes: UnsafeRawBufferPointer, _ rules: Rules) throws(FrameViolation) -> FrameHeader? {
        guard let start = bytes.baseAddress, bytes.count >= 2 else {
            // One byte is enough to fail on.
            if let first = bytes.first { try check(first, rules) }
            return nil
        }
        let pair = start.loadUnaligned(as: UInt16.self).littleEndian
        let first = UInt8(truncatingIfNeeded: pair)
        let second = UInt8(truncatingIfNeeded: pair >> 8)
        try check(first, rules)
        // Masking is for clients, and for them a duty (section 5.1).
        guard (second & FrameBits.masked != 0) == rules.masked else {
            throw .violation(rules.masked ? "frame is not masked" : "frame is masked")
        }
        let short = second & FrameBits.length
        var size = 2
        var length = Int(short)
        if short >= FrameBits.length16 {
            guard first & FrameBits.control == 0 else {
                throw .violation("control frame of more than 125 bytes")
            }
            guard let extended = try readLength(short, start, bytes.count, rules) else { return nil }
            size = short == FrameBits.length16 ? 4 : 10
            length = extended
        }
        guard rules.masked else { return FrameHeader(first: first, size: size, length: length, key: .none) }
        guard bytes.count >= size &+ 4 else { return nil }
        let key = start.loadUnaligned(fromByteOffset: size, as: UInt32.self).littleEndian
        return FrameHeader(first: first, size: size &+ 4, length: length, key: MaskingKey(littleEndian: key))
    }

    /// Checks FIN, the reserved bits and the opcode.
    private static func check(_ first: UInt8, _ rules: Rules) throws(FrameViolation) {
        guard let opcode = Opcode(rawValue: first & FrameBits.opcode) else {
            throw .violation("reserved opcode")
        }
        let reserved = first & FrameBits.reserved
        switch opcode {
        case .close, .ping, .pong:
            guard reserved == 0 else { throw .violation("reserved bit set on a control frame") }
            guard first & FrameBits.final != 0 else { throw .violation("fragmented control frame") }
        case .continuation:
            guard reserved == 0 else { throw .violation("reserved bit set on a continuation frame") }
            guard rules.continuing else { throw .violation("continuation of no message") }
        case .text, .binary:
            guard reserved & ~rules.reservedBits == 0 else {
                throw .violation("reserved bit set without an extension")
            }
            guard !rules.continuing else { throw .violation("new message within a fragmented one") }
        }
    }

    /// The 16-bit or 64-bit length. Minimal encoding is required (section 5.2), with the one exception of the Kaazing
    /// legacy exchange (D7).
    private static func readLength(
        _ short: UInt8,
        _ start: UnsafeRawPointer,
        _ available: Int,
        _ rules: Rules
    ) throws(FrameViolation) -> Int? {
        if short == FrameBits.length16 {
            guard available >= 4 else { return nil }
            let length = Int(UInt16(bigEndian: start.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
            guard length > 125 else { throw .violation("length is not minimally encoded") }
            return length
        }
        // The highest bit alone is enough to fail on, and is checked first so that no number here is negative.
        guard available >= 3 else { return nil }
        guard start.load(fromByteOffset: 2, as: UInt8.self) & 0x80 == 0 else {
            throw .violation("highest bit of a 64-bit length set")
        }
        guard available >= 10 else { return nil }
        let length = UInt64(bigEndian: start.loadUnaligned(fromByteOffset: 2, as: UInt64.self))
        guard length > 0xFFFF || length == 0xFFFF && rules.longLength else {
            throw .violation("length is not minimally encoded")
        }
        return Int(clamping: length)
    }
}
