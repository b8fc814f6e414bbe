// A message that has begun to arrive, as the readers of the dialects before RFC 6455 keep it. A message is one frame
// there.

import NIOCore

struct PartialMessage: Sendable {
    /// `true` when invalid UTF-8 in text is mended with U+FFFD, `false` when it is a violation (H69-7, W10-12).
    let repairsText: Bool
    /// `true` when the frame is read and dropped.
    var isDropped = false
    /// How many frames have begun.
    private(set) var begun: UInt64 = 0
    private var bytes = ByteBuffer()

    init(repairsText: Bool) {
        self.repairsText = repairsText
    }

    /// Bytes held.
    var retainedBytes: Int { self.bytes.storageCapacity }

    /// Lets go of what there is of a message.
    mutating func forget() { self.bytes = ByteBuffer() }

    mutating func begin(isDropped: Bool = false) {
        self.isDropped = isDropped
        self.begun &+= 1
        self.bytes = ByteBuffer()
    }

    /// A piece that is not the last.
    mutating func append(_ piece: ByteBuffer) {
        if !self.isDropped { self.bytes.writeImmutableBuffer(piece) }
    }

    /// The last piece.
    /// - Returns: the payload; `nil` of a frame that is dropped.
    mutating func finish(_ piece: ByteBuffer) -> ByteBuffer? {
        guard !self.isDropped else { return nil }
        guard self.bytes.readableBytes > 0 else { return piece }
        self.bytes.writeImmutableBuffer(piece)
        defer { self.bytes = ByteBuffer() }
        return self.bytes
    }

    /// Takes the part that has arrived of a frame which begins with its length.
    /// - Returns: the number of missing bytes; when there are none, the result of ``finish(_:)``.
    mutating func take(_ remaining: Int, from input: inout ByteBuffer) -> (rest: Int, payload: ByteBuffer?) {
        let taken = min(remaining, input.readableBytes)
        let piece = input.readSlice(length: taken) ?? ByteBuffer()
        guard taken < remaining else { return (0, self.finish(piece)) }
        self.append(piece)
        return (remaining - taken, nil)
    }

    /// Text as it is delivered: always UTF-8, and no longer than the limit, which mending may pass (threat D4).
    func text(_ payload: ByteBuffer, limit: Int) throws(FrameViolation) -> InboundFrameEvent {
        var payload = payload
        if !payload.withUnsafeReadableBytes({ UTF8Validator.isValid($0) }) {
            guard self.repairsText else { throw .invalidText() }
            payload = TextRepair.repaired(payload)
            guard payload.readableBytes <= limit else { throw .tooBig(limit: limit) }
        }
        return .message(kind: .text, payload: payload, rsv: 0)
    }
}
