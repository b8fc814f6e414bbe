/// Why this file exists: most messages are small, and an allocation for each would cost more than all the rest of
/// decoding it. Small payloads share a block; large ones get a buffer of their own.

package import NIOCore

/// Hands out `ByteBuffer`s for payloads that were just unmasked. What was handed out is never written again.
///
/// Appending to a `ByteBuffer` while slices of it are alive copies the whole of it (copy on write). The arena
/// therefore writes behind the buffer's back, through its raw memory, which is sound for these reasons:
/// - it writes only past everything handed out, and slices end where their payload ends;
/// - it holds a reference itself, so that whoever writes to a slice gets a copy and never this memory;
/// - the block is dropped, not reused, when it is full: slices keep it alive for as long as they need it.
package struct PayloadArena {
    /// Bytes of a block. 2 KiB holds some forty small messages and is what an idle connection keeps.
    package static let blockBytes = 2048
    /// The largest payload that goes into a block: a slice that is kept keeps at most sixteen times itself or 2 KiB.
    package static let largestShared = 512

    private var block = ByteBuffer()
    private var used = 0
    private var capacity = 0

    package init() {}

    /// A buffer with the first `count` bytes at `source`, XORed with `key`.
    @inline(__always)
    package mutating func copy(_ source: UnsafeRawPointer, count: Int, key: MaskingKey) -> ByteBuffer {
        if count > Self.largestShared {
            return Self.separate(source, count: count, key: key)
        }
        if capacity &- used < count { renew() }
        let offset = used
        block.withVeryUnsafeBytes { memory in
            guard let start = memory.baseAddress else { return }
            let target = UnsafeMutableRawPointer(mutating: start) + offset
            Masking.copy(from: source, to: target, count: count, key: key)
        }
        used = offset &+ count
        return block.getSlice(at: offset, length: count) ?? ByteBuffer()
    }

    @inline(never)
    private mutating func renew() {
        block = ByteBufferAllocator().buffer(capacity: Self.blockBytes)
        capacity = Self.blockBytes
        used = 0
        // All of it counts as readable, so that slices can be taken anywhere; only what was written is ever sliced.
        block.moveWriterIndex(to: Self.blockBytes)
    }

    @inline(never)
    private static func separate(_ source: UnsafeRawPointer, count: Int, key: MaskingKey) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: count)
        buffer.append(source, count: count, key: key)
        return buffer
    }
}

extension ByteBuffer {
    /// Appends `count` bytes at `source`, XORed with `key`.
    @inline(__always)
    package mutating func append(_ source: UnsafeRawPointer, count: Int, key: MaskingKey) {
        writeWithUnsafeMutableBytes(minimumWritableBytes: count) { target in
            guard let start = target.baseAddress else { return 0 }
            Masking.copy(from: source, to: start, count: count, key: key)
            return count
        }
    }
}
