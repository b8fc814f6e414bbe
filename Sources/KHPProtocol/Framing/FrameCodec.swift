// One dialect's frames: read, written and closed by the codec that the opening handshake chose. Nothing above asks for
// the dialect; a decision that depends on it asks for an ability.
//
//                 rfc6455               hixie-75          hixie-76           whatwg-2010
//   text          opcode, length        0x00 … 0xFF       0x00 … 0xFF        0xFF, 8 bytes of length
//   binary        likewise              where the extended handshake agreed on it: 0x80, length
//                                                                            never
//   in pieces     fragments             text              text               never: a frame begins with its length
//   closes        code each way         by ending TCP     0xFF 0x00 each way nine zero bytes each way
//   simply ends   not clean             as good as any    no failure         not clean
//
// Three kinds of invalid: the peer's violation is thrown; a message that the dialect has no frame for is the caller's
// error; a ping in a dialect without any is our own bug, which asserts.

package import NIOCore

/// RFC 6455's reader and writer lie inline, since every message of today passes them; the codecs of the older dialects
/// are objects that a connection of today does not have. For a second codec that goes on from here take ``copy()``.
package struct FrameCodec {
    /// The abilities of a dialect's frames.
    package struct Abilities: OptionSet, Sendable {
        package let rawValue: UInt8

        package init(rawValue: UInt8) {
            self.rawValue = rawValue
        }

        /// Pings and pongs.
        package static let pings = Abilities(rawValue: 1)
        /// A message may consist of several frames.
        package static let fragments = Abilities(rawValue: 2)
        /// Bits of a header that extensions can claim.
        package static let reservedBits = Abilities(rawValue: 4)
        /// Close frames carry a code, and the server ends TCP first.
        package static let closeCodes = Abilities(rawValue: 8)
        /// The end of the stream between two messages is no failure (H69-8).
        package static let plainEnds = Abilities(rawValue: 16)
        /// No close frame is ever sent, so that the end of the stream is all there is.
        package static let nothingElseEnds = Abilities(rawValue: 32)

        package init(_ dialect: Dialect) {
            self =
                switch dialect.framing {
                case .rfc6455: [.pings, .fragments, .reservedBits, .closeCodes]
                case .hixie: dialect.closing == .none ? [.plainEnds, .nothingElseEnds] : .plainEnds
                case .whatwg2010: []
                }
        }
    }

    /// The result of a wish to close.
    package enum CloseFrame: Sendable, Equatable {
        /// The close frame is written.
        case written
        /// There is no close frame to write: the stream ends, cleanly or not.
        case none(isClean: Bool)
    }

    package let dialect: Dialect
    package let abilities: Abilities
    private let role: Role
    private var reader: MessageReader
    private let writer: FrameWriter
    private var former: (any FormerCodec)?

    private static func former(_ dialect: Dialect, role: Role, agreesOnBinary: Bool) -> (any FormerCodec)? {
        switch dialect.framing {
        case .rfc6455: nil
        case .hixie: HixieCodec(dialect, role: role, hasBinary: agreesOnBinary)
        case .whatwg2010: WHATWGCodec(dialect, role: role)
        }
    }

    /// Reads anew, in the same dialect.
    mutating func begin(limits: MessageLimits, mode: MessageReader.Mode, agreesOnBinary: Bool) {
        self.reader = MessageReader(role: self.role, limits: limits, mode: mode)
        if self.former != nil {
            self.former = Self.former(self.dialect, role: self.role, agreesOnBinary: agreesOnBinary)
        }
    }

    /// Lets go of memory for the payloads to come.
    package mutating func releaseSpare() {
        self.reader.releaseSpare()
    }

    /// A codec that goes on from here without a trace in this one.
    package func copy() -> FrameCodec {
        var copy = self
        copy.former = self.former?.copy()
        return copy
    }

    // MARK: Reading

    /// True once a close frame or a violation has ended the reading.
    package var isFinished: Bool { self.reader.isFinished }

    /// Ignores all that follows.
    package mutating func stop() { self.reader.stop() }

    /// Ignores all that follows, and lets go of an unfinished message.
    mutating func forgetMessage() {
        self.reader.stop()
        self.reader.releaseSpare()
        self.former?.forgetMessage()
    }

    /// As ``MessageReader/allowedReservedBits``.
    package var allowedReservedBits: UInt8 {
        get { self.reader.allowedReservedBits }
        set { self.reader.allowedReservedBits = newValue }
    }

    /// As ``MessageReader/toleratesLongLength``.
    package var toleratesLongLength: Bool {
        get { self.reader.toleratesLongLength }
        set { self.reader.toleratesLongLength = newValue }
    }

    /// As ``MessageReader/unfinishedMessage``.
    package var unfinishedMessage: UInt64? {
        guard let former else { return self.reader.unfinishedMessage }
        return self.isFinished ? nil : former.unfinishedMessage
    }

    /// Bytes that are held of an unfinished message.
    package var retainedBytes: Int {
        self.reader.retainedBytes + (self.isFinished ? 0 : self.former?.retainedBytes ?? 0)
    }

    /// The next event in `input`; `nil` where that needs more bytes.
    /// - Parameter isPlainTaken: as in ``MessageReader/next(_:isPlainTaken:)``.
    @inline(__always)
    package mutating func next(
        _ input: inout ByteBuffer,
        isPlainTaken: Bool = false
    ) throws(FrameViolation) -> InboundFrameEvent? {
        guard self.former != nil else { return try self.reader.next(&input, isPlainTaken: isPlainTaken) }
        return try self.nextOfFormer(&input)
    }

    /// As ``MessageReader/shortPlain(_:count:_:_:)``; only where ``mayTakeWhole``, and no extension claims reserved bits.
    @inline(__always)
    mutating func shortPlain(
        _ start: UnsafeRawPointer,
        count: Int,
        _ kind: inout MessageKind,
        _ frameBytes: inout Int
    ) -> ByteBuffer? {
        self.reader.shortPlain(start, count: count, &kind, &frameBytes)
    }

    /// As ``MessageReader/plain(_:count:of:_:_:)``, on the same conditions.
    mutating func plain(
        _ start: UnsafeRawPointer,
        count: Int,
        of input: ByteBuffer,
        _ kind: inout MessageKind,
        _ frameBytes: inout Int
    ) -> ByteBuffer? {
        self.reader.plain(start, count: count, of: input, &kind, &frameBytes)
    }

    /// True where the next frame may be a whole message.
    var mayTakeWhole: Bool {
        @inline(__always) get { self.reader.takesWhole }
    }

    /// True where messages are frames of RFC 6455 and wanted whole.
    var readsWholeMessages: Bool { self.former == nil && self.reader.mode == .whole }

    @inline(never)
    private mutating func nextOfFormer(_ input: inout ByteBuffer) throws(FrameViolation) -> InboundFrameEvent? {
        guard let former, !self.isFinished else {
            input.moveReaderIndex(to: input.writerIndex)
            return nil
        }
        let event: InboundFrameEvent?
        do throws(FrameViolation) {
            event = try former.next(&input, limit: self.reader.longestMessage)
        } catch {
            self.finish(&input)
            throw error
        }
        switch event {
        case .close:
            self.finish(&input)
        case .message(let kind, let payload, _) where self.reader.mode == .streaming:
            return .chunk(kind: kind, payload: payload, isFirst: true, isLast: true, rsv: 0)
        default:
            break
        }
        return event
    }

    private mutating func finish(_ input: inout ByteBuffer) {
        self.reader.stop()
        input.moveReaderIndex(to: input.writerIndex)
    }

    /// True where a part of a message has come: the reader has taken it, or it is a frame whose header is not complete.
    package func hasBegunMessage(_ input: ByteBuffer) -> Bool {
        if self.unfinishedMessage != nil { return true }
        guard let first: UInt8 = input.getInteger(at: input.readerIndex) else { return false }
        // The opcodes of control frames have the bit set; the older dialects have no control frames but the last.
        return self.former != nil || first & FrameBits.control == 0
    }

    // MARK: Writing

    /// Writes a whole text message.
    @inline(__always)
    package func write(_ text: String, mask: UInt32, into output: inout OutboundQueue) throws(WebSocketError) {
        if let former {
            let payload = ByteBuffer(string: text)
            return try former.write(.text, payload, isFirst: true, isLast: true, into: &output)
        }
        var text = text
        text.withUTF8 { bytes in
            self.writer.write(.text, bytes: UnsafeRawBufferPointer(bytes), mask: mask, into: &output)
        }
    }

    /// Writes a message or a piece of one as one frame.
    /// - Throws: `invalidArgument` for a message that the dialect cannot carry.
    @inline(__always)
    package func write(
        _ kind: MessageKind,
        _ payload: ByteBuffer,
        isFirst: Bool = true,
        isLast: Bool = true,
        reservedBits: UInt8 = 0,
        mask: UInt32,
        into output: inout OutboundQueue
    ) throws(WebSocketError) {
        if let former {
            return try former.write(kind, payload, isFirst: isFirst, isLast: isLast, into: &output)
        }
        let opcode: Opcode = isFirst ? (kind == .text ? .text : .binary) : .continuation
        let length = payload.readableBytes
        guard self.role == .server, length >= OutboundQueue.gatherThreshold else {
            payload.withUnsafeReadableBytes { bytes in
                self.writer.write(opcode, bytes: bytes, fin: isLast, rsv: reservedBits, mask: mask, into: &output)
            }
            return
        }
        self.writer.writeHeader(opcode, length: length, fin: isLast, rsv: reservedBits, into: &output)
        output.append(payload)
    }

    /// Writes a whole message of RFC 6455 as a server does, of fewer than ``OutboundQueue/gatherThreshold`` bytes and past all
    /// extensions.
    @inline(__always)
    func writePlain(_ kind: MessageKind, _ bytes: UnsafeRawBufferPointer, into output: inout OutboundQueue) {
        FrameWriter.writeUnmasked(kind == .text ? .text : .binary, bytes, into: &output)
    }

    /// Writes one whole message of the extended handshake: binary where the dialect has that from the start.
    package func writeHandshake(_ payload: ByteBuffer, mask: UInt32, into output: inout OutboundQueue) {
        if let former { return former.writeHandshake(payload, into: &output) }
        let writer = self.writer
        output.write { writer.write(.binary, payload: payload, mask: mask, into: &$0) }
    }

    /// The same for a message of at most `most` bytes that `body` writes where it goes.
    func writeHandshake(
        atMost most: Int,
        mask: UInt32,
        into output: inout OutboundQueue,
        _ body: (inout TextWriter) -> Void
    ) {
        guard self.former == nil, self.role == .server else {
            var payload = ByteBuffer()
            payload.writeText(capacity: most, body)
            return self.writeHandshake(payload, mask: mask, into: &output)
        }
        self.writer.writeApart(.binary, atMost: most, into: &output, body)
    }

    /// - Throws: `invalidArgument` where the dialect cannot carry such a message in pieces.
    package func checkStreaming(_ kind: MessageKind) throws(WebSocketError) {
        guard let former, !former.streams(kind) else { return }
        throw WebSocketError(
            .invalidArgument,
            "\(self.dialect) has no way to send \(kind) messages in pieces; send this one whole.",
            phase: .open
        )
    }

    /// - Throws: `invalidArgument` where the dialect has no pings.
    package func checkPing() throws(WebSocketError) {
        guard !self.abilities.contains(.pings) else { return }
        throw WebSocketError(.invalidArgument, "\(self.dialect) has no pings.", phase: .open)
    }

    package func writePing(_ payload: ByteBuffer, mask: UInt32, into output: inout OutboundQueue) {
        guard self.abilities.contains(.pings) else { return assertionFailure("\(self.dialect) has no pings") }
        let writer = self.writer
        output.write { writer.writePing(payload, mask: mask, into: &$0) }
    }

    package func writePong(_ payload: ByteBuffer, mask: UInt32, into output: inout OutboundQueue) {
        guard self.abilities.contains(.pings) else { return assertionFailure("\(self.dialect) has no pongs") }
        let writer = self.writer
        output.write { writer.writePong(payload, mask: mask, into: &$0) }
    }

    /// Writes the close frame, where there is one to write.
    ///
    /// A failed connection of the older dialects just ends: their close frame cannot say that anything is wrong.
    /// - Parameter isLast: true where TCP ends behind it: it answers the peer's, or the connection has failed.
    package func writeClose(
        _ payload: ClosePayload,
        isLast: Bool,
        mask: UInt32,
        into output: inout OutboundQueue
    ) -> CloseFrame {
        if let former {
            guard !isLast || payload.code == nil else { return .none(isClean: false) }
            return former.writeClose(into: &output)
        }
        let writer = self.writer
        output.write { writer.writeClose(code: payload.code, reason: payload.reason, mask: mask, into: &$0) }
        return .written
    }
}

extension FrameCodec {
    /// - Parameters:
    ///   - mode: messages whole or in parts; the dialects before RFC 6455 give each message as one part.
    ///   - agreesOnBinary: true where both ends send binary messages in the hixie dialects, as Kaazing's software does.
    // From its parts at once: where they are assigned one by one, the compiler makes it elsewhere and copies it, which
    // costs as much as all of a connection's other parts.
    @inline(__always)
    package init(
        _ dialect: Dialect,
        role: Role,
        limits: MessageLimits = MessageLimits(),
        mode: MessageReader.Mode = .whole,
        agreesOnBinary: Bool = false
    ) {
        self.init(
            dialect: dialect,
            abilities: Abilities(dialect),
            role: role,
            reader: MessageReader(role: role, limits: limits, mode: mode),
            writer: FrameWriter(role: role),
            former: Self.former(dialect, role: role, agreesOnBinary: agreesOnBinary)
        )
    }
}

/// The frames of a dialect before RFC 6455, which has neither opcodes nor masks, and where one message is one frame.
protocol FormerCodec: AnyObject {
    /// As ``MessageReader/unfinishedMessage``.
    var unfinishedMessage: UInt64? { get }
    /// Bytes that are held of an unfinished message.
    var retainedBytes: Int { get }

    /// Lets go of an unfinished message.
    func forgetMessage()

    /// The next event in `input`; `nil` where that needs more bytes.
    func next(_ input: inout ByteBuffer, limit: Int) throws(FrameViolation) -> InboundFrameEvent?

    /// True where messages of this kind can be written in pieces.
    func streams(_ kind: MessageKind) -> Bool

    func write(
        _ kind: MessageKind,
        _ payload: ByteBuffer,
        isFirst: Bool,
        isLast: Bool,
        into output: inout OutboundQueue
    ) throws(WebSocketError)

    func writeHandshake(_ payload: ByteBuffer, into output: inout OutboundQueue)

    func writeClose(into output: inout OutboundQueue) -> FrameCodec.CloseFrame

    func copy() -> any FormerCodec
}
