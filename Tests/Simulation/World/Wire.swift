// One direction of a simulated transport: bytes in order, cut anywhere, delayed, stalled, ended or reset.

import NIOCore

struct Wire {
    /// How the stream ends once all bytes have been delivered.
    enum End: String { case orderly, reset }

    private(set) var pending = ByteBuffer()
    private(set) var end: End?
    /// Set once the receiver has learned of the end.
    private(set) var endIsDelivered = false
    /// Nothing is delivered while this holds.
    var isStalled = false
    /// True for a stall that passes.
    var mayHeal = false
    /// Nothing is delivered before then.
    var heldUntil = NIODeadline.uptimeNanoseconds(0)
    /// True when bytes written from now on are lost, and the receiver learns nothing.
    private(set) var isCut = false
    /// True once an attacker writes here instead of the honest peer.
    private(set) var isTaken = false
    /// True where the attacker keeps the connection open, whatever the honest peer does.
    private var staysOpen = false
    /// How many bytes were on their way when the stream ended: a receiver reads them all, whether its application does or
    /// not, as they lie in its transport.
    private(set) var pendingAtEnd = 0
    /// True once bytes were added that the peer did not write.
    private(set) var isTampered = false
    /// True where that was in a handshake: the two ends may take different bytes for its last.
    var isForged = false

    var pendingBytes: Int { self.pending.readableBytes }

    /// True where a delivery would tell the receiver something.
    func hasNews(_ now: NIODeadline) -> Bool {
        !self.isStalled && self.heldUntil <= now && (self.pendingBytes > 0 || (self.end != nil && !self.endIsDelivered))
    }

    /// - Returns: false where they are lost.
    @discardableResult
    mutating func write(_ bytes: ByteBuffer) -> Bool {
        guard !self.isCut, !self.isTaken, self.end == nil else { return false }
        self.pending.writeImmutableBuffer(bytes)
        return true
    }

    /// Bytes of an attacker's.
    /// - Returns: false where the stream has ended, so that none come any more.
    mutating func inject(_ bytes: [UInt8], takesOver: Bool, staysOpen: Bool = false) -> Bool {
        guard self.end == nil else { return false }
        self.isTampered = true
        if takesOver {
            self.isTaken = true
            self.staysOpen = staysOpen
            self.isCut = false
            self.pending = ByteBuffer()
        }
        self.pending.writeBytes(bytes)
        return true
    }

    /// One byte on its way turns into another.
    /// - Returns: false where none is on its way.
    mutating func damage(at place: Int) -> Bool {
        guard self.pendingBytes > 0 else { return false }
        self.isTampered = true
        let index = self.pending.readerIndex + place % self.pendingBytes
        guard let byte = self.pending.getInteger(at: index, as: UInt8.self) else { return false }
        self.pending.setInteger(byte ^ UInt8(1 << (place % 8)), at: index)
        return true
    }

    /// - Returns: false where the stream had ended before, or nobody learns of it.
    @discardableResult
    mutating func finish(_ end: End) -> Bool {
        guard !self.isCut, !self.staysOpen, self.end == nil else { return false }
        self.end = end
        // A reset overtakes the bytes on their way.
        if end == .reset { self.pending = ByteBuffer() }
        self.pendingAtEnd = self.pendingBytes
        return true
    }

    /// The peer ends, and what it had written last never left it.
    mutating func breakOff(_ end: End) {
        guard !self.isCut, !self.staysOpen, !self.endIsDelivered else { return }
        self.pending = ByteBuffer()
        self.end = end
    }

    /// The peer vanishes: nothing more arrives, not even an end.
    mutating func cut(after bytes: Int) {
        self.isCut = true
        let length = min(bytes, self.pendingBytes)
        self.pending = self.pending.getSlice(at: self.pending.readerIndex, length: length) ?? ByteBuffer()
    }

    mutating func take(atMost count: Int) -> ByteBuffer {
        let slice = self.pending.readSlice(length: min(count, self.pendingBytes)) ?? ByteBuffer()
        // As a channel does, which reads into memory of its own.
        let copy = slice.readableBytes > 0 ? ByteBuffer(bytes: slice.readableBytesView) : ByteBuffer()
        if self.pendingBytes == 0 { self.pending = ByteBuffer() }
        return copy
    }

    mutating func takeEnd() -> End? {
        guard self.pendingBytes == 0, !self.endIsDelivered, let end = self.end else { return nil }
        self.endIsDelivered = true
        return end
    }
}
