// permessage-deflate at work on one connection (RFC 7692 section 7.2).

import NIOCore

struct DeflateTransform: CopiedFrameTransform, SharedEncoding {
    /// The negotiated parameters as this end sees them.
    struct Settings {
        var deflater: Deflater.Settings
        /// 9 to 15: zlib's own inflates any window up to its size.
        var inflateWindowBits: Int
        /// `true` when this end keeps its context from message to message; the peer's below.
        var keepsContext: Bool
        var peerKeepsContext: Bool
        /// Whole messages of fewer bytes are sent as they are.
        var threshold: Int
    }

    /// The end of each message's data that is not sent: an empty stored block without its first three bits.
    private static let tail = ByteBuffer(bytes: [0x00, 0x00, 0xFF, 0xFF])

    private let settings: Settings
    private let pool: ZlibPool
    private var inflater: Inflater?
    private var deflater: Deflater?
    /// `true` once a part of the message has come; and the bytes of the tail behind it that were inflated.
    private var hasInput = false
    private var tailBytes = 0
    /// `true` when the last inflation has more output than there was room for.
    private var owesOutput = false
    /// `true` while a message is sent compressed.
    private var isCompressing = false

    init(_ settings: Settings, pool: ZlibPool) {
        self.settings = settings
        self.pool = pool
    }

    // MARK: Inflating

    mutating func inbound(_ piece: inout MessagePiece, into output: inout ByteBuffer, room: Int) throws -> Bool {
        do throws(InflateError) {
            return try self.inflate(&piece, into: &output, room: room)
        } catch .invalid {
            throw WebSocketError(
                .protocolViolation,
                "The peer broke the protocol or a limit: the compressed data of a message is invalid.",
                closeCode: .invalidPayload,
                phase: .open
            )
        } catch {
            throw Self.noMemory
        }
    }

    private mutating func inflate(
        _ piece: inout MessagePiece,
        into output: inout ByteBuffer,
        room: Int
    ) throws(InflateError) -> Bool {
        let inflater = try self.takeInflater()
        var room = room
        if piece.bytes.readableBytes > 0 || self.owesOutput {
            self.hasInput = true
            let before = output.readableBytes
            let result = try piece.bytes.withUnsafeReadableBytes { bytes throws(InflateError) in
                try inflater.run(bytes, into: &output, room: room)
            }
            piece.bytes.moveReaderIndex(forwardBy: result.used)
            room -= output.readableBytes - before
            self.owesOutput = !result.isDone
            guard result.isDone, piece.bytes.readableBytes == 0 else { return false }
        }
        guard piece.isLast else { return true }
        // Nothing at all stands for nothing. Behind a final block, whose sender need not leave the tail out, there may
        // be nothing either.
        if self.hasInput, self.tailBytes > 0 || !inflater.isBehindFinalBlock {
            guard try self.inflateTail(inflater, into: &output, room: room) else { return false }
            guard inflater.isBetweenBlocks else { throw .invalid }
        }
        self.hasInput = false
        self.tailBytes = 0
        if !self.settings.peerKeepsContext {
            self.inflater = nil
            self.pool.giveBack(inflater)
        }
        return true
    }

    private mutating func inflateTail(
        _ inflater: Inflater,
        into output: inout ByteBuffer,
        room: Int
    ) throws(InflateError) -> Bool {
        guard room > 0 else { return false }
        let start = self.tailBytes
        let result = try Self.tail.withUnsafeReadableBytes { bytes throws(InflateError) in
            try inflater.run(UnsafeRawBufferPointer(rebasing: bytes[start...]), into: &output, room: room)
        }
        self.tailBytes += result.used
        return result.isDone
    }

    /// The stream of the message that arrives.
    private mutating func takeInflater() throws(InflateError) -> Inflater {
        if let inflater { return inflater }
        let inflater = try self.pool.inflater(windowBits: self.settings.inflateWindowBits)
        self.inflater = inflater
        return inflater
    }

    // MARK: Deflating

    mutating func outbound(_ piece: inout MessagePiece, into output: inout ByteBuffer) throws {
        if piece.isFirst {
            let isSmall = piece.isLast && piece.bytes.readableBytes < self.settings.threshold
            self.isCompressing = !isSmall && !piece.options.contains(.uncompressed)
            if self.isCompressing { piece.reservedBits.insert(.rsv1) }
        }
        guard self.isCompressing else {
            output = piece.bytes
            return
        }
        do throws(InflateError) {
            try self.deflate(&piece, into: &output)
        } catch {
            throw Self.noMemory
        }
    }

    private mutating func deflate(_ piece: inout MessagePiece, into output: inout ByteBuffer) throws(InflateError) {
        let deflater = try self.takeDeflater()
        if piece.bytes.readableBytes > 0 {
            try piece.bytes.withUnsafeReadableBytes { bytes throws(InflateError) in
                try deflater.run(bytes, into: &output)
            }
            if piece.isLast { output.moveWriterIndex(to: output.writerIndex - Self.tail.readableBytes) }
        } else if piece.isLast {
            // An empty stored block less its tail (section 7.2.3.6).
            output.writeInteger(UInt8(0))
        }
        guard piece.isLast, !self.settings.keepsContext else { return }
        self.deflater = nil
        self.pool.giveBack(deflater)
        if piece.isFirst, output.readableBytes >= piece.bytes.readableBytes {
            // Nothing was gained. With a context it must go out compressed all the same: the peer has to know it.
            output = piece.bytes
            piece.reservedBits.remove(.rsv1)
        }
    }

    /// The stream of the message that is sent.
    private mutating func takeDeflater() throws(InflateError) -> Deflater {
        if let deflater { return deflater }
        let deflater = try self.pool.deflater(self.settings.deflater)
        self.deflater = deflater
        return deflater
    }

    /// Without a context each message is compressed for itself.
    var encoding: EncodingKey? {
        guard !self.settings.keepsContext else { return nil }
        let deflater = self.settings.deflater
        let threshold = Int32(clamping: self.settings.threshold)
        return EncodingKey(settings: [deflater.windowBits, deflater.memoryLevel, deflater.level, threshold])
    }

    func copy() -> any FrameTransform {
        var copy = self
        copy.inflater = self.inflater.flatMap { try? Inflater(copying: $0) }
        copy.deflater = self.deflater.flatMap { try? Deflater(copying: $0) }
        return copy
    }

    /// Gives back what it holds.
    mutating func closed() {
        self.inflater = nil
        self.deflater = nil
    }

    private static var noMemory: WebSocketError {
        WebSocketError(.limitExceeded, "There is no memory for compression.", closeCode: .internalError, phase: .open)
    }
}
