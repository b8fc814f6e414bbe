// What an extension that claims reserved bits does: it sees messages in pieces, on their way to and from frames.

public import NIOCore

/// The reserved bits of a frame's first byte that an extension may claim (RFC 6455 section 5.2).
public struct ReservedBits: OptionSet, Sendable, Hashable {
    /// The bits at their places in the byte: 0x40, 0x20, 0x10.
    public let rawValue: UInt8

    /// Keeps those of the three bits that are set in `rawValue`.
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

/// How one message is to be sent.
public struct SendOptions: OptionSet, Sendable, Hashable {
    /// A bit for each option.
    public let rawValue: UInt8

    /// Creates options from their bits.
    public init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// Never compress this message. For one that holds a secret beside text that somebody else can choose: from the
    /// length of what is sent the secret could be guessed.
    public static let uncompressed = SendOptions(rawValue: 1)
}

/// A piece of a message between the application and its frames.
public struct MessagePiece: Sendable {
    /// What is left of the piece. A transform moves the reader index past what it has used.
    public var bytes: ByteBuffer
    /// Text or binary; the same for all pieces of a message. Text may be cut within a character.
    public var kind: MessageKind
    /// Inbound: the bits of the message's first frame. Outbound: those to set there, decided with the first piece.
    public var reservedBits: ReservedBits
    /// Whether the message begins here.
    public var isFirst: Bool
    /// Whether the message ends here.
    public var isLast: Bool
    /// Outbound: what the application asked for.
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

/// What a negotiated extension that claims reserved bits does to the messages of one connection, piece by piece, so
/// that no message needs to be whole in memory. Called on the connection's event loop only.
///
/// Its life is the connection's: it is made when the extension has been negotiated in full, told of the end by
/// ``closed()``, and let go right after. Copies must not share state: the library may go on from either.
///
/// An error thrown here fails the connection: with the close code of a ``WebSocketError`` that has one, otherwise with
/// 1011.
public protocol FrameTransform {
    /// Decodes from a received message. Called for messages only whose first frame has one of the extension's bits set;
    /// what comes out has them no longer.
    ///
    /// - Parameters:
    ///   - piece: what has arrived; the reader index of its bytes is moved past what was used.
    ///   - output: where to append.
    ///   - room: the most bytes to append now. A little input may mean very much output: stop here, and the rest is
    ///     asked for when there is room again.
    /// - Returns: whether the piece is used up and all that it gives has been appended. After `false` it is called again
    ///   with what is left.
    mutating func inbound(_ piece: inout MessagePiece, into output: inout ByteBuffer, room: Int) throws -> Bool

    /// Encodes a message that is sent, in the pieces in which the application sends it. All of the piece is used.
    ///
    /// - Parameters:
    ///   - piece: what to send. A transform that changes the message sets its bits in ``MessagePiece/reservedBits`` of
    ///     the first piece.
    ///   - output: where to append; the bytes belong into one frame.
    mutating func outbound(_ piece: inout MessagePiece, into output: inout ByteBuffer) throws

    /// The connection has ended: nothing more will be called. By default does nothing.
    mutating func closed()
}

extension FrameTransform {
    /// Does nothing.
    public mutating func closed() {}
}
