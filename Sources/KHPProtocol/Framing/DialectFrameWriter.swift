// The frames of the dialects before RFC 6455, which have neither opcodes nor masks.

package import NIOCore

/// Writes the frames of an old dialect.
package struct DialectFrameWriter: Sendable {
    private let dialect: Dialect

    package init(_ dialect: Dialect) {
        self.dialect = dialect
    }

    /// Appends a whole text frame. `text` must be UTF-8: 0xFF in it would end a frame of hixie.
    package func writeText(_ text: UnsafeRawBufferPointer, into output: inout ByteBuffer) {
        switch self.dialect.framing {
        case .hixie:
            output.writeInteger(0x00 as UInt8)
            output.writeBytes(text)
            output.writeInteger(0xFF as UInt8)
        case .whatwg2010:
            output.writeInteger(0xFF as UInt8)
            output.writeInteger(UInt64(text.count))
            output.writeBytes(text)
        case .rfc6455:
            break
        }
    }

    /// Appends a whole binary frame as Kaazing's software reads it in the hixie dialects: 0x80, the length in base 128.
    package func writeBinary(_ payload: ByteBuffer, into output: inout ByteBuffer) {
        guard self.dialect.framing == .hixie else { return }
        output.writeInteger(0x80 as UInt8)
        let length = UInt64(payload.readableBytes)
        var shift = 56
        while shift > 0, length >> UInt64(shift) == 0 { shift -= 7 }
        while shift >= 0 {
            let digit = UInt8(truncatingIfNeeded: length >> UInt64(shift)) & 0x7F
            output.writeInteger(shift > 0 ? digit | 0x80 : digit)
            shift -= 7
        }
        output.writeImmutableBuffer(payload)
    }

    /// Appends the closing frame, where the dialect has one.
    package func writeClose(into output: inout ByteBuffer) {
        switch (self.dialect.closing, self.dialect.framing) {
        case (.frames, .hixie): output.writeBytes([0xFF, 0x00] as [UInt8])
        case (.frames, .whatwg2010): output.writeRepeatingByte(0x00, count: 9)
        default: break
        }
    }
}
