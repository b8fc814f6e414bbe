// Memory for payloads. Most messages are small, and an allocation for each would cost more than the rest of decoding
// it: small payloads share a block, large ones get a buffer of their own.

package import NIOCore

/// Hands out `ByteBuffer`s for payloads as they are unmasked. What was handed out is never written again.
///
/// Appending to a `ByteBuffer` while slices of it are alive copies the whole of it (copy on write). The arena
/// therefore writes behind the buffer's back, through its raw memory, which is sound for these reasons:
/// - it writes only past everything handed out, and slices end where their payload ends;
/// - it holds a reference itself, so that whoever writes to a slice gets a copy and never this memory, and so that the
///   memory outlives the pointer to it;
/// - how much is used is noted in the block itself, so that copies of the arena agree on it;
/// - a full block is used again only if no slice of it is left; otherwise it is dropped, and its slices keep it alive
///   for as long as they need it.
package struct PayloadArena {
    /// Bytes of a block. 8 KiB holds some sixty small messages or seven of 1 KiB; a connection that falls idle gives it back.
    package static let blockBytes = 8192
    /// The largest payload that goes into a block.
    package static let largestShared = blockBytes - noteBytes
    /// The largest payload for which a new block is begun while slices of the old one are held; more is worth its own
    /// allocation.
    private static let largestForNew = 512
    /// Where payloads begin: the number before them is how many bytes are used.
    private static let noteBytes = MemoryLayout<Int>.size

    private var block = ByteBuffer()
    private var memory: UnsafeMutableRawPointer?
    /// True once a payload has come. The first gets a buffer of its own: it may stay the only one, as a request of the
    /// extended handshake does.
    private var hasBegun = false

    package init() {}

    /// Bytes that the arena keeps alive.
    package var retainedBytes: Int { self.memory == nil ? 0 : Self.blockBytes }

    /// Room for `count` bytes, to be written before the next call. `nil`: the payload is worth its own allocation.
    @inline(__always)
    mutating func room(for count: Int) -> (target: UnsafeMutableRawPointer, offset: Int)? {
        self.roomInBlock(for: count) ?? self.takeFromNew(count)
    }

    /// The same where the block has it, or can be begun again.
    @inline(__always)
    mutating func roomInBlock(for count: Int) -> (target: UnsafeMutableRawPointer, offset: Int)? {
        guard let memory else { return nil }
        let offset = memory.load(as: Int.self)
        guard Self.blockBytes &- offset >= count else { return self.beginAgain(count) }
        memory.storeBytes(of: offset &+ count, as: Int.self)
        return (memory + offset, offset)
    }

    /// The block from its beginning on, where nobody holds a part of it.
    @inline(never)
    private mutating func beginAgain(_ count: Int) -> (target: UnsafeMutableRawPointer, offset: Int)? {
        guard count <= Self.largestShared, let memory, self.block.modifyIfUniquelyOwned({ _ in true }) != nil else {
            return nil
        }
        memory.storeBytes(of: Self.noteBytes &+ count, as: Int.self)
        return (memory + Self.noteBytes, Self.noteBytes)
    }

    @inline(never)
    private mutating func takeFromNew(_ count: Int) -> (target: UnsafeMutableRawPointer, offset: Int)? {
        guard count <= (self.memory == nil ? Self.largestShared : Self.largestForNew) else { return nil }
        self.block = ByteBufferAllocator().buffer(capacity: Self.blockBytes)
        // The whole block counts as readable, so that slices can be taken anywhere; only written bytes are ever sliced.
        self.block.moveWriterIndex(to: Self.blockBytes)
        self.memory = self.block.withVeryUnsafeMutableBytes { $0.baseAddress }
        self.memory?.storeBytes(of: Self.noteBytes &+ count, as: Int.self)
        return self.memory.map { ($0 + Self.noteBytes, Self.noteBytes) }
    }

    /// The payload that was written where there was ``room(for:)``.
    @inline(__always)
    mutating func slice(at offset: Int, length: Int) -> ByteBuffer? {
        // The block's reader stands behind the last payload: reading on costs less than reading anywhere. It stands elsewhere
        // where the block was begun again, or a copy of the arena has used some of it.
        if self.block.readerIndex != offset { self.block.moveReaderIndex(to: offset) }
        return self.block.readSlice(length: length)
    }

    /// A buffer with the first `count` bytes at `source`, XORed with `key`, and where they lie in it.
    @inline(never)
    mutating func unmask(
        _ source: UnsafeRawPointer,
        count: Int,
        key: MaskingKey
    ) -> (payload: ByteBuffer, start: UnsafeRawPointer?) {
        if !self.hasBegun {
            self.hasBegun = true
        } else if let room = self.room(for: count) {
            Masking.copy(from: source, to: room.target, count: count, key: key)
            if let payload = self.slice(at: room.offset, length: count) {
                return (payload, UnsafeRawPointer(room.target))
            }
        }
        let payload = Self.separate(source, count: count, key: key)
        return (payload, payload.withUnsafeReadableBytes { $0.baseAddress })
    }

    /// A buffer with the first `count` bytes at `source`, XORed with `key`.
    package mutating func copy(_ source: UnsafeRawPointer, count: Int, key: MaskingKey) -> ByteBuffer {
        self.unmask(source, count: count, key: key).payload
    }

    /// The same in a buffer of its own.
    @inline(never)
    private static func separate(_ source: UnsafeRawPointer, count: Int, key: MaskingKey) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: count)
        buffer.withVeryUnsafeMutableBytes { memory in
            guard let target = memory.baseAddress, memory.count >= count else { return }
            Masking.copy(from: source, to: target, count: count, key: key)
        }
        buffer.moveWriterIndex(to: count)
        return buffer
    }
}

extension ByteBuffer {
    /// Appends `count` bytes at `source`, XORed with `key`.
    package mutating func append(_ source: UnsafeRawPointer, count: Int, key: MaskingKey) {
        writeWithUnsafeMutableBytes(minimumWritableBytes: count) { target in
            guard let start = target.baseAddress else { return 0 }
            Masking.copy(from: source, to: start, count: count, key: key)
            return count
        }
    }
}
