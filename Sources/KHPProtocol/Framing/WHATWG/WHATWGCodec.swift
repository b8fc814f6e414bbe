// The codec of the WHATWG text of September 2010 (W10-8): frames begin with their length, so that a message is written
// whole; there are no binary ones.

package import NIOCore

final class WHATWGCodec: FormerCodec {
    private let dialect: Dialect
    private var reader: WHATWGFrameReader

    init(_ dialect: Dialect, role: Role) {
        self.dialect = dialect
        // A client mends text that is no UTF-8 and passes over frames that it does not know; a server drops the peer.
        self.reader = WHATWGFrameReader(survivesErrors: role == .client, repairsText: role == .client)
    }

    private init(copying other: WHATWGCodec) {
        self.dialect = other.dialect
        self.reader = other.reader
    }

    func copy() -> any FormerCodec { WHATWGCodec(copying: self) }

    // MARK: Reading

    var unfinishedMessage: UInt64? { self.reader.unfinishedMessage }

    var retainedBytes: Int { self.reader.retainedBytes }

    func forgetMessage() { self.reader.forgetMessage() }

    func next(_ input: inout ByteBuffer, limit: Int) throws(FrameViolation) -> InboundFrameEvent? {
        try self.reader.next(&input, limit: limit)
    }

    // MARK: Writing

    func streams(_ kind: MessageKind) -> Bool { false }

    func write(
        _ kind: MessageKind,
        _ payload: ByteBuffer,
        isFirst: Bool,
        isLast: Bool,
        into output: inout OutboundQueue
    ) throws(WebSocketError) {
        guard kind == .text else { throw .noBinary(self.dialect) }
        assert(isFirst && isLast, "a frame that begins with its length is written whole")
        self.writeHandshake(payload, into: &output)
    }

    func writeHandshake(_ payload: ByteBuffer, into output: inout OutboundQueue) {
        output.write { WHATWGFrameWriter.writeText(payload, into: &$0) }
    }

    func writeClose(into output: inout OutboundQueue) -> FrameCodec.CloseFrame {
        output.write { WHATWGFrameWriter.writeClose(into: &$0) }
        return .written
    }
}

/// Writes frames of the WHATWG text of September 2010.
package enum WHATWGFrameWriter {
    /// Appends a whole text.
    package static func writeText(_ text: ByteBuffer, into output: inout ByteBuffer) {
        output.writeInteger(0xFF as UInt8)
        output.writeInteger(UInt64(text.readableBytes))
        output.writeImmutableBuffer(text)
    }

    /// Appends the close frame.
    package static func writeClose(into output: inout ByteBuffer) {
        output.writeRepeatingByte(0x00, count: 9)
    }
}
