// The fast path: nearly every frame is a whole message that has arrived entirely, and takes a few comparisons. All
// other frames, wrong ones among them, are left to `FrameHeader` and `MessageReader`.

/// The extent of a frame that is a message by itself and lies in the input entirely.
struct WholeFrame {
    /// FIN, the reserved bits that extensions claim, and the opcode: text or binary.
    var first: UInt8
    /// Bytes before the payload.
    var headerSize: Int
    /// Bytes of the payload.
    var length: Int
    var key: MaskingKey

    var kind: MessageKind {
        @inline(__always) get { self.first & FrameBits.opcode == Opcode.text.rawValue ? .text : .binary }
    }

    /// `nil` unless this is a complete single-frame message; the slow path reports errors.
    @inline(__always)
    init?(_ bytes: UnsafeRawBufferPointer, masked: Bool, reservedBits: UInt8) {
        let available = bytes.count
        guard let start = bytes.baseAddress, available >= 2 else { return nil }
        self.first = start.load(as: UInt8.self)
        let plain = self.first & ~reservedBits
        guard plain == FrameBits.final | Opcode.text.rawValue || plain == FrameBits.final | Opcode.binary.rawValue
        else { return nil }
        let second = start.load(fromByteOffset: 1, as: UInt8.self)
        // The mask bit toggled is 0 if it is as it has to be, and the rest is the short length.
        let short = second ^ (masked ? FrameBits.masked : 0)
        var size = masked ? 6 : 2
        if short < FrameBits.length16 {
            self.length = Int(short)
        } else if short == FrameBits.length16 {
            guard available >= 4 else { return nil }
            self.length = Int(UInt16(bigEndian: start.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
            guard self.length >= Int(FrameBits.length16) else { return nil }
            size &+= 2
        } else {
            // A value other than 127 means a wrong mask bit.
            guard short == FrameBits.length64, available >= 10 else { return nil }
            let length = UInt64(bigEndian: start.loadUnaligned(fromByteOffset: 2, as: UInt64.self))
            guard length > 0xFFFF, length <= UInt64(available) else { return nil }
            self.length = Int(length)
            size &+= 8
        }
        guard available >= size &+ self.length else { return nil }
        self.headerSize = size
        self.key =
            masked
            ? MaskingKey(littleEndian: start.loadUnaligned(fromByteOffset: size &- 4, as: UInt32.self).littleEndian)
            : .none
    }
}
