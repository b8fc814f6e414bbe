// The other direction of `MessageReader`, from payloads to frames (RFC 6455 section 5).

package import NIOCore

/// Writes frames for one end of the connection. Stateless: what may be sent when is not decided here.
///
/// A client's frames are masked with the `mask` of each call: 32 fresh random bits from the system's generator
/// (section 10.3). A server's frames are not, and `mask` is ignored.
package struct FrameWriter: Sendable {
    private let masks: Bool

    package init(role: Role) {
        self.masks = role == .client
    }

    /// Appends a whole frame. `mask` is the masking key as a number in network order.
    @inline(__always)
    package func write(
        _ opcode: Opcode,
        payload: ByteBuffer,
        fin: Bool = true,
        rsv: UInt8 = 0,
        mask: UInt32 = 0,
        into output: inout ByteBuffer
    ) {
        payload.withUnsafeReadableBytes { bytes in
            self.write(opcode, bytes: bytes, fin: fin, rsv: rsv, mask: mask, into: &output)
        }
    }

    /// Appends a whole text frame.
    package func write(_ text: String, fin: Bool = true, mask: UInt32 = 0, into output: inout ByteBuffer) {
        var text = text
        text.withUTF8 { bytes in
            self.write(.text, bytes: UnsafeRawBufferPointer(bytes), fin: fin, mask: mask, into: &output)
        }
    }

    /// Appends a whole frame with the payload at `bytes`.
    package func write(
        _ opcode: Opcode,
        bytes: UnsafeRawBufferPointer,
        fin: Bool = true,
        rsv: UInt8 = 0,
        mask: UInt32 = 0,
        into output: inout ByteBuffer
    ) {
        output.writeWithUnsafeMutableBytes(minimumWritableBytes: FrameBits.largestHeader &+ bytes.count) { target in
            guard let start = target.baseAddress else { return 0 }
            return self.frame(Self.firstByte(opcode, fin: fin, rsv: rsv), bytes, mask: mask, at: start)
        }
    }

    /// Appends a whole frame with the payload at `bytes` to the bytes that wait to be written.
    @inline(__always)
    func write(
        _ opcode: Opcode,
        bytes: UnsafeRawBufferPointer,
        fin: Bool = true,
        rsv: UInt8 = 0,
        mask: UInt32,
        into output: inout OutboundQueue
    ) {
        output.write(atMost: FrameBits.largestHeader &+ bytes.count) { target in
            self.frame(Self.firstByte(opcode, fin: fin, rsv: rsv), bytes, mask: mask, at: target)
        }
    }

    /// Appends a whole frame without a mask, whose payload of at most `most` bytes `body` writes where it goes. In a buffer of
    /// its own, as the 101 is.
    func writeApart(
        _ opcode: Opcode,
        atMost most: Int,
        into output: inout OutboundQueue,
        _ body: (inout TextWriter) -> Void
    ) {
        let first = Self.firstByte(opcode, fin: true, rsv: 0)
        output.writeApart(atMost: FrameBits.largestHeader &+ most) { target in
            // Written behind a header for so many bytes as there may be. One for fewer may be shorter.
            let room = self.header(first, length: most, mask: 0, at: target)
            let count = TextWriter.write(at: UnsafeMutableRawBufferPointer(start: target + room, count: most), body)
            let size = self.header(first, length: count, mask: 0, at: target)
            if size != room { (target + size).copyMemory(from: target + room, byteCount: count) }
            return size &+ count
        }
    }

    /// Appends a whole frame of a server's, with a payload of at most 65,535 bytes.
    @inline(__always)
    static func writeUnmasked(_ opcode: Opcode, _ bytes: UnsafeRawBufferPointer, into output: inout OutboundQueue) {
        let count = bytes.count
        let first = FrameBits.final | opcode.rawValue
        output.write(atMost: FrameBits.largestHeader &+ count) { target in
            guard let source = bytes.baseAddress else {
                target.storeBytes(of: UInt16(first).littleEndian, as: UInt16.self)
                return 2
            }
            var size = 2
            if count <= Limits.Fixed.controlPayloadBytes {
                let header = UInt16(first) | UInt16(truncatingIfNeeded: count) << 8
                target.storeBytes(of: header.littleEndian, as: UInt16.self)
            } else {
                let length = UInt32(UInt16(truncatingIfNeeded: count).byteSwapped) << 16
                let header = UInt32(first) | UInt32(FrameBits.length16) << 8 | length
                target.storeBytes(of: header.littleEndian, as: UInt32.self)
                size = 4
            }
            (target + size).copyMemory(from: source, byteCount: count)
            return size &+ count
        }
    }

    /// The same with only the header of a frame whose payload of `length` bytes follows as it is.
    func writeHeader(_ opcode: Opcode, length: Int, fin: Bool, rsv: UInt8, into output: inout OutboundQueue) {
        output.write(atMost: FrameBits.largestHeader) { target in
            self.header(Self.firstByte(opcode, fin: fin, rsv: rsv), length: length, mask: 0, at: target)
        }
    }

    /// Appends a close frame. A code that must not be sent makes it an empty one; a long reason is cut.
    package func writeClose(
        code: WebSocketCloseCode?,
        reason: String = "",
        mask: UInt32 = 0,
        into output: inout ByteBuffer
    ) {
        var payload = ByteBuffer()
        ClosePayload(code: code, reason: reason).write(into: &payload)
        self.write(.close, payload: payload, mask: mask, into: &output)
    }

    /// Appends a ping; more than 125 bytes of payload are cut off (callers of the API were refused them already).
    package func writePing(_ payload: ByteBuffer, mask: UInt32 = 0, into output: inout ByteBuffer) {
        self.write(.ping, payload: Self.fitting(payload), mask: mask, into: &output)
    }

    /// Appends a pong; more than 125 bytes of payload are cut off.
    package func writePong(_ payload: ByteBuffer, mask: UInt32 = 0, into output: inout ByteBuffer) {
        self.write(.pong, payload: Self.fitting(payload), mask: mask, into: &output)
    }

    private static func fitting(_ payload: ByteBuffer) -> ByteBuffer {
        guard payload.readableBytes > Limits.Fixed.controlPayloadBytes else { return payload }
        return payload.getSlice(at: payload.readerIndex, length: Limits.Fixed.controlPayloadBytes) ?? payload
    }

    @inline(__always)
    private static func firstByte(_ opcode: Opcode, fin: Bool, rsv: UInt8) -> UInt8 {
        (fin ? FrameBits.final : 0) | (rsv & FrameBits.reserved) | opcode.rawValue
    }

    /// Writes a frame and returns its size. `target` has room for the largest header and the payload.
    @inline(__always)
    private func frame(
        _ first: UInt8,
        _ bytes: UnsafeRawBufferPointer,
        mask: UInt32,
        at target: UnsafeMutableRawPointer
    ) -> Int {
        let size = self.header(first, length: bytes.count, mask: mask, at: target)
        guard let source = bytes.baseAddress else { return size }
        if self.masks {
            let key = MaskingKey(networkOrder: mask)
            Masking.copy(from: source, to: target + size, count: bytes.count, key: key)
        } else {
            (target + size).copyMemory(from: source, byteCount: bytes.count)
        }
        return size &+ bytes.count
    }

    /// Writes a header and returns its size. `target` has room for the largest.
    @inline(__always)
    private func header(_ first: UInt8, length: Int, mask: UInt32, at target: UnsafeMutableRawPointer) -> Int {
        let masked = self.masks ? FrameBits.masked : 0
        target.storeBytes(of: first, as: UInt8.self)
        var size = 2
        if length <= Limits.Fixed.controlPayloadBytes {
            target.storeBytes(of: masked | UInt8(truncatingIfNeeded: length), toByteOffset: 1, as: UInt8.self)
        } else if length <= 0xFFFF {
            target.storeBytes(of: masked | FrameBits.length16, toByteOffset: 1, as: UInt8.self)
            target.storeBytes(of: UInt16(truncatingIfNeeded: length).bigEndian, toByteOffset: 2, as: UInt16.self)
            size = 4
        } else {
            target.storeBytes(of: masked | FrameBits.length64, toByteOffset: 1, as: UInt8.self)
            target.storeBytes(of: UInt64(truncatingIfNeeded: length).bigEndian, toByteOffset: 2, as: UInt64.self)
            size = 10
        }
        guard self.masks else { return size }
        target.storeBytes(of: mask.bigEndian, toByteOffset: size, as: UInt32.self)
        return size &+ 4
    }
}
