// Memory that use leaves with a connection. While messages come it serves the next one; of ten thousand connections most are
// idle, and with them it would be most of what the process takes.

import KHPProtocol
import NIOCore

/// The memory of one connection that is to be released once nothing comes.
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
    /// The size in which the pool makes its first buffer.
    private static let firstBytes = 2048
    /// The size of the channel's largest reads, unless it is told otherwise.
    private static let largeBytes = 65_536
    /// True while reads may be twice as large: a message of that size comes with its header.
    private var readsMore = false

    init(isPooled: Bool) {
        self.isPooled = isPooled
    }

    /// Bytes have been received.
    @inline(__always)
    mutating func note(_ bytes: ByteBuffer, of context: ChannelHandlerContext) {
        if bytes.writableBytes == 0 { self.noteFull(bytes, of: context) }
    }

    /// A read has filled its buffer.
    @inline(never)
    private mutating func noteFull(_ bytes: ByteBuffer, of context: ChannelHandlerContext) {
        guard self.isPooled else { return }
        if self.first.capacity == 0, bytes.storageCapacity <= Self.firstBytes { self.first = bytes }
        guard bytes.storageCapacity >= Self.largeBytes, !self.readsMore else { return }
        self.readsMore = true
        let most = 2 * Self.largeBytes
        let allocator = AdaptiveRecvByteBufferAllocator(minimum: Self.firstBytes, initial: most, maximum: most)
        // A channel that has closed reads no more.
        try? context.channel.syncOptions?.setOption(.recvAllocator, value: allocator)
    }

    /// Has the channel's pool drop all buffers but the first, which is read into again.
    mutating func releasePool(of channel: any Channel) {
        guard self.isPooled else { return }
        Self.releasePool(of: channel)
        self.first = ByteBuffer()
        self.readsMore = false
    }

    /// Has the channel's pool drop all buffers but the first.
    private static func releasePool(of channel: any Channel) {
        guard let options = channel.syncOptions else { return }
        do {
            let reads = try options.getOption(.maxMessagesPerRead)
            // The pool keeps as many buffers as are read at a time, the oldest of them.
            try options.setOption(.maxMessagesPerRead, value: 1)
            try options.setOption(.maxMessagesPerRead, value: reads)
            // Its next one is of the first size again.
            try options.setOption(.recvAllocator, value: AdaptiveRecvByteBufferAllocator())
        } catch {
            // A channel that has closed, or has no such pool, has nothing to drop.
        }
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
        // From behind: whoever takes the place of one that leaves has been looked at.
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
