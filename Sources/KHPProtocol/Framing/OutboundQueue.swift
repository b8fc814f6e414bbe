// Bytes on their way out. Small frames are gathered in one buffer whose memory is used again; large payloads are
// handed on as they are, behind their header, so that the socket's gathering write takes them without a copy.

package import NIOCore

package struct OutboundQueue {
    /// Payloads from this size on are not copied behind their header.
    package static let gatherThreshold = 4096
    /// Room for the answer to a handshake, and for some small messages.
    private static let firstBytes = 512

    /// The bytes gathered so far; append to them through ``write(_:)``.
    private var current = ByteBuffer()
    /// The buffers that go out before `current`; made when a payload is first handed on as it is.
    private var queued: CircularBuffer<ByteBuffer>?
    private var isCurrentTaken = false
    package private(set) var pendingBytes = 0

    package init() {}

    package var isEmpty: Bool { self.pendingBytes == 0 }

    /// Lets go of memory, if nothing waits to be written.
    package mutating func releaseSpare() {
        guard self.isEmpty else { return }
        self.current = ByteBuffer()
        self.isCurrentTaken = false
        self.queued = nil
    }

    /// Appends to the gathered bytes in place.
    @inline(__always)
    package mutating func write(_ body: (inout ByteBuffer) -> Void) {
        if self.isCurrentTaken {
            // The channel has most likely written the last one and let go of it: then its memory serves again.
            let isFree: Void? = self.current.modifyIfUniquelyOwned { buffer in
                buffer.moveReaderIndex(to: 0)
                buffer.moveWriterIndex(to: 0)
            }
            if isFree == nil { self.current = ByteBuffer() }
            self.isCurrentTaken = false
        }
        // Asked for as it is needed: a buffer that grows from nothing is made twice.
        if self.current.capacity == 0 { self.current = ByteBufferAllocator().buffer(capacity: Self.firstBytes) }
        let before = self.current.readableBytes
        body(&self.current)
        self.pendingBytes += self.current.readableBytes - before
    }

    /// Queues a buffer as it is.
    package mutating func append(_ buffer: ByteBuffer) {
        var queued = self.queued.take() ?? CircularBuffer(initialCapacity: 2)
        if !self.isCurrentTaken, self.current.readableBytes > 0 {
            queued.append(self.current)
            self.current = ByteBuffer()
        }
        queued.append(buffer)
        self.queued = queued
        self.pendingBytes += buffer.readableBytes
    }

    /// The next buffer to write, in order.
    package mutating func next() -> ByteBuffer? {
        if let buffer = self.queued?.popFirst() {
            self.pendingBytes -= buffer.readableBytes
            return buffer
        }
        guard !self.isCurrentTaken, self.current.readableBytes > 0 else { return nil }
        self.pendingBytes = 0
        if self.current.readableBytes > 65_536 {
            // A burst this large is rare: do not keep its memory for the connection's life.
            defer { self.current = ByteBuffer() }
            return self.current
        }
        self.isCurrentTaken = true
        return self.current
    }
}
