/// Why this file exists: one direction of a connection, from bytes to messages. RFC 6455 sections 5 and 8.1 with
/// every rule enforced, and the hot path of everything above.

package import NIOCore

/// What a `MessageReader` found.
package enum InboundFrameEvent: Sendable, Equatable {
    /// A whole message. Text has been validated, unless `rsv` says that an extension has to transform it first.
    case message(kind: MessageKind, payload: ByteBuffer, rsv: UInt8)
    /// A part of a message, as soon as it was there (streaming only). Parts of text may be cut within a character.
    case chunk(kind: MessageKind, payload: ByteBuffer, isFirst: Bool, isLast: Bool, rsv: UInt8)
    case ping(ByteBuffer)
    case pong(ByteBuffer)
    /// The peer's close frame; without a code if it had none. The reader ignores everything after it.
    case close(code: WebSocketCloseCode?, reason: String)
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
        /// Whole, however many frames they came in.
        case whole
        /// In parts, as they arrive. `MessageLimits.messageBytes` still bounds the sum.
        case streaming
    }

    /// The bounds. A change applies from the next frame on.
    package var limits: MessageLimits
    /// Reserved bits of the header's first byte (0x40, 0x20, 0x10) that extensions claim on a message's first frame.
    /// A message with one of them set is delivered unvalidated: it is no text before it has been transformed.
    package var allowedReservedBits: UInt8 = 0

    private let expectsMask: Bool
    private let mode: Mode
    private var arena = PayloadArena()
    private var state = State.frame
    /// The message that has begun: only meaningful while `continuing` or within `payload`.
    private var message = Assembly()
    /// Whether the next data frame has to be a continuation.
    private var continuing = false
    private var utf8 = UTF8Validator()

    private enum State {
        /// Before a header.
        case frame
        /// Within the payload of a data frame.
        case payload(remaining: Int, key: MaskingKey, isFinal: Bool)
        /// After a close frame or a violation.
        case finished
    }

    /// What is known of an unfinished message.
    private struct Assembly {
        var kind = MessageKind.binary
        var rsv: UInt8 = 0
        var fragments = 0
        /// Bytes declared by its frames so far.
        var length = 0
        var buffer = ByteBuffer()
        /// Whether a chunk was delivered (streaming).
        var hasBegun = false
        var validates = false
    }

    /// A reader for one end of the connection: a server's requires masked frames, a client's refuses them.
    package init(role: Role, limits: MessageLimits = MessageLimits(), mode: Mode = .whole) {
        expectsMask = role == .server
        self.limits = limits
        self.mode = mode
    }

    /// Whether a close frame or a violation ended the reading.
    package var isFinished: Bool {
        if case .finished = state { true } else { false }
    }

    /// The next event in `input`, or `nil` if that needs more bytes. Consumes what it used; the header of a data frame
    /// and a whole control frame stay in `input` until they are complete (at most 131 bytes).
    package mutating func next(_ input: inout ByteBuffer) throws(FrameViolation) -> InboundFrameEvent? {
        do {
            return try read(&input)
        } catch {
            state = .finished
            message = Assembly()
            input.moveReaderIndex(to: input.writerIndex)
            throw error
        }
    }

    @inline(__always)
    private mutating func read(_ input: inout ByteBuffer) throws(FrameViolation) -> InboundFrameEvent? {
        while true {
            switch state {
            case .frame:
                let rules = FrameHeader.Rules(
                    masked: expectsMask,
                    reservedBits: allowedReservedBits,
                    continuing: continuing
                )
                let header = try input.withUnsafeReadableBytes { bytes throws(FrameViolation) in
                    try FrameHeader.read(bytes, rules)
                }
                guard let header else { return nil }
                if header.isControl { return try control(header, &input) }
                if header.isFinal && !continuing && mode == .whole
                    && input.readableBytes &- header.size >= header.length
                {
                    return try whole(header, &input)
                }
                try begin(header)
                input.moveReaderIndex(forwardBy: header.size)
            case .payload(let remaining, let key, let isFinal):
                if let event = try payload(remaining, key, isFinal, &input) { return event }
                if case .payload = state { return nil }
            case .finished:
                input.moveReaderIndex(to: input.writerIndex)
                return nil
            }
        }
    }

    // MARK: A message in one frame, all of it there

    @inline(__always)
    private mutating func whole(
        _ header: FrameHeader,
        _ input: inout ByteBuffer
    ) throws(FrameViolation) -> InboundFrameEvent {
        guard header.length <= limits.messageBytes else { throw .tooBig(limit: limits.messageBytes) }
        let kind: MessageKind = header.opcodeBits == Opcode.text.rawValue ? .text : .binary
        let payload = take(header, &input)
        if kind == .text && header.reserved == 0 {
            var utf8 = UTF8Validator()
            let isValid = payload.withUnsafeReadableBytes { utf8.validate($0) }
            guard isValid && utf8.isComplete else { throw .invalidText() }
        }
        return .message(kind: kind, payload: payload, rsv: header.reserved)
    }

    /// The payload of a frame that is all there, unmasked; the frame is consumed.
    @inline(__always)
    private mutating func take(_ header: FrameHeader, _ input: inout ByteBuffer) -> ByteBuffer {
        guard header.length > 0 else {
            input.moveReaderIndex(forwardBy: header.size)
            return ByteBuffer()
        }
        guard expectsMask else {
            input.moveReaderIndex(forwardBy: header.size)
            return input.readSlice(length: header.length) ?? ByteBuffer()
        }
        let payload = input.withUnsafeReadableBytes { bytes in
            guard let start = bytes.baseAddress else { return ByteBuffer() }
            return arena.copy(start + header.size, count: header.length, key: header.key)
        }
        input.moveReaderIndex(forwardBy: header.size &+ header.length)
        return payload
    }

    // MARK: Everything else a message can be: fragments, or frames that arrive in pieces

    /// Takes note of a data frame whose payload is to come.
    private mutating func begin(_ header: FrameHeader) throws(FrameViolation) {
        if !continuing {
            message.kind = header.opcodeBits == Opcode.text.rawValue ? .text : .binary
            message.rsv = header.reserved
            message.validates = message.kind == .text && header.reserved == 0
            message.fragments = 0
            message.length = 0
            message.hasBegun = false
            utf8.reset()
        }
        message.fragments &+= 1
        guard message.fragments <= limits.fragments else { throw .tooManyFragments(limit: limits.fragments) }
        // Both are not negative, so the subtraction cannot overflow where an addition could.
        let limit = mode == .whole ? min(limits.messageBytes, Self.largestBuffer) : limits.messageBytes
        guard header.length <= limit &- message.length else { throw .tooBig(limit: limit) }
        message.length &+= header.length
        continuing = !header.isFinal
        state = .payload(remaining: header.length, key: header.key, isFinal: header.isFinal)
    }

    /// What one buffer can safely hold, whatever the limits say.
    private static let largestBuffer = Int(Int32.max)

    /// Takes what is there of a frame's payload. Afterwards `state` is `.frame` if that was all of it.
    private mutating func payload(
        _ remaining: Int,
        _ key: MaskingKey,
        _ isFinal: Bool,
        _ input: inout ByteBuffer
    ) throws(FrameViolation) -> InboundFrameEvent? {
        let count = min(remaining, input.readableBytes)
        guard count > 0 || remaining == 0 else { return nil }
        let chunk = mode == .streaming ? piece(count, key, &input) : nil
        if chunk == nil && count > 0 { assemble(count, key, &input) }
        if message.validates && count > 0 {
            let isValid = (chunk ?? message.buffer).withUnsafeReadableBytes { bytes in
                utf8.validate(UnsafeRawBufferPointer(rebasing: bytes.suffix(count)))
            }
            guard isValid else { throw .invalidText() }
        }
        let isFrameComplete = count == remaining
        if isFrameComplete {
            state = .frame
        } else {
            state = .payload(remaining: remaining &- count, key: key.rotated(by: count), isFinal: isFinal)
        }
        let isLast = isFrameComplete && isFinal
        if isLast && message.validates && !utf8.isComplete { throw .invalidText() }
        if let chunk {
            guard count > 0 || isLast else { return nil }
            let isFirst = !message.hasBegun
            message.hasBegun = true
            return .chunk(kind: message.kind, payload: chunk, isFirst: isFirst, isLast: isLast, rsv: message.rsv)
        }
        guard isLast else { return nil }
        let buffer = message.buffer
        message.buffer = ByteBuffer()
        return .message(kind: message.kind, payload: buffer, rsv: message.rsv)
    }

    /// The next `count` bytes as a buffer of their own (streaming).
    private mutating func piece(_ count: Int, _ key: MaskingKey, _ input: inout ByteBuffer) -> ByteBuffer {
        let part = FrameHeader(first: 0, size: 0, length: count, key: key)
        return take(part, &input)
    }

    /// Appends the next `count` bytes to the message. The buffer doubles as bytes arrive, never ahead of them.
    private mutating func assemble(_ count: Int, _ key: MaskingKey, _ input: inout ByteBuffer) {
        input.withUnsafeReadableBytes { bytes in
            guard let start = bytes.baseAddress else { return }
            message.buffer.append(start, count: count, key: key)
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
        let payload = take(header, &input)
        switch header.opcodeBits {
        case Opcode.ping.rawValue: return .ping(payload)
        case Opcode.pong.rawValue: return .pong(payload)
        default:
            let close = try ClosePayload.read(payload)
            state = .finished
            message = Assembly()
            input.moveReaderIndex(to: input.writerIndex)
            return .close(code: close.code, reason: close.reason)
        }
    }
}
