// One message for many connections: where an extension makes the same of it on each, such as permessage-deflate without
// context takeover, it is made once.

package import NIOCore

/// Used on one event loop only.
package final class SharedMessage {
    package let kind: MessageKind
    package let payload: ByteBuffer
    /// The frames that have been made of it; connections differ in few ways.
    private var frames: [(key: EncodingKey, frame: ExtensionStack.Frame)] = []

    package init(_ kind: MessageKind, _ payload: ByteBuffer) {
        self.kind = kind
        self.payload = payload
    }

    /// How often it has been made into a frame that others share.
    package var encodings: Int { self.frames.count }

    fileprivate func frame(for key: EncodingKey) -> ExtensionStack.Frame? {
        self.frames.first { $0.key == key }?.frame
    }

    fileprivate func keep(_ frame: ExtensionStack.Frame, for key: EncodingKey) {
        self.frames.append((key, frame))
    }
}

extension Connection {
    /// Queues a message that other connections send as well.
    /// - Returns: how many bytes wait to be written.
    @discardableResult
    package mutating func send(_ shared: SharedMessage, now: NIODeadline) throws(WebSocketError) -> Int {
        guard let extensions = self.socket.extensions, let key = extensions.encoding else {
            return try self.send(shared.kind, shared.payload, now: now)
        }
        try self.checkSending()
        if let frame = shared.frame(for: key) {
            try self.write(frame, of: shared.kind, plain: shared.payload, now: now)
            self.socket.dataMoved(now)
            return self.output.pendingBytes
        }
        let frame = try self.write(MessagePiece(shared.kind, shared.payload), now: now)
        self.socket.dataMoved(now)
        if let frame { shared.keep(frame, for: key) }
        return self.output.pendingBytes
    }
}
