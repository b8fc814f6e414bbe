public import NIOCore

/// A piece of a message.
public struct MessageChunk: Sendable {
    // The bytes come first: laid out so, an action that carries a chunk fits the registers that return it.

    /// The bytes.
    public var bytes: ByteBuffer
    /// Text or binary; the same for all chunks of a message. Text may be cut inside a character.
    public var kind: MessageKind
    /// `true` for the first chunk of a message.
    public var isFirst: Bool
    /// `true` for the last chunk of a message.
    public var isLast: Bool

    @inlinable
    package init(kind: MessageKind, bytes: ByteBuffer, isFirst: Bool, isLast: Bool) {
        self.kind = kind
        self.bytes = bytes
        self.isFirst = isFirst
        self.isLast = isLast
    }
}
