// Bytes that have arrived and wait for more: a head of an old dialect, early data of a client that is still being
// decided upon.

import NIOCore

extension ByteBuffer {
    /// Adds what came behind what is left. Linear over a stream that comes byte by byte: as long as nothing is taken in
    /// between, the memory grows by doubling.
    /// - Parameter joined: how many bytes there were after the last join; kept by the caller for this alone.
    mutating func join(_ more: ByteBuffer, joined: inout Int) {
        if self.readableBytes == 0 {
            self = more
            return
        }
        // Memory that was not joined here is never appended to: messages handed out may be slices of it.
        if self.readableBytes != joined {
            var copy = ByteBuffer()
            copy.reserveCapacity(self.readableBytes + more.readableBytes)
            copy.writeImmutableBuffer(self)
            self = copy
        }
        self.writeImmutableBuffer(more)
        joined = self.readableBytes
    }
}
