// One direction of a connection, from bytes to messages. RFC 6455 sections 5 and 8.1 (R-X) with
// every rule enforced, and the hot path of everything above.
//
// States × events:
//               text or binary frame   continuation   payload                         ping, pong      close frame
//   start       payload                violation      –                               told: start     told: finished
//   fragmented  violation              payload        –                               told, as is     told: finished
//   payload     –                      –              payload; behind its last byte   –               –
//                                                     fragmented, or start: told
//   finished    all bytes are left out
//
// A violation, of a limit too, is thrown: finished. In `start` a whole message that is there at once is told: start.

package import NIOCore

/// A frame or message that a `MessageReader` found.
package enum InboundFrameEvent: Sendable, Equatable {
    /// A whole message. Text has been validated, unless `rsv` says that an extension has to transform it first.
    case message(kind: MessageKind, payload: ByteBuffer, rsv: UInt8)
    /// A part of a message, as soon as it was there (streaming only). Parts of text may be cut within a character.
    case chunk(kind: MessageKind, payload: ByteBuffer, isFirst: Bool, isLast: Bool, rsv: UInt8)
    case ping(ByteBuffer)
    case pong(ByteBuffer)
    /// The peer's close frame; without a code if it had none. The reader ignores everything after it.
    case close(code: WebSocketCloseCode?, reason: String)
    /// A frame that the dialect does not know, and that the connection survives (W10-8).
    case dropped
}

/// Reads frames, unmasks and validates them and puts messages together.
///
/// Call `next` until it returns `nil`, then append what arrives to the same buffer. Buffers in events stay valid and
/// unchanged for ever. What the reader keeps of an unfinished message is at most twice what was received of it, and
/// nothing is reserved because of a declared length.
///
/// Three kinds of invalid: what the peer does wrong is thrown, once, and the reader then ignores the rest; what
/// follows a close frame is ignored as the specification says; there is no way to misuse it that it could detect.
package struct MessageReader {
    /// How messages are delivered.
    package enum Mode: Sendable {
        /// Whole, however many frames they came in; save those with reserved bits that were not there at once: they
        /// come in parts, for the extension to transform.
        case whole
        /// In parts, as they arrive. `MessageLimits.messageBytes` still bounds the sum.
        case streaming
    }

    /// The bounds. A change applies from the next frame on.
    package var limits: MessageLimits
    /// Reserved bits of the header's first byte (0x40, 0x20, 0x10) that extensions claim on a message's first frame. A
    /// message with one of them set is delivered unvalidated: it becomes text only when it has been transformed.
    package var allowedReservedBits: UInt8 = 0
    /// `true` when a payload of 65,535 bytes may have a 64-bit length, as Kaazing's Java client writes it (D7).
    package var toleratesLongLength = false

    private let expectsMask: Bool
    let mode: Mode
    private var arena = PayloadArena()
    private var state = State.start
    /// The message that has begun: only meaningful in `fragmented` and `payload`.
    private var message = Assembly()
    /// The data frame that has begun: only meaningful in `payload`.
    private var frame = Frame()
    private var utf8 = UTF8Validator()
    /// How many messages began that were not there at once.
    private var begun: UInt64 = 0

    private enum State: UInt8 {
        /// Before a header, with no message begun.
        case start
        /// Before a header, with a fragmented message begun.
        case fragmented
        /// Within the payload of a data frame.
        case payload
        /// After a close frame or a violation.
        case finished
    }

    /// An unfinished data frame.
    private struct Frame {
        var remaining = 0
        var key = MaskingKey.none
        var isFinal = false
    }

    /// An unfinished message.
    private struct Assembly {
        var kind = MessageKind.binary
        var rsv: UInt8 = 0
        var fragments = 0
        /// Bytes declared by its frames so far.
        var length = 0
        var buffer = ByteBuffer()
        /// `true` once a chunk was delivered (streaming).
        var hasBegun = false
        var validates = false
    }

    /// A reader for one end of the connection: a server's requires masked frames, a client's refuses them.
    package init(role: Role, limits: MessageLimits = MessageLimits(), mode: Mode = .whole) {
        self.expectsMask = role == .server
        self.limits = limits
        self.mode = mode
    }

    /// Lets go of the block for small payloads; what was handed out keeps it for as long as it needs it.
    package mutating func releaseSpare() {
        self.arena = PayloadArena()
    }

    /// `true` once a close frame or a violation has ended the reading.
    package var isFinished: Bool { self.state == .finished }

    /// The number of the unfinished message, or `nil`. A number that stays the same for long means a stalling peer
    /// (threat B8).
    package var unfinishedMessage: UInt64? {
        self.state == .fragmented || self.state == .payload ? self.begun : nil
    }

    /// Bytes that the reader holds for itself: the unfinished message and the block for small payloads.
    package var retainedBytes: Int {
        self.message.buffer.storageCapacity + self.arena.retainedBytes
    }

    /// The longest message that can be delivered whole.
    var longestMessage: Int { min(self.limits.messageBytes, Self.largestBuffer) }

    /// The next event in `input`, or `nil` when it needs more bytes. Consumes the bytes it used; the header of a data
    /// frame and a whole control frame stay in `input` until they are complete (at most 131 bytes).
    /// - Parameter isPlainTaken: true where `input` does not begin with a whole message, as
    ///   ``plain(_:count:of:_:_:)`` has found.
    package mutating func next(
        _ input: inout ByteBuffer,
        isPlainTaken: Bool = false
    ) throws(FrameViolation) -> InboundFrameEvent? {
        guard input.readableBytes > 0 else { return nil }
        if !isPlainTaken, self.takesWhole, let message = self.whole(&input) { return message }
        do {
            return try self.read(&input)
        } catch {
            self.finish(&input)
            throw error
        }
    }

    /// Ends the reading: an extension could not make sense of a message.
    package mutating func stop() {
        self.state = .finished
        self.message = Assembly()
    }

    /// Whatever follows does not count.
    private mutating func finish(_ input: inout ByteBuffer) {
        self.state = .finished
        self.message = Assembly()
        input.moveReaderIndex(to: input.writerIndex)
    }

    // MARK: A message in one frame, all of it there and nothing wrong with it

    /// Takes such a message; `nil`, with nothing done, if `input` does not begin with one.
    private mutating func whole(_ input: inout ByteBuffer) -> InboundFrameEvent? {
        let start = input.withUnsafeReadableBytes { $0.baseAddress }
        guard let start,
            let message = self.whole(start, count: input.readableBytes, before: input.writerIndex, of: input)
        else { return nil }
        input.moveReaderIndex(forwardBy: message.frameBytes)
        return .message(kind: message.kind, payload: message.payload, rsv: message.rsv)
    }

    /// A message that was there at once, in one frame.
    struct WholeMessage {
        var payload: ByteBuffer
        /// The size of the frame, header and all: no more than the bytes in which it was found.
        var frameBytes: Int
        var kind: MessageKind
        var rsv: UInt8
    }

    /// Takes the payload of the message at the beginning of the `count` bytes at `start`, which are the last of `input`; `nil`,
    /// with nothing done, if none begins there. For a caller that knows their place: asking the buffer costs as much as the
    /// rest. Only to be called where ``takesWhole``, and no extension claims reserved bits.
    /// - Parameter frameBytes: is set to the size of its frame, header and all: no more than `count`.
    mutating func plain(
        _ start: UnsafeRawPointer,
        count: Int,
        of input: ByteBuffer,
        _ kind: inout MessageKind,
        _ frameBytes: inout Int
    ) -> ByteBuffer? {
        guard let message = self.whole(start, count: count, before: input.writerIndex, of: input) else { return nil }
        kind = message.kind
        frameBytes = message.frameBytes
        return message.payload
    }

    /// Fast path for a small client message that fits the arena. Otherwise returns `nil` and changes nothing; call
    /// ``plain(_:count:of:_:_:)`` then.
    @inline(__always)
    mutating func shortPlain(
        _ start: UnsafeRawPointer,
        count: Int,
        _ kind: inout MessageKind,
        _ frameBytes: inout Int
    ) -> ByteBuffer? {
        let bytes = UnsafeRawBufferPointer(start: start, count: count)
        guard self.expectsMask, let frame = WholeFrame(bytes, masked: true, reservedBits: 0),
            frame.length <= self.limits.messageBytes, let room = self.arena.roomInBlock(for: frame.length)
        else { return nil }
        // A frame is whole only where all of it lies within the bytes, and there is room for all of its payload.
        Masking.copy(from: start + frame.headerSize, to: room.target, count: frame.length, key: frame.key)
        guard self.isText(room.target, frame),
            let payload = self.arena.slice(at: room.offset, length: frame.length)
        else { return nil }
        kind = frame.kind
        frameBytes = frame.headerSize &+ frame.length
        return payload
    }

    /// Takes the message at the beginning of the `count` bytes at `start`, which lie in `input` before its index `end`; `nil`,
    /// with nothing done, if none begins there. Only to be called where ``takesWhole``.
    @inline(never)
    private mutating func whole(
        _ start: UnsafeRawPointer,
        count: Int,
        before end: Int,
        of input: ByteBuffer
    ) -> WholeMessage? {
        let bytes = UnsafeRawBufferPointer(start: start, count: count)
        guard let frame = WholeFrame(bytes, masked: self.expectsMask, reservedBits: self.allowedReservedBits),
            frame.length <= self.limits.messageBytes
        else { return nil }
        // A frame is whole only where all of it lies within the bytes.
        let source = start + frame.headerSize
        let payload: ByteBuffer
        if self.expectsMask {
            let unmasked = self.arena.unmask(source, count: frame.length, key: frame.key)
            if frame.length > 0 {
                guard let text = unmasked.start, self.isText(text, frame) else { return nil }
            }
            payload = unmasked.payload
        } else {
            guard self.isText(source, frame) else { return nil }
            payload = input.getSlice(at: end &- count &+ frame.headerSize, length: frame.length) ?? ByteBuffer()
        }
        return WholeMessage(
            payload: payload,
            frameBytes: frame.headerSize &+ frame.length,
            kind: frame.kind,
            rsv: frame.first & FrameBits.reserved
        )
    }

    /// True where the next frame may be a whole message.
    var takesWhole: Bool {
        @inline(__always) get { self.state == .start && self.mode == .whole }
    }

    /// Returns `true` when the payload is valid for its frame. Bytes that an extension has to transform may be
    /// anything.
    @inline(__always)
    private func isText(_ payload: UnsafeRawPointer, _ frame: WholeFrame) -> Bool {
        guard frame.first == FrameBits.final | Opcode.text.rawValue else { return true }
        return UTF8Validator.isValid(UnsafeRawBufferPointer(start: payload, count: frame.length))
    }

    // MARK: Everything else

    private mutating func read(_ input: inout ByteBuffer) throws(FrameViolation) -> InboundFrameEvent? {
        while true {
            switch self.state {
            case .start, .fragmented:
                let rules = FrameHeader.Rules(
                    masked: self.expectsMask,
                    reservedBits: self.allowedReservedBits,
                    continuing: self.state == .fragmented,
                    longLength: self.toleratesLongLength
                )
                let header = try input.withUnsafeReadableBytes { bytes throws(FrameViolation) in
                    try FrameHeader.read(bytes, rules)
                }
                guard let header else { return nil }
                if header.isControl { return try self.control(header, &input) }
                try self.begin(header)
                input.moveReaderIndex(forwardBy: header.size)
            case .payload:
                if let event = try self.payload(&input) { return event }
                if self.state == .payload { return nil }
            case .finished:
                input.moveReaderIndex(to: input.writerIndex)
                return nil
            }
        }
    }

    /// The next `count` bytes, unmasked, as a buffer of their own.
    private mutating func take(_ count: Int, _ key: MaskingKey, _ input: inout ByteBuffer) -> ByteBuffer {
        guard count > 0 else { return ByteBuffer() }
        guard self.expectsMask else { return input.readSlice(length: count) ?? ByteBuffer() }
        let payload = input.withUnsafeReadableBytes { bytes in
            bytes.baseAddress.map { self.arena.copy($0, count: count, key: key) } ?? ByteBuffer()
        }
        input.moveReaderIndex(forwardBy: count)
        return payload
    }

    // MARK: Fragments, and frames that arrive in pieces

    /// Takes note of a data frame whose payload is to come.
    private mutating func begin(_ header: FrameHeader) throws(FrameViolation) {
        if self.state == .start {
            self.message.kind = header.opcodeBits == Opcode.text.rawValue ? .text : .binary
            self.message.rsv = header.reserved
            self.message.validates = self.message.kind == .text && header.reserved == 0
            self.message.fragments = 0
            self.message.length = 0
            self.message.hasBegun = false
            self.begun &+= 1
            self.utf8.reset()
        }
        self.message.fragments &+= 1
        guard self.message.fragments <= self.limits.fragments else {
            throw .tooManyFragments(limit: self.limits.fragments)
        }
        // Both are not negative, so the subtraction cannot overflow where an addition could.
        let limit = self.mode == .whole ? min(self.limits.messageBytes, Self.largestBuffer) : self.limits.messageBytes
        let bound = self.message.rsv == 0 ? limit : Self.transformedLimit(limit)
        guard header.length <= bound &- self.message.length else { throw .tooBig(limit: limit) }
        self.message.length &+= header.length
        self.frame = Frame(remaining: header.length, key: header.key, isFinal: header.isFinal)
        self.state = .payload
    }

    /// The bound on a message that an extension has to transform first. Incompressible data may grow: an eighth, and
    /// the ends of fragments, are allowed on top of the limit.
    private static func transformedLimit(_ limit: Int) -> Int {
        let (sum, overflow) = limit.addingReportingOverflow(limit >> 3 &+ 8192)
        return overflow ? limit : sum
    }

    /// The most bytes that one buffer can safely hold, whatever the limits say.
    private static let largestBuffer = Int(Int32.max)

    /// Takes the part of a frame's payload that has arrived. Leaves the state `payload` until all of it has.
    private mutating func payload(_ input: inout ByteBuffer) throws(FrameViolation) -> InboundFrameEvent? {
        let count = min(self.frame.remaining, input.readableBytes)
        guard count > 0 || self.frame.remaining == 0 else { return nil }
        var chunk: ByteBuffer?
        if self.mode == .streaming || self.message.rsv != 0 {
            chunk = self.take(count, self.frame.key, &input)
        } else if count > 0 {
            self.assemble(count, self.frame.key, &input)
        }
        if self.message.validates && count > 0 {
            let isValid = (chunk ?? self.message.buffer).withUnsafeReadableBytes { bytes in
                self.utf8.validate(UnsafeRawBufferPointer(rebasing: bytes.suffix(count)))
            }
            guard isValid else { throw .invalidText() }
        }
        self.frame.remaining &-= count
        self.frame.key = self.frame.key.rotated(by: count)
        let isLast = self.frame.remaining == 0 && self.frame.isFinal
        if self.frame.remaining == 0 { self.state = self.frame.isFinal ? .start : .fragmented }
        if isLast && self.message.validates && !self.utf8.isComplete { throw .invalidText() }
        if let chunk {
            guard count > 0 || isLast else { return nil }
            let isFirst = !self.message.hasBegun
            self.message.hasBegun = true
            return .chunk(
                kind: self.message.kind,
                payload: chunk,
                isFirst: isFirst,
                isLast: isLast,
                rsv: self.message.rsv
            )
        }
        guard isLast else { return nil }
        let buffer = self.message.buffer
        self.message.buffer = ByteBuffer()
        return .message(kind: self.message.kind, payload: buffer, rsv: self.message.rsv)
    }

    /// Appends the next `count` bytes to the message. The buffer doubles as bytes arrive, never ahead of them.
    private mutating func assemble(_ count: Int, _ key: MaskingKey, _ input: inout ByteBuffer) {
        // A buffer that grows from nothing is made twice.
        if self.message.buffer.capacity == 0 {
            self.message.buffer = ByteBufferAllocator().buffer(capacity: count)
        }
        input.withUnsafeReadableBytes { bytes in
            guard let start = bytes.baseAddress else { return }
            self.message.buffer.append(start, count: count, key: key)
        }
        input.moveReaderIndex(forwardBy: count)
    }

    // MARK: Control frames

    /// A control frame, or `nil` if not all of it is there: it is then left where it is.
    @inline(never)
    private mutating func control(
        _ header: FrameHeader,
        _ input: inout ByteBuffer
    ) throws(FrameViolation) -> InboundFrameEvent? {
        guard input.readableBytes &- header.size >= header.length else { return nil }
        input.moveReaderIndex(forwardBy: header.size)
        let payload = self.take(header.length, header.key, &input)
        switch header.opcodeBits {
        case Opcode.ping.rawValue: return .ping(payload)
        case Opcode.pong.rawValue: return .pong(payload)
        default:
            let close = try ClosePayload.read(payload)
            self.finish(&input)
            return .close(code: close.code, reason: close.reason)
        }
    }
}
