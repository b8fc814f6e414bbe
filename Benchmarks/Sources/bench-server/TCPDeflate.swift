// The cost of compression itself: plain bytes over TCP, inflated and compressed again by calling zlib.

import CBenchZlib
import NIOCore
import NIOPosix

func serveTCPDeflate(port: Int, on group: MultiThreadedEventLoopGroup) throws -> SocketAddress? {
    try bootstrap(on: group)
        .childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(TCPDeflate()) }
        }
        .bind(host: "127.0.0.1", port: port).wait().localAddress
}

/// Messages are compressed as permessage-deflate has them, behind 32 bits with their length. The highest bit says that
/// no context is kept. Windows and memory are those that our server's defaults come to.
private final class TCPDeflate: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private static let tail: [UInt8] = [0x00, 0x00, 0xFF, 0xFF]

    // zlib's own state points back to these.
    private let deflater = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    private let inflater = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    private var received = ByteBuffer()
    private var scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)

    init() {
        self.deflater.initialize(to: z_stream())
        self.inflater.initialize(to: z_stream())
        _ = bench_deflate_init(self.deflater, 6, 12, 5)
        _ = bench_inflate_init(self.inflater, 15)
    }

    deinit {
        deflateEnd(self.deflater)
        inflateEnd(self.inflater)
        self.deflater.deallocate()
        self.inflater.deallocate()
        self.scratch.deallocate()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = self.unwrapInboundIn(data)
        if self.received.readableBytes == 0 { self.received = bytes } else { self.received.writeBuffer(&bytes) }
        while let head = self.received.getInteger(at: self.received.readerIndex, as: UInt32.self),
            self.received.readableBytes >= 4 + Int(head & 0x7FFF_FFFF)
        {
            self.received.moveReaderIndex(forwardBy: 4)
            guard let message = self.received.readSlice(length: Int(head & 0x7FFF_FFFF)) else { return }
            context.write(self.wrapOutboundOut(self.echo(message, flags: head & 0x8000_0000)), promise: nil)
        }
    }

    private func echo(_ message: ByteBuffer, flags: UInt32) -> ByteBuffer {
        if flags != 0 {
            inflateReset(self.inflater)
            deflateReset(self.deflater)
        }
        self.inflater.pointee.next_out = self.scratch.baseAddress?.assumingMemoryBound(to: UInt8.self)
        self.inflater.pointee.avail_out = UInt32(self.scratch.count)
        message.withUnsafeReadableBytes { self.inflate($0) }
        Self.tail.withUnsafeBytes { self.inflate($0) }
        let count = self.scratch.count - Int(self.inflater.pointee.avail_out)
        var answer = ByteBufferAllocator().buffer(capacity: 4 + count / 2 + 256)
        answer.writeInteger(UInt32(0))
        answer.writeWithUnsafeMutableBytes(minimumWritableBytes: count / 2 + 256) { target in
            self.deflater.pointee.next_in = self.scratch.baseAddress?.assumingMemoryBound(to: UInt8.self)
            self.deflater.pointee.avail_in = UInt32(count)
            self.deflater.pointee.next_out = target.baseAddress?.assumingMemoryBound(to: UInt8.self)
            self.deflater.pointee.avail_out = UInt32(target.count)
            guard CBenchZlib.deflate(self.deflater, Z_SYNC_FLUSH) == Z_OK, self.deflater.pointee.avail_out > 0 else {
                BenchServer.fail("zlib does not compress\n")
            }
            return target.count - Int(self.deflater.pointee.avail_out) - Self.tail.count
        }
        answer.setInteger(UInt32(answer.readableBytes - 4) | flags, at: 0)
        return answer
    }

    private func inflate(_ bytes: UnsafeRawBufferPointer) {
        self.inflater.pointee.next_in = UnsafeMutablePointer(
            mutating: bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        )
        self.inflater.pointee.avail_in = UInt32(bytes.count)
        guard CBenchZlib.inflate(self.inflater, Z_SYNC_FLUSH) == Z_OK, self.inflater.pointee.avail_in == 0 else {
            BenchServer.fail("zlib does not inflate\n")
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.flush()
        context.fireChannelReadComplete()
    }
}
