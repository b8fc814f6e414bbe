// The codec of hixie-75 and hixie-76, which differ in how they close (H69-6, H69-8, X76-1).

package import NIOCore

final class HixieCodec: FormerCodec {
    private let dialect: Dialect
    private let hasBinary: Bool
    private var reader: HixieFrameReader
    /// True while a text that is sent in pieces has begun and not ended.
    private var isInText = false

    /// - Parameter hasBinary: true where both ends send 0x80 frames as binary messages.
    init(_ dialect: Dialect, role: Role, hasBinary: Bool) {
        self.dialect = dialect
        self.hasBinary = hasBinary
        // A client mends text that is no UTF-8; a server need not, and drops the peer.
        self.reader = HixieFrameReader(
            closes: dialect.closing == .frames,
            acceptsBinary: hasBinary,
            repairsText: role == .client
        )
    }

    private init(copying other: HixieCodec) {
        self.dialect = other.dialect
        self.hasBinary = other.hasBinary
        self.reader = other.reader
        self.isInText = other.isInText
    }

    func copy() -> any FormerCodec { HixieCodec(copying: self) }

    // MARK: Reading

    var unfinishedMessage: UInt64? { self.reader.unfinishedMessage }

    var retainedBytes: Int { self.reader.retainedBytes }

    func forgetMessage() { self.reader.forgetMessage() }

    func next(_ input: inout ByteBuffer, limit: Int) throws(FrameViolation) -> InboundFrameEvent? {
        try self.reader.next(&input, limit: limit)
    }

    // MARK: Writing

    func streams(_ kind: MessageKind) -> Bool { kind == .text }

    func write(
        _ kind: MessageKind,
        _ payload: ByteBuffer,
        isFirst: Bool,
        isLast: Bool,
        into output: inout OutboundQueue
    ) throws(WebSocketError) {
        guard kind == .text else { return try self.writeBinary(payload, into: &output) }
        // 0xFF is no part of UTF-8, and would end the frame: the bytes behind it would be frames that nobody sent.
        guard !payload.readableBytesView.contains(HixieFrameWriter.textEnd) else {
            throw WebSocketError(.invalidArgument, "The text holds 0xFF, which is no UTF-8.", phase: .open)
        }
        self.isInText = !isLast
        output.write { HixieFrameWriter.writeText(payload, isFirst: isFirst, isLast: isLast, into: &$0) }
    }

    private func writeBinary(_ payload: ByteBuffer, into output: inout OutboundQueue) throws(WebSocketError) {
        guard self.hasBinary else { throw .noBinary(self.dialect) }
        output.write { HixieFrameWriter.writeBinary(payload, into: &$0) }
    }

    func writeHandshake(_ payload: ByteBuffer, into output: inout OutboundQueue) {
        // Content may be any bytes: 0xFF would end a text, and what is no UTF-8 would be mended. Until the socket opens
        // both ends read frames of either kind.
        let isText = payload.withUnsafeReadableBytes { UTF8Validator.isValid($0) }
        output.write {
            if isText {
                HixieFrameWriter.writeText(payload, into: &$0)
            } else {
                HixieFrameWriter.writeBinary(payload, into: &$0)
            }
        }
    }

    func writeClose(into output: inout OutboundQueue) -> FrameCodec.CloseFrame {
        guard self.dialect.closing == .frames else { return .none(isClean: !self.isInText) }
        // The close frame begins with the end of a text: one that is still being sent would look whole.
        guard !self.isInText else { return .none(isClean: false) }
        output.write { HixieFrameWriter.writeClose(into: &$0) }
        return .written
    }
}

/// Writes frames of hixie-75 and hixie-76.
package enum HixieFrameWriter {
    static let textEnd: UInt8 = 0xFF

    /// Appends a text, or a piece of one. It must be UTF-8: 0xFF in it would end the frame.
    package static func writeText(
        _ text: ByteBuffer,
        isFirst: Bool = true,
        isLast: Bool = true,
        into output: inout ByteBuffer
    ) {
        if isFirst { output.writeInteger(0x00 as UInt8) }
        output.writeImmutableBuffer(text)
        if isLast { output.writeInteger(Self.textEnd) }
    }

    /// Appends a whole binary frame as Kaazing's software reads it: 0x80, the length in base 128.
    package static func writeBinary(_ payload: ByteBuffer, into output: inout ByteBuffer) {
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

    /// Appends hixie-76's close frame.
    package static func writeClose(into output: inout ByteBuffer) {
        output.writeBytes([0xFF, 0x00] as [UInt8])
    }
}

extension WebSocketError {
    /// The error for a binary message in a dialect that has none.
    static func noBinary(_ dialect: Dialect) -> WebSocketError {
        WebSocketError(
            .invalidArgument,
            "\(dialect) has no binary messages; send text, or encode the bytes as text.",
            phase: .open
        )
    }
}
