// The unit that applications and extensions exchange, above framing: RFC 6455 section 5.6.

public import NIOCore

/// One whole WebSocket message.
///
/// RFC 6455 knows two kinds (section 5.6): text, which is always valid UTF-8, and binary. Fragmentation is not visible
/// here.
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

/// The kind of a message: text or binary (RFC 6455 section 5.6).
public enum MessageKind: String, Sendable, Hashable {
    /// UTF-8 text.
    case text
    /// Any bytes.
    case binary
}

/// How one message is to be sent.
public struct SendOptions: OptionSet, Sendable, Hashable {
    /// A bit for each option.
    public let rawValue: UInt8

    /// Creates options from their bits.
    public init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// Never compress this message. Meant for a secret beside text that somebody else can choose: the compressed length
    /// would give the secret away.
    public static let uncompressed = SendOptions(rawValue: 1)
}
