// The bytes of single frames of the dialects before RFC 6455, for tools and tests that write conversations. Connections
// write through FrameCodec.

package import NIOCore

/// Writes the frames of an old dialect into a buffer, with none of the checks of ``FrameCodec``.
package struct DialectFrameWriter: Sendable {
    private let dialect: Dialect

    package init(_ dialect: Dialect) {
        self.dialect = dialect
    }

    /// Appends a whole text frame.
    package func writeText(_ text: UnsafeRawBufferPointer, into output: inout ByteBuffer) {
        switch self.dialect.framing {
        case .hixie: HixieFrameWriter.writeText(ByteBuffer(bytes: text), into: &output)
        case .whatwg2010: WHATWGFrameWriter.writeText(ByteBuffer(bytes: text), into: &output)
        case .rfc6455: break
        }
    }

    /// Appends a whole binary frame, where the dialect has one.
    package func writeBinary(_ payload: ByteBuffer, into output: inout ByteBuffer) {
        if self.dialect.framing == .hixie { HixieFrameWriter.writeBinary(payload, into: &output) }
    }

    /// Appends the close frame, where the dialect has one.
    package func writeClose(into output: inout ByteBuffer) {
        switch (self.dialect.closing, self.dialect.framing) {
        case (.frames, .hixie): HixieFrameWriter.writeClose(into: &output)
        case (.frames, .whatwg2010): WHATWGFrameWriter.writeClose(into: &output)
        default: break
        }
    }
}
