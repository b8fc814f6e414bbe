// Frames: reading, writing, unmasking.

import KHPProtocol
import NIOCore
import NIOEmbedded
import NIOWebSocket

enum Framing {
    static var all: [Comparison] {
        [125, 1024, 65_536].map(decode) + [125, 1024, 65_536].map(encode) + [125, 1024, 65_536].map(unmask)
    }

    private static let mask: UInt32 = 0x37FA_213D

    static func payload(_ size: Int) -> ByteBuffer {
        ByteBuffer(bytes: (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ 7) })
    }

    /// A burst of masked frames, as a server receives them: unmasked payloads come out.
    private static func decode(_ size: Int) -> Comparison {
        var frame = ByteBuffer()
        FrameWriter(role: .client).write(.binary, payload: payload(size), mask: mask, into: &frame)
        var limits = MessageLimits()
        limits.messageBytes = 1 << 20
        var reader = MessageReader(role: .server, limits: limits)
        let channel = EmbeddedChannel(handler: ByteToMessageHandler(WebSocketFrameDecoder(maxFrameSize: 1 << 20)))
        return Comparison(name: "decode a masked frame of \(size) B", bytes: size, peerName: "NIOWebSocket") {
            var input = frame
            guard case .message(_, let payload, _)? = try? reader.next(&input) else { return 0 }
            return payload.readableBytes
        } peer: {
            guard (try? channel.writeInbound(frame)) != nil,
                let frame = try? channel.readInbound(as: WebSocketFrame.self)
            else { return 0 }
            return frame.unmaskedData.readableBytes
        }
    }

    /// A server's frame with its payload, ready for the socket.
    private static func encode(_ size: Int) -> Comparison {
        let payload = payload(size)
        let writer = FrameWriter(role: .server)
        var output = ByteBuffer()
        let channel = EmbeddedChannel(handler: WebSocketFrameEncoder())
        return Comparison(name: "encode a frame of \(size) B", bytes: size, peerName: "NIOWebSocket") {
            output.clear()
            writer.write(.binary, payload: payload, into: &output)
            return output.readableBytes
        } peer: {
            let frame = WebSocketFrame(fin: true, opcode: .binary, data: payload)
            guard (try? channel.writeOutbound(frame)) != nil else { return 0 }
            var count = 0
            while let part = try? channel.readOutbound(as: ByteBuffer.self) { count += part.readableBytes }
            return count
        }
    }

    /// The payload alone.
    private static func unmask(_ size: Int) -> Comparison {
        let source = payload(size)
        var target = payload(size)
        var peer = payload(size)
        let key = MaskingKey(networkOrder: mask)
        let peerKey = WebSocketMaskingKey([0x37, 0xFA, 0x21, 0x3D])
        return Comparison(name: "unmask \(size) B", bytes: size, peerName: "NIOWebSocket") {
            source.withUnsafeReadableBytes { source in
                target.withUnsafeMutableReadableBytes { target in
                    guard let from = source.baseAddress, let to = target.baseAddress else { return 0 }
                    Masking.copy(from: from, to: to, count: source.count, key: key)
                    return Int(target[0])
                }
            }
        } peer: {
            if let peerKey { peer.webSocketUnmask(peerKey) }
            return peer.readableBytes
        }
    }
}
