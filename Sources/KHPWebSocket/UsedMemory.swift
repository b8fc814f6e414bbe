// Memory that use leaves with a connection. While messages come it serves the next one; of ten thousand connections most are
// idle, and with them it would be most of what the process takes.

import KHPProtocol
import NIOCore

/// The memory of one connection that is to be released once nothing comes.
///
/// Small reads go into the buffers of the channel's pool, again and again. Large ones get a buffer each, which is gone when the
/// read is over: it serves the next connection that reads, whose bytes find it in the processor's cache, and none of a
/// thousand connections leaves its own between the blocks that stay, where the C library could not give it back.
struct UsedMemory {
    /// Its place in the loop's list, or `-1` outside of it. The list alone writes it.
    var place = -1
    /// `true` when something has come since the loop looked last.
    var isBusy = false
    /// `true` where what is received comes from the channel's pool, and not through TLS.
    private let isPooled: Bool
    /// The first buffer of the channel's pool, which the pool never lets go of and makes larger where reads are large.
    /// Held here from the time on when it is full it is never read into again: it stays as small as it is, and the pool
    /// makes others, which it can be told to drop.
    private var first = ByteBuffer()
    /// True while reads may be twice as large: a message of that size comes with its header.
    private var readsMore = false
    /// How many reads in succession could have gone into the pool's buffers, while reads have a buffer each.
    private var smallReads: UInt8 = 0
    /// How often the channel reads in a turn, while reads have a buffer each, which is when it reads once; 0 at other times.
    private var readsOfTurn: UInt32 = 0

    /// The size in which the pool makes its first buffer.
    private static let firstBytes = 2048
    /// The size from which on a read gets a buffer of its own.
    private static let separateBytes = 16_384
    /// The size of the channel's largest reads, unless it is told otherwise.
    private static let largeBytes = 65_536
    /// So many small reads in succession go into the pool's buffers again.
    private static let fewReads: UInt8 = 32

    init(isPooled: Bool) {
        self.isPooled = isPooled
    }

    /// True while reads have a buffer each.
    var isReadingApart: Bool { self.readsOfTurn > 0 }

    /// Bytes have been received.
    @inline(__always)
    mutating func note(_ bytes: ByteBuffer, of context: ChannelHandlerContext) {
        if bytes.writableBytes == 0 || self.readsOfTurn > 0 { self.noteUnusual(bytes, of: context) }
    }

    /// A read has filled its buffer, or had one of its own.
    @inline(never)
    private mutating func noteUnusual(_ bytes: ByteBuffer, of context: ChannelHandlerContext) {
        guard self.isPooled else { return }
        if self.first.capacity == 0, bytes.storageCapacity <= Self.firstBytes { self.first = bytes }
        // A channel that has closed reads no more, and takes no option.
        if bytes.writableBytes == 0 {
            self.smallReads = 0
            // To ask for the options costs as much as to read.
            guard !self.readsMore, bytes.storageCapacity >= Self.separateBytes else { return }
            if let options = context.channel.syncOptions { try? self.readMore(than: bytes, options) }
        } else if bytes.readableBytes >= Self.separateBytes / 2 {
            self.smallReads = 0
        } else {
            self.smallReads += 1
            if self.smallReads >= Self.fewReads { self.releasePool(of: context.channel) }
        }
    }

    private mutating func readMore(than bytes: ByteBuffer, _ options: any NIOSynchronousChannelOptions) throws {
        if self.readsOfTurn == 0, self.first.capacity > 0 {
            let reads = UInt32(clamping: try options.getOption(.maxMessagesPerRead))
            // The pool keeps as many buffers as are read in a turn, the oldest of them. That is the one held here: it cannot
            // be read into, so each read gets a new buffer, for which the pool has no place.
            try options.setOption(.maxMessagesPerRead, value: 1)
            self.readsOfTurn = reads
        }
        guard bytes.storageCapacity >= Self.largeBytes, !self.readsMore else { return }
        self.readsMore = true
        let most = 2 * Self.largeBytes
        let allocator = AdaptiveRecvByteBufferAllocator(minimum: Self.firstBytes, initial: most, maximum: most)
        try options.setOption(.recvAllocator, value: allocator)
    }

    /// Has the channel's pool drop all buffers but the first, which is read into again.
    mutating func releasePool(of channel: any Channel) {
        // A channel that has closed, or has no such pool, has nothing to drop.
        guard self.isPooled, let options = channel.syncOptions else { return }
        try? self.releasePool(options)
    }

    private mutating func releasePool(_ options: any NIOSynchronousChannelOptions) throws {
        let reads = self.readsOfTurn > 0 ? UInt(self.readsOfTurn) : try options.getOption(.maxMessagesPerRead)
        self.first = ByteBuffer()
        self.readsMore = false
        self.smallReads = 0
        self.readsOfTurn = 0
        try options.setOption(.maxMessagesPerRead, value: 1)
        try options.setOption(.maxMessagesPerRead, value: reads)
        // Its next one is of the first size again.
        try options.setOption(.recvAllocator, value: AdaptiveRecvByteBufferAllocator())
    }
}

/// The connections of an event loop that were in use lately.
final class BusyConnections {
    /// A connection is idle when nothing has come for this long; it is noticed within as much again.
    static let pause = TimeAmount.seconds(2)

    /// Unchecked: on the loop's thread only, and no access lasts through a call.
    @exclusivity(unchecked) private var list: [ConnectionHandler] = []
    /// When to call ``look(now:)``.
    private(set) var looksAt = NIODeadline.distantFuture

    var count: Int { self.list.count }

    func add(_ handler: ConnectionHandler) {
        handler.memory.place = self.list.count
        self.list.append(handler)
        if self.looksAt == .distantFuture { self.looksAt = .now() + Self.pause }
    }

    func remove(_ handler: ConnectionHandler) {
        let place = handler.memory.place
        guard place >= 0 else { return }
        handler.memory.place = -1
        let last = self.list.removeLast()
        guard last !== handler else { return }
        last.memory.place = place
        self.list[place] = last
    }

    /// Releases the memory of the connections that have become idle, if it is time for that.
    func look(now: NIODeadline) {
        guard self.looksAt <= now else { return }
        // Iterates backwards: removal moves the last handler into the gap, and that one has been checked.
        for place in self.list.indices.reversed() {
            let handler = self.list[place]
            if handler.memory.isBusy {
                handler.memory.isBusy = false
            } else {
                self.remove(handler)
                handler.releaseMemory()
            }
        }
        self.looksAt = self.list.isEmpty ? .distantFuture : now + Self.pause
    }
}

extension ConnectionHandler {
    /// The connection is idle: gives back what only the next message would need.
    func releaseMemory() {
        guard !self.hasEnded, let channel = self.context?.channel else { return }
        self.connection.releaseSpare()
        self.memory.releasePool(of: channel)
    }
}
