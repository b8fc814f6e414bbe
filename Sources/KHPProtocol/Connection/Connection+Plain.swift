// The path of nearly every message: a whole frame that lies in what was read, on a connection where nothing stands between
// the wire and the application. The messages of one read are taken from where they lie, without an action for each, and
// the connection holds on to nothing but what is left.

package import NIOCore

/// How far the messages in a buffer have been taken.
///
/// It points into the buffer's memory. The pointer stays valid while the caller holds the buffer unchanged: a write to memory
/// that has another owner goes to a copy.
package struct PlainCursor {
    /// The address of the first byte that is not taken.
    fileprivate var next: UnsafeRawPointer
    /// The number of bytes that are not taken.
    package fileprivate(set) var rest: Int
}

extension Connection {
    /// True where a whole frame may be a message, and nothing else is to be done before it. Mutating in form only, as
    /// ``deadline`` is.
    private var takesPlain: Bool {
        @inline(__always) mutating get {
            self.link.isPlain && self.link.codec.mayTakeWhole && self.actions.isEmpty
        }
    }

    /// A cursor before the first message in `bytes`; `nil`, with nothing done, where they are to be handed to
    /// ``receive(_:now:)``.
    /// - Parameter areNew: true where the bytes come from the network now, false where ``receive(_:now:)`` has had them.
    package mutating func beginPlain(_ bytes: ByteBuffer, areNew: Bool, now: NIODeadline) -> PlainCursor? {
        // Bytes that came earlier go first.
        guard self.takesPlain, self.inbound.readableBytes == 0, !self.isInputClosed,
            let next = bytes.withUnsafeReadableBytes({ $0.baseAddress })
        else { return nil }
        if areNew { self.socket.keepAlive?.bytesReceived(now) }
        return PlainCursor(next: next, rest: bytes.readableBytes)
    }

    /// The next message, where it is small, from a client, and in one whole frame, as nearly every one is. `nil`, with nothing
    /// done, for all others: ``nextPlain(_:_:_:now:)`` takes those, so that its needs do not slow this path.
    /// - Parameter kind: is set to the kind of the message; no part of the result, which saves a reference count.
    package mutating func nextShort(
        _ cursor: inout PlainCursor,
        _ kind: inout MessageKind,
        now: NIODeadline
    ) -> ByteBuffer? {
        var frameBytes = 0
        guard self.takesPlain,
            let payload = self.link.codec.shortPlain(cursor.next, count: cursor.rest, &kind, &frameBytes)
        else { return nil }
        self.take(frameBytes, &cursor, now)
        return payload
    }

    /// The next message in `bytes`, where one whole frame holds it; `nil`, with nothing done, where the bytes that are left are
    /// to be handed to ``putBack(_:from:)``.
    /// - Parameters:
    ///   - bytes: the buffer that the cursor was made for.
    ///   - kind: as in ``nextShort(_:_:now:)``.
    ///
    /// Once all bytes are taken, and nothing else was done to the connection, it waits for more.
    @inline(never)
    package mutating func nextPlain(
        _ bytes: ByteBuffer,
        _ cursor: inout PlainCursor,
        _ kind: inout MessageKind,
        now: NIODeadline
    ) -> ByteBuffer? {
        guard self.takesPlain else { return nil }
        var frameBytes = 0
        guard let payload = self.link.codec.plain(cursor.next, count: cursor.rest, of: bytes, &kind, &frameBytes) else {
            return nil
        }
        self.take(frameBytes, &cursor, now)
        return payload
    }

    /// Moves the cursor past a frame, which lies within the bytes that are not taken.
    @inline(__always)
    private mutating func take(_ frameBytes: Int, _ cursor: inout PlainCursor, _ now: NIODeadline) {
        cursor.next += frameBytes
        cursor.rest &-= frameBytes
        self.socket.dataMoved(now)
    }

    /// The bytes that ``receive(_:now:)`` has got, for ``beginPlain(_:areNew:now:)``; ``putBack(_:from:)`` follows. `nil` where
    /// no message can be taken that way.
    package mutating func takeReceived() -> ByteBuffer? {
        guard self.inbound.readableBytes > 0, self.takesPlain else { return nil }
        var bytes = ByteBuffer()
        swap(&bytes, &self.inbound)
        return bytes
    }

    /// The bytes that the cursor has not taken wait for more, or for ``next(now:isPaused:)``.
    package mutating func putBack(_ bytes: consuming ByteBuffer, from cursor: PlainCursor?) {
        if let cursor { bytes.moveReaderIndex(forwardBy: bytes.readableBytes &- cursor.rest) }
        guard bytes.readableBytes > 0 else { return }
        swap(&bytes, &self.inbound)
        // A function that was called for a message may have read more bytes.
        if bytes.readableBytes > 0 { self.join(bytes) }
    }
}
