// The protocol of an extension that claims reserved bits: it sees messages in pieces, on their way to and from frames.

public import NIOCore

/// The work of a negotiated extension that claims reserved bits on the messages of one connection, piece by piece, so
/// that no message needs to be whole in memory. Called on the connection's event loop only.
///
/// Its life is the connection's: it is made when the extension has been negotiated in full, told of the end by
/// ``closed()``, and let go right after.
///
/// An error thrown here fails the connection: with the close code of a ``WebSocketError`` that has one, otherwise with
/// 1011.
public protocol FrameTransform {
    /// Decodes from a received message. Called for messages only whose first frame has one of the extension's bits set;
    /// what comes out has them no longer.
    ///
    /// - Parameters:
    ///   - piece: the piece that has arrived; the reader index of its bytes is moved past what was used.
    ///   - output: where to append.
    ///   - room: the most bytes to append now. A little input may mean very much output: stop here, and the rest is
    ///     asked for when there is room again.
    /// - Returns: `true` when the piece is used up and all that it gives has been appended. After `false` it is called
    ///   again with what is left.
    mutating func inbound(_ piece: inout MessagePiece, into output: inout ByteBuffer, room: Int) throws -> Bool

    /// Encodes a message that is sent, in the pieces in which the application sends it. All of the piece is used.
    ///
    /// - Parameters:
    ///   - piece: the piece to send. A transform that changes the message sets its bits in ``MessagePiece/reservedBits``
    ///     of the first piece.
    ///   - output: where to append; the bytes belong into one frame.
    mutating func outbound(_ piece: inout MessagePiece, into output: inout ByteBuffer) throws

    /// The connection has ended: nothing more will be called. By default does nothing.
    mutating func closed()
}

extension FrameTransform {
    /// Does nothing.
    public mutating func closed() {}
}

/// A transform that may make the same of a message on many connections: then one of them makes it for all.
package protocol SharedEncoding: FrameTransform {
    /// Equal for transforms that make the same of each whole message, whatever was sent before; `nil` where that counts. It
    /// does not change.
    var encoding: EncodingKey? { get }
}

/// All that the encoding of a whole message depends on.
package struct EncodingKey: Hashable, Sendable {
    /// Settings of the transform, in its own order.
    let settings: [Int32]
}

/// A transform that holds objects, and can go on from the same place in a second value: tests play many ends of one
/// beginning.
package protocol CopiedFrameTransform: FrameTransform {
    /// A value that shares no object with this one.
    func copy() -> any FrameTransform
}
