// The path of nearly every message: a whole frame that lies in what was read, on a connection where nothing stands between
// the wire and the application. The messages of one read are taken from where they lie, without an action for each, and
// the connection holds on to nothing but what is left.

package import NIOCore

/// How far the messages in a buffer have been taken.
///
/// It knows the buffer's place in memory, which stays good for as long as somebody holds the buffer as it is: who writes into
/// memory that others hold gets a copy.
package struct PlainCursor {
    /// The place of the first byte that is not taken; `nil` until the first message is looked for.
    fileprivate var next: UnsafeRawPointer?
    /// How many bytes are not taken; -1 until the first message is looked for.
    package fileprivate(set) var rest = -1
    /// True where the bytes come from the network now, false where ``Connection/receive(_:now:)`` has had them.
    fileprivate let areNew: Bool

    package init(areNew: Bool) {
        self.areNew = areNew
    }

    /// True once the first message was looked for.
    package var hasBegun: Bool { self.rest >= 0 }
}

extension Connection {
    /// True where a whole frame may be a message, and nothing else is to be done before it. Mutating in form only, as
    /// ``deadline`` is.
    private var takesPlain: Bool {
        @inline(__always) mutating get {
            self.link.isPlain && self.link.codec.mayTakeWhole && self.stage.isOpen && self.actions.isEmpty
        }
    }

    /// The next message in `bytes`, where one whole frame holds it; `nil`, with nothing done, where the bytes that are left are
    /// to be handed to ``receive(_:now:)``, or to ``putBack(_:from:)`` once the cursor has begun.
    /// - Parameters:
    ///   - bytes: the same for one cursor.
    ///   - kind: is set to the message's. Apart from the payload, so that nothing of the result is counted twice.
    ///
    /// Once all bytes are taken, and nothing else was done to the connection, it waits for more.
    package mutating func nextPlain(
        _ bytes: ByteBuffer,
        _ cursor: inout PlainCursor,
        _ kind: inout MessageKind,
        now: NIODeadline
    ) -> ByteBuffer? {
        guard self.takesPlain else { return nil }
        if cursor.next == nil {
            // Bytes that came earlier go first.
            guard self.inbound.readableBytes == 0, !self.isInputClosed else { return nil }
            cursor.next = bytes.withUnsafeReadableBytes { $0.baseAddress }
            cursor.rest = bytes.readableBytes
            if cursor.areNew { self.socket.keepAlive?.bytesReceived(now) }
        }
        guard let next = cursor.next else { return nil }
        var frameBytes = 0
        guard let payload = self.link.codec.plain(next, count: cursor.rest, of: bytes, &kind, &frameBytes) else {
            return nil
        }
        // A frame is whole only within the bytes that are left.
        cursor.next = next + frameBytes
        cursor.rest &-= frameBytes
        self.socket.dataMoved(now)
        return payload
    }

    /// The bytes that ``receive(_:now:)`` has got, for ``nextPlain(_:_:_:now:)``; ``putBack(_:from:)`` follows. `nil` where
    /// nothing is to be taken that way.
    package mutating func takeReceived() -> ByteBuffer? {
        guard self.inbound.readableBytes > 0, self.takesPlain else { return nil }
        var bytes = ByteBuffer()
        swap(&bytes, &self.inbound)
        return bytes
    }

    /// The bytes that the cursor has not taken wait for more, or for ``next(now:isPaused:)``.
    package mutating func putBack(_ bytes: consuming ByteBuffer, from cursor: PlainCursor) {
        if cursor.hasBegun { bytes.moveReaderIndex(forwardBy: bytes.readableBytes &- cursor.rest) }
        guard bytes.readableBytes > 0 else { return }
        swap(&bytes, &self.inbound)
        // Something that was called for a message may have had more bytes read.
        if bytes.readableBytes > 0 { self.join(bytes) }
    }
}
