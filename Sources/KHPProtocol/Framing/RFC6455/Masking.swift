// Masking (RFC 6455 section 5.3): byte i of a payload is XORed with byte i mod 4 of the key, 64 bytes at a time and in
// one pass with the copy that a received or sent payload needs anyway.

/// A masking key in the order in which its bytes lie in memory, so that wide loads need no swapping.
package struct MaskingKey: Sendable, Equatable {
    /// The four bytes of the key, first one in the lowest bits.
    package var littleEndian: UInt32

    /// A key from the number that its four bytes form in network order: `0x37FA213D` goes out as 37 FA 21 3D.
    @inline(__always)
    package init(networkOrder: UInt32) {
        self.littleEndian = networkOrder.byteSwapped
    }

    @inline(__always)
    init(littleEndian: UInt32) {
        self.littleEndian = littleEndian
    }

    /// The key that changes nothing: unmasked payloads take the same path.
    package static let none = MaskingKey(littleEndian: 0)

    /// The key to go on with after `count` bytes of the payload.
    @inline(__always)
    package func rotated(by count: Int) -> MaskingKey {
        // One machine instruction; by 0 bits both halves are the key itself.
        let bits = UInt32(truncatingIfNeeded: count & 3) &* 8
        return MaskingKey(littleEndian: (self.littleEndian &>> bits) | (self.littleEndian &<< (32 &- bits)))
    }
}

/// Applies masking keys to payloads.
package enum Masking {
    /// Copies `count` bytes from `source` to `target`, XORed with `key`. The two must not overlap.
    @inline(__always)
    package static func copy(
        from source: UnsafeRawPointer,
        to target: UnsafeMutableRawPointer,
        count: Int,
        key: MaskingKey
    ) {
        if count >= 64, count <= 128 {
            let keys = self.keys(key.littleEndian, count: count)
            self.copy(SIMD8<UInt64>.self, at: 0, from: source, to: target, key: keys.wide)
            self.copy(SIMD8<UInt64>.self, at: count &- 64, from: source, to: target, key: keys.last)
        } else if count >= 16 {
            copyVectors(from: source, to: target, count: count, key: key.littleEndian)
        } else if count >= 8 {
            copyWords(from: source, to: target, count: count, key: key.littleEndian)
        } else {
            copyNarrow(from: source, to: target, count: count, key: key.littleEndian)
        }
    }

    // The last step of those below may overlap the one before: writing the same bytes twice costs less than a loop over
    // the rest. Steps of 8 and 16 keep the key where it is, so only the bytes before the last step rotate it.

    @inline(__always)
    private static func keys(_ key: UInt32, count: Int) -> (wide: UInt64, last: UInt64) {
        let wide = UInt64(key) | UInt64(key) << 32
        let bits = UInt64(truncatingIfNeeded: count & 3) &* 8
        return (wide.littleEndian, ((wide &>> bits) | (wide &<< (64 &- bits))).littleEndian)
    }

    /// Sixteen bytes or more. Not inlined, since the registers that it needs are of more use to its callers.
    @inline(never)
    private static func copyVectors(
        from source: UnsafeRawPointer,
        to target: UnsafeMutableRawPointer,
        count: Int,
        key: UInt32
    ) {
        let keys = self.keys(key, count: count)
        if count >= 64 {
            self.copyBlocks(from: source, to: target, before: count &- 64, key: keys.wide)
            self.copy(SIMD8<UInt64>.self, at: count &- 64, from: source, to: target, key: keys.last)
        } else if count >= 32 {
            self.copy(SIMD4<UInt64>.self, at: 0, from: source, to: target, key: keys.wide)
            self.copy(SIMD4<UInt64>.self, at: count &- 32, from: source, to: target, key: keys.last)
        } else {
            self.copy(SIMD2<UInt64>.self, at: 0, from: source, to: target, key: keys.wide)
            self.copy(SIMD2<UInt64>.self, at: count &- 16, from: source, to: target, key: keys.last)
        }
    }

    /// Copies in steps of 64 bytes, until one ends at `end` or behind it, but less than 64 bytes behind.
    @inline(__always)
    private static func copyBlocks(
        from source: UnsafeRawPointer,
        to target: UnsafeMutableRawPointer,
        before end: Int,
        key: UInt64
    ) {
        var offset = 0
        // The test of a loop is a tenth of its work, unless a step is large.
        let largeEnd = end & ~255
        while offset < largeEnd {
            for block in 0..<4 {
                self.copy(SIMD8<UInt64>.self, at: offset &+ block &* 64, from: source, to: target, key: key)
            }
            offset &+= 256
        }
        while offset < end {
            self.copy(SIMD8<UInt64>.self, at: offset, from: source, to: target, key: key)
            offset &+= 64
        }
    }

    @inline(__always)
    private static func copy<Vector: SIMD>(
        _: Vector.Type,
        at offset: Int,
        from source: UnsafeRawPointer,
        to target: UnsafeMutableRawPointer,
        key: UInt64
    ) where Vector.Scalar == UInt64 {
        let words = source.loadUnaligned(fromByteOffset: offset, as: Vector.self) ^ Vector(repeating: key)
        target.storeBytes(of: words, toByteOffset: offset, as: Vector.self)
    }

    /// Eight bytes to fifteen.
    @inline(__always)
    private static func copyWords(
        from source: UnsafeRawPointer,
        to target: UnsafeMutableRawPointer,
        count: Int,
        key: UInt32
    ) {
        let keys = self.keys(key, count: count)
        let word = source.loadUnaligned(as: UInt64.self) ^ keys.wide
        let last = source.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self) ^ keys.last
        target.storeBytes(of: word, as: UInt64.self)
        target.storeBytes(of: last, toByteOffset: count &- 8, as: UInt64.self)
    }

    /// Fewer than eight bytes.
    @inline(never)
    private static func copyNarrow(
        from source: UnsafeRawPointer,
        to target: UnsafeMutableRawPointer,
        count: Int,
        key: UInt32
    ) {
        var offset = 0
        var rest = key
        if count >= 4 {
            let word = source.loadUnaligned(as: UInt32.self)
            target.storeBytes(of: word ^ key.littleEndian, as: UInt32.self)
            offset = 4
        }
        while offset < count {
            let byte = source.load(fromByteOffset: offset, as: UInt8.self)
            target.storeBytes(of: byte ^ UInt8(truncatingIfNeeded: rest), toByteOffset: offset, as: UInt8.self)
            rest >>= 8
            offset &+= 1
        }
    }
}
