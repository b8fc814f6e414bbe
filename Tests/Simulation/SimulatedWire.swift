// One direction of a simulated transport: bytes in order, cut anywhere, delayed, stalled, ended or reset.

import NIOCore

struct SimulatedWire {
    /// How the stream ends once all bytes have been delivered.
    enum End { case orderly, reset }

    private(set) var pending = ByteBuffer()
    private(set) var end: End?
    /// Set once the receiver has learned of the end.
    private(set) var endIsDelivered = false
    /// Nothing is delivered while this holds.
    var isStalled = false
    /// `true` when bytes written from now on are lost, and the receiver learns nothing.
    private(set) var isCut = false

    var pendingBytes: Int { self.pending.readableBytes }

    /// Set when a delivery would tell the receiver something.
    var hasNews: Bool {
        !self.isStalled && (self.pendingBytes > 0 || (self.end != nil && !self.endIsDelivered))
    }

    mutating func write(_ bytes: ByteBuffer) {
        guard !self.isCut, self.end == nil else { return }
        self.pending.writeImmutableBuffer(bytes)
    }

    mutating func finish(_ end: End) {
        guard !self.isCut, self.end == nil else { return }
        self.end = end
        // A reset overtakes the bytes on their way.
        if end == .reset { self.pending.clear() }
    }

    /// The peer vanishes: nothing more arrives, not even an end.
    mutating func cut(after bytes: Int) {
        self.isCut = true
        self.pending =
            self.pending.getSlice(
                at: self.pending.readerIndex,
                length: min(bytes, self.pendingBytes)
            ) ?? ByteBuffer()
    }

    mutating func take(atMost count: Int) -> ByteBuffer {
        let slice = self.pending.readSlice(length: min(count, self.pendingBytes)) ?? ByteBuffer()
        // As a channel does, which reads into memory of its own.
        let copy = ByteBuffer(bytes: slice.readableBytesView)
        if self.pendingBytes == 0 { self.pending = ByteBuffer() }
        return copy
    }

    mutating func takeEnd() -> End? {
        guard self.pendingBytes == 0, !self.endIsDelivered, let end = self.end else { return nil }
        self.endIsDelivered = true
        return end
    }
}
