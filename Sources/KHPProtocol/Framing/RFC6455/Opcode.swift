// The few names that every part of framing shares.

/// A frame's opcode (RFC 6455 section 5.2). Others are reserved and a violation.
package enum Opcode: UInt8, Sendable, Hashable {
    case continuation = 0x0
    case text = 0x1
    case binary = 0x2
    case close = 0x8
    case ping = 0x9
    case pong = 0xA
}

/// Bits of a frame's first two bytes (RFC 6455 section 5.2):
///
///      0                   1
///      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5
///     +-+-+-+-+-------+-+-------------+
///     |F|R|R|R| opcode|M| Payload len |
///     |I|S|S|S|  (4)  |A|     (7)     |
///     |N|V|V|V|       |S|             |
///     | |1|2|3|       |K|             |
///     +-+-+-+-+-------+-+-------------+
package enum FrameBits {
    package static let final: UInt8 = 0x80
    package static let reserved: UInt8 = 0x70
    package static let opcode: UInt8 = 0x0F
    package static let control: UInt8 = 0x08
    package static let masked: UInt8 = 0x80
    package static let length: UInt8 = 0x7F

    /// The 7-bit length that announces a 16-bit one.
    package static let length16: UInt8 = 126
    /// The 7-bit length that announces a 64-bit one.
    package static let length64: UInt8 = 127
    /// Bytes of the largest header: two, a 64-bit length, a masking key.
    package static let largestHeader = 14
}
