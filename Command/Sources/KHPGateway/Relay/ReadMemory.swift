// The memory that large reads leave with a backend's channel. Of ten thousand sessions most are silent, and with them it would be
// most of what the process takes: a session that has carried 64 KiB keeps no more than one that has carried nothing.

import NIOCore

/// The read buffers of one channel that no TLS lies on.
///
/// The channel's pool never lets go of its first buffer, and makes it larger where reads are large. Held here from the time on
/// when it is full, it is never read into again and stays as small as it is. Large reads get a buffer each, for which the pool
/// has no place: it is gone when the read is over and serves the next connection, and none of a thousand sessions leaves its
/// own between the blocks that stay, where the C library could not give it back.
struct ReadMemory {
    /// No read has filled its buffer for this long, or twice as long: then reads go into the pool's buffers again.
    static let pause = TimeAmount.seconds(2)

    private var first = ByteBuffer()
    private var isBusy = false
    /// `true` while somebody looks.
    private var isWatched = false

    /// A read has filled its buffer.
    /// - Returns: `true` where nobody looks yet after it: ``look(_:)`` is to be called after ``pause``.
    mutating func noteFull(_ bytes: ByteBuffer, _ options: @autoclosure () -> (any NIOSynchronousChannelOptions)?)
        -> Bool
    {
        if self.first.capacity == 0, bytes.storageCapacity <= StreamOptions.firstRead {
            self.first = bytes
            if let options = options() { try? StreamOptions.readApart(options) }
        }
        self.isBusy = true
        if self.isWatched { return false }
        self.isWatched = true
        return true
    }

    /// - Returns: `true` where it is to be called again.
    mutating func look(_ options: (any NIOSynchronousChannelOptions)?) -> Bool {
        if self.isBusy {
            self.isBusy = false
            return true
        }
        self.isWatched = false
        self.first = ByteBuffer()
        // A channel that has closed takes no option, and reads no more.
        if let options { try? StreamOptions.readPooled(options) }
        return false
    }
}
