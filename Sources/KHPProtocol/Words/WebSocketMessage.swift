public import NIOCore

// The unit that applications and extensions exchange, above framing: RFC 6455 section 5.6.

/// One whole WebSocket message.
///
/// RFC 6455 knows two kinds (section 5.6): text, which is always valid UTF-8, and binary. Fragmentation is not visible here.
public enum WebSocketMessage: Sendable, Equatable {
    /// A text message (opcode 1).
    case text(String)

    /// A binary message (opcode 2).
    case binary(ByteBuffer)

    /// The length of the payload in bytes, as it counts against message limits.
    public var byteCount: Int {
        switch self {
        case .text(let text): return text.utf8.count
        case .binary(let bytes): return bytes.readableBytes
        }
    }
}
