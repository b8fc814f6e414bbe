// Bytes of a backend come in pieces that know nothing of characters; a text message holds whole ones (RFC 6455
// section 5.6). They are looked at where they lie: a backend's text is much, and none of it is copied for this.

import NIOCore

/// Cuts a stream of UTF-8 where characters end: a torn one waits for its other bytes, three at most.
struct CharacterCut {
    /// The bytes are no UTF-8.
    struct NoText: Error {}

    private var torn: [UInt8] = []

    /// The bytes up to the last whole character; empty where there is none yet.
    mutating func whole(_ bytes: ByteBuffer) throws(NoText) -> ByteBuffer {
        var bytes = bytes
        if !self.torn.isEmpty {
            var joined = ByteBuffer(bytes: self.torn)
            joined.writeBuffer(&bytes)
            bytes = joined
            self.torn = []
        }
        let end = bytes.withUnsafeReadableBytes { Self.end(of: $0) }
        guard let end else { throw NoText() }
        let whole = bytes.readSlice(length: end) ?? ByteBuffer()
        self.torn = Array(bytes.readableBytesView)
        return whole
    }

    /// `false` while the bytes of a torn character wait.
    var isWhole: Bool { self.torn.isEmpty }

    /// The end of the last whole character; `nil` where the bytes can be no UTF-8, whatever follows (RFC 3629 section 4).
    private static func end(of bytes: UnsafeRawBufferPointer) -> Int? {
        var index = 0
        while index < bytes.count {
            // Most text is ASCII.
            if index + 8 <= bytes.count,
                bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
            {
                index += 8
                continue
            }
            let lead = bytes[index]
            if lead < 0x80 {
                index += 1
                continue
            }
            guard let length = Self.length(after: lead) else { return nil }
            for place in 1..<length {
                guard index + place < bytes.count else { return index }
                let byte = bytes[index + place]
                let allowed = place == 1 ? Self.second(after: lead) : 0x80...0xBF
                if !allowed.contains(byte) { return nil }
            }
            index += length
        }
        return index
    }

    /// How many bytes are to follow, where a character has begun in these last bytes of a stream; 0 where none has.
    static func missing(behind bytes: [UInt8]) -> Int {
        for (count, byte) in zip(1..., bytes.reversed()) where !(0x80...0xBF).contains(byte) {
            return max((Self.length(after: byte) ?? 1) - count, 0)
        }
        return 0
    }

    private static func length(after lead: UInt8) -> Int? {
        switch lead {
        case 0xC2...0xDF: 2
        case 0xE0...0xEF: 3
        case 0xF0...0xF4: 4
        default: nil
        }
    }

    /// The second bytes that make a character: no surrogates, no longer forms, none above U+10FFFF.
    private static func second(after lead: UInt8) -> ClosedRange<UInt8> {
        switch lead {
        case 0xE0: 0xA0...0xBF
        case 0xED: 0x80...0x9F
        case 0xF0: 0x90...0xBF
        case 0xF4: 0x80...0x8F
        default: 0x80...0xBF
        }
    }
}
