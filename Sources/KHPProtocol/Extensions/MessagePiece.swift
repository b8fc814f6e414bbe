// The unit that frame transforms work on: a message, or a piece of one, with its reserved bits.

public import NIOCore

/// A piece of a message between the application and its frames.
public struct MessagePiece: Sendable {
    /// The bytes that no transform has used yet. A transform moves the reader index past those that it uses.
    public var bytes: ByteBuffer
    /// Text or binary; the same for all pieces of a message. Text may be cut within a character.
    public var kind: MessageKind
    /// Inbound: the bits of the message's first frame. Outbound: those to set there, decided with the first piece.
    public var reservedBits: ReservedBits
    /// `true` for the first piece of a message.
    public var isFirst: Bool
    /// `true` for the last piece of a message.
    public var isLast: Bool
    /// Outbound: the options that the application gave with the message.
    public var options: SendOptions

    /// Creates a piece; by default a whole message.
    public init(
        _ kind: MessageKind,
        _ bytes: ByteBuffer,
        reservedBits: ReservedBits = [],
        isFirst: Bool = true,
        isLast: Bool = true,
        options: SendOptions = []
    ) {
        self.bytes = bytes
        self.kind = kind
        self.reservedBits = reservedBits
        self.isFirst = isFirst
        self.isLast = isLast
        self.options = options
    }
}

/// The reserved bits of a frame's first byte that an extension may claim (RFC 6455 section 5.2).
public struct ReservedBits: OptionSet, Sendable, Hashable {
    /// The bits at their places in the byte: 0x40, 0x20, 0x10.
    public let rawValue: UInt8

    /// Keeps the three bits out of `rawValue`.
    public init(rawValue: UInt8) {
        self.rawValue = rawValue & 0x70
    }

    /// RSV1, which permessage-deflate claims.
    public static let rsv1 = ReservedBits(rawValue: 0x40)
    /// RSV2.
    public static let rsv2 = ReservedBits(rawValue: 0x20)
    /// RSV3.
    public static let rsv3 = ReservedBits(rawValue: 0x10)
}
