// Bytes on their way out. Small frames are gathered in one block whose memory is used again; large payloads are handed on
// as they are, behind their header, so that the socket's gathering write takes them without a copy.

package import NIOCore

/// Gathers frames and hands out buffers for the channel, in order. What was handed out is never written again.
///
/// Writing to a `ByteBuffer` asks each time who else holds it, which costs more than copying a small frame. The queue
/// writes through the memory of its block instead, as ``PayloadArena`` does, and for the same reasons that is sound:
/// - it writes only behind everything handed out;
/// - it holds a reference itself, so that whoever writes to a buffer of it gets a copy, and the memory outlives the pointer;
/// - the block records how much of it is used; a copied queue that finds a foreign mark takes a new block;
/// - a block is begun again only if nobody else holds it.
package struct OutboundQueue {
    /// Payloads from this size on are not copied behind their header.
    package static let gatherThreshold = 4096
    /// Room for some small messages.
    private static let firstBytes = 1024
    /// As much room as is made for some larger ones.
    private static let someFrames = 8192
    /// A burst larger than this is rare: its memory is not kept for the connection's life.
    private static let mostKept = 65_536
    /// Where frames begin: the number before them is how many bytes are used.
    private static let noteBytes = MemoryLayout<UInt32>.size

    // Numbers of 32 bits keep a connection small, and the largest message is smaller than they can count.

    private var block = ByteBuffer()
    private var memory: UnsafeMutableRawPointer?
    /// The end of the block; 0 once it has no room for another burst such as the last.
    private var limit: UInt32 = 0
    /// The gathered bytes that are not handed out yet.
    private var start: UInt32 = 0
    private var end: UInt32 = 0
    /// The first of the buffers that go out before the gathered bytes, and the others: most often there is one.
    private var first = ByteBuffer()
    private var others: ContiguousArray<ByteBuffer> = []
    private var othersTaken: UInt32 = 0
    private var queuedBytes = 0

    package init() {}

    package var pendingBytes: Int {
        @inline(__always) get { self.queuedBytes &+ self.gatheredBytes }
    }

    package var isEmpty: Bool {
        @inline(__always) get { self.pendingBytes == 0 }
    }

    private var gatheredBytes: Int {
        @inline(__always) get { Int(self.end &- self.start) }
    }

    /// Lets go of memory, if nothing waits to be written.
    package mutating func releaseSpare() {
        if self.isEmpty { self = OutboundQueue() }
    }

    // MARK: Writing

    /// Appends as many bytes as `body` says it has written, at most `most`.
    @inline(__always)
    mutating func write(atMost most: Int, _ body: (UnsafeMutableRawPointer) -> Int) {
        let memory: UnsafeMutableRawPointer
        if let current = self.memory, Int(self.limit) &- Int(self.end) >= most,
            current.load(as: UInt32.self) == self.end
        {
            memory = current
        } else {
            guard let made = self.makeRoom(most) else { return assertionFailure("a block without memory") }
            memory = made
        }
        let count = body(memory + Int(self.end))
        self.end &+= UInt32(truncatingIfNeeded: count)
        memory.storeBytes(of: self.end, as: UInt32.self)
    }

    /// Begins a block with room for `most` bytes: the same one anew if nobody holds it. Gathered bytes go ahead of it.
    @inline(never)
    private mutating func makeRoom(_ most: Int) -> UnsafeMutableRawPointer? {
        let isFull = self.end > self.start
        if let gathered = self.takeGathered() { self.enqueue(gathered) }
        let needed = Self.noteBytes &+ most
        // A burst that does not fit gets twice the room, and the next one fits.
        let wanted = min(max(Self.firstBytes, isFull ? self.block.capacity &* 2 : self.block.capacity), Self.mostKept)
        // A block for one frame would be begun anew for each.
        let some = min(needed &* 4, Self.someFrames)
        if isFull || self.block.capacity < max(needed, some) || self.block.modifyIfUniquelyOwned({ _ in true }) == nil {
            self.block = ByteBufferAllocator().buffer(capacity: max(wanted, needed, some))
            // The whole block counts as readable, so that any part of it can be handed out; only written bytes ever are.
            self.block.moveWriterIndex(to: self.block.capacity)
            self.memory = self.block.withVeryUnsafeMutableBytes { $0.baseAddress }
        }
        self.limit = UInt32(clamping: self.block.capacity)
        self.start = UInt32(Self.noteBytes)
        self.end = self.start
        return self.memory
    }

    /// Appends at most `most` bytes of text that `body` writes where it goes, as ``writeApart(atMost:_:)`` does.
    mutating func writeText(atMost most: Int, _ body: (inout TextWriter) -> Void) {
        self.writeApart(atMost: most) {
            TextWriter.write(at: UnsafeMutableRawBufferPointer(start: $0, count: most), body)
        }
    }

    /// Appends as many bytes as `body` says it has written, at most `most`. In a buffer of its own: a connection that has been
    /// opened, and on which nothing is said, keeps no block for that.
    @inline(__always)
    mutating func writeApart(atMost most: Int, _ body: (UnsafeMutableRawPointer) -> Int) {
        var buffer = ByteBufferAllocator().buffer(capacity: most)
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: most) { $0.baseAddress.map(body) ?? 0 }
        self.append(buffer)
    }

    /// Appends bytes that `body` writes: a head of a handshake, or a frame of a dialect before RFC 6455.
    package mutating func write(_ body: (inout ByteBuffer) -> Void) {
        // Asked for as it is needed: a buffer that grows from nothing is made twice.
        var buffer = ByteBufferAllocator().buffer(capacity: 512)
        body(&buffer)
        if self.isEmpty || buffer.readableBytes >= Self.gatherThreshold { return self.append(buffer) }
        buffer.withUnsafeReadableBytes { bytes in
            self.write(atMost: bytes.count) { target in
                if let source = bytes.baseAddress { target.copyMemory(from: source, byteCount: bytes.count) }
                return bytes.count
            }
        }
    }

    /// Queues a buffer as it is.
    package mutating func append(_ buffer: ByteBuffer) {
        if let gathered = self.takeGathered() { self.enqueue(gathered) }
        self.enqueue(buffer)
    }

    private mutating func enqueue(_ buffer: ByteBuffer) {
        guard buffer.readableBytes > 0 else { return }
        if self.queuedBytes == 0 { self.first = buffer } else { self.others.append(buffer) }
        self.queuedBytes &+= buffer.readableBytes
    }

    // MARK: Taking

    /// The next buffer to write, in order.
    @inline(__always)
    package mutating func next() -> ByteBuffer? {
        self.queuedBytes > 0 ? self.nextQueued() : self.takeGathered()
    }

    /// The same for a caller that does something else with the last. Apart from ``isEmpty``, for which the compiler copies
    /// the queue out of what holds it.
    /// - Parameter isQueued: is set to true for a buffer that the queue keeps no part of.
    package mutating func next(isLast: inout Bool, isQueued: inout Bool) -> ByteBuffer? {
        isQueued = self.queuedBytes > 0
        let buffer = self.next()
        isLast = self.isEmpty
        return buffer
    }

    @inline(__always)
    private mutating func takeGathered() -> ByteBuffer? {
        let count = self.gatheredBytes
        guard count > 0 else { return nil }
        var gathered = self.block
        gathered.moveWriterIndex(to: Int(self.end))
        gathered.moveReaderIndex(to: Int(self.start))
        self.start = self.end
        if Int(self.limit) &- Int(self.end) < count { self.limit = 0 }
        if self.end > Self.mostKept {
            self.block = ByteBuffer()
            self.memory = nil
        }
        return gathered
    }

    @inline(never)
    private mutating func nextQueued() -> ByteBuffer? {
        var buffer = ByteBuffer()
        if self.first.readableBytes > 0 {
            swap(&buffer, &self.first)
        } else {
            swap(&buffer, &self.others[Int(self.othersTaken)])
            self.othersTaken &+= 1
            if self.othersTaken == self.others.count {
                self.others.removeAll(keepingCapacity: self.others.count <= 8)
                self.othersTaken = 0
            }
        }
        self.queuedBytes &-= buffer.readableBytes
        return buffer
    }
}
