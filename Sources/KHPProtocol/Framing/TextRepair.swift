// Mends text that is no UTF-8, as the older dialects ask for (H69-7, W10-12). A peer chooses how much of it there is, and the
// standard library takes some 600 instructions for each byte.

import NIOCore

enum TextRepair {
    /// The text with U+FFFD in place of each part that begins no character: the longest part that could still have become
    /// one, otherwise a single byte (Unicode 3.9, "U+FFFD Substitution of Maximal Subparts"; the standard library does so
    /// too).
    static func repaired(_ text: ByteBuffer) -> ByteBuffer {
        var output = ByteBuffer()
        output.reserveCapacity(text.readableBytes)
        text.withUnsafeReadableBytes { bytes in
            var position = 0
            while position < bytes.count {
                output.writeWithUnsafeMutableBytes(minimumWritableBytes: Self.block) { target in
                    Self.repair(bytes, from: &position, into: target)
                }
            }
        }
        return output
    }

    /// Bytes that are written at once, at least.
    private static let block = 4096
    /// The longest that a character or its substitute becomes.
    private static let longest = 4

    /// Repairs until the text ends or the target has no room for another character.
    /// - Returns: the number of bytes written.
    private static func repair(
        _ bytes: UnsafeRawBufferPointer,
        from position: inout Int,
        into target: UnsafeMutableRawBufferPointer
    ) -> Int {
        var written = 0
        while position < bytes.count, target.count - written >= Self.longest {
            let (end, isWhole) = Self.character(in: bytes, at: position)
            if isWhole {
                while position < end {
                    target[written] = bytes[position]
                    written += 1
                    position += 1
                }
            } else {
                target[written] = 0xEF
                target[written + 1] = 0xBF
                target[written + 2] = 0xBD
                written += 3
                position = end
            }
        }
        return written
    }

    /// The end of the character at a place, or of the part that is none (Unicode table 3-7).
    private static func character(in bytes: UnsafeRawBufferPointer, at position: Int) -> (end: Int, isWhole: Bool) {
        var continuation: ClosedRange<UInt8> = 0x80...0xBF
        let length: Int
        switch bytes[position] {
        case ..<0x80: return (position + 1, true)
        case 0xC2...0xDF: length = 2
        case 0xE0: (length, continuation) = (3, 0xA0...0xBF)
        case 0xED: (length, continuation) = (3, 0x80...0x9F)
        case 0xE1...0xEF: length = 3
        case 0xF0: (length, continuation) = (4, 0x90...0xBF)
        case 0xF1...0xF3: length = 4
        case 0xF4: (length, continuation) = (4, 0x80...0x8F)
        default: return (position + 1, false)
        }
        var end = position + 1
        while end < position + length {
            guard end < bytes.count, continuation.contains(bytes[end]) else { return (end, false) }
            continuation = 0x80...0xBF
            end += 1
        }
        return (end, true)
    }
}
