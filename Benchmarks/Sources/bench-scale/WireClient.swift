// One WebSocket connection of a load, as little as can be: no stack under test measures itself.

import NIOCore

/// How a connection of a load has ended.
enum WireEnd: Equatable {
    /// Another status than 101.
    case refused(Int)
    /// Close frames both ways; the server's code.
    case closed(Int)
    /// Anything else.
    case lost
}

/// Receives what happens on connections; called on their event loop.
protocol WireLoad: AnyObject {
    func opened(_ client: WireClient)
    /// The echo of the oldest message has come, all bytes as they were.
    func echoed(_ client: WireClient, due: NIODeadline)
    func ended(_ client: WireClient, _ end: WireEnd)
}

/// Unchecked: touched on its event loop only.
final class WireClient: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        case opening
        case open
        case closing(Int)
        case ended
    }

    private static let mask: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
    private static let size = 125
    private static let request = ByteBuffer(
        string: """
            GET / HTTP/1.1\r
            Host: 127.0.0.1:8080\r
            Upgrade: websocket\r
            Connection: Upgrade\r
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r
            Sec-WebSocket-Version: 13\r
            User-Agent: bench-scale\r
            \r

            """
    )
    /// RFC 6455 section 1.3.
    private static let accept = Array("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n".utf8)

    private weak var load: (any WireLoad)?
    private var context: ChannelHandlerContext?
    private var state = State.opening
    private var received = ByteBuffer()
    /// When each message was due that has no echo yet.
    private var outstanding = CircularBuffer<NIODeadline>()

    init(load: any WireLoad) {
        self.load = load
    }

    /// Sends a message that says when it was due.
    func send(due: NIODeadline) {
        guard let context = self.context, case .open = self.state else { return }
        self.outstanding.append(due)
        context.writeAndFlush(Self.wrapOutboundOut(Self.frame(Self.message(due), opcode: 2)), promise: nil)
    }

    func close() {
        self.context?.close(promise: nil)
    }

    // MARK: The channel

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        context.writeAndFlush(Self.wrapOutboundOut(Self.request), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = Self.unwrapInboundIn(data)
        self.received.writeBuffer(&bytes)
        if case .opening = self.state { self.readResponse() }
        while case .open = self.state, self.readFrame(context) {}
        self.received.discardReadBytes()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        switch self.state {
        case .opening, .open: self.end(.lost)
        case .closing(let code): self.end(self.outstanding.isEmpty ? .closed(code) : .lost)
        case .ended: break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func end(_ end: WireEnd) {
        self.state = .ended
        self.load?.ended(self, end)
    }

    // MARK: Bytes

    private func readResponse() {
        let bytes = self.received.readableBytesView
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8))?.upperBound else { return }
        let head = bytes[..<end]
        let status = Int(String(decoding: head.dropFirst(9).prefix(3), as: UTF8.self)) ?? 0
        guard status == 101, head.firstRange(of: Self.accept) != nil else {
            self.end(.refused(status))
            self.context?.close(promise: nil)
            return
        }
        self.received.moveReaderIndex(to: end)
        self.state = .open
        self.load?.opened(self)
    }

    /// - Returns: `true` when a whole frame was there.
    private func readFrame(_ context: ChannelHandlerContext) -> Bool {
        let start = self.received.readerIndex
        guard let head: UInt16 = self.received.getInteger(at: start) else { return false }
        let length = Int(head & 0x7F)
        guard length < 126, let payload = self.received.getSlice(at: start + 2, length: length) else {
            if length >= 126 { context.close(promise: nil) }
            return false
        }
        self.received.moveReaderIndex(forwardBy: 2 + length)
        switch head >> 8 {
        case 0x82:
            guard let due = self.outstanding.popFirst(), payload == Self.message(due) else {
                context.close(promise: nil)
                return false
            }
            self.load?.echoed(self, due: due)
        case 0x88:
            self.state = .closing(Int(payload.getInteger(at: payload.readerIndex, as: UInt16.self) ?? 1005))
            context.writeAndFlush(Self.wrapOutboundOut(Self.frame(payload, opcode: 8)), promise: nil)
        case 0x89: context.writeAndFlush(Self.wrapOutboundOut(Self.frame(payload, opcode: 10)), promise: nil)
        default:
            context.close(promise: nil)
            return false
        }
        return true
    }

    private static func message(_ due: NIODeadline) -> ByteBuffer {
        var message = ByteBuffer()
        message.writeInteger(due.uptimeNanoseconds)
        message.writeRepeatingByte(UInt8(truncatingIfNeeded: due.uptimeNanoseconds), count: self.size - 8)
        return message
    }

    private static func frame(_ payload: ByteBuffer, opcode: UInt8) -> ByteBuffer {
        var frame = ByteBuffer()
        frame.reserveCapacity(6 + payload.readableBytes)
        frame.writeInteger(0x80 | opcode)
        frame.writeInteger(0x80 | UInt8(payload.readableBytes))
        frame.writeBytes(self.mask)
        frame.writeBytes(payload.readableBytesView.enumerated().lazy.map { $1 ^ self.mask[$0 & 3] })
        return frame
    }
}
