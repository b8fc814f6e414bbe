// A channel's pool of read buffers, and what a session leaves in it.

import NIOCore
import Testing

@testable import KHPGateway

@Suite("The memory of reads from a backend")
struct ReadMemoryTests {
    /// The pool that a channel has, and its options.
    private final class Pool: NIOSynchronousChannelOptions {
        var buffers = NIOPooledRecvBufferAllocator(
            capacity: Int(StreamOptions.reads),
            recvAllocator: StreamOptions.readSizes
        )

        func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) throws {
            if let reads = value as? UInt { self.buffers.updateCapacity(to: Int(reads)) }
            if let sizes = value as? any RecvByteBufferAllocator { self.buffers.recvAllocator = sizes }
        }

        func getOption<Option: ChannelOption>(_ option: Option) throws -> Option.Value {
            throw ChannelError.operationUnsupported
        }

        /// A read of so many bytes, or of as many as fit.
        func read(_ bytes: Int = .max) -> ByteBuffer {
            let (buffer, count) = self.buffers.buffer(allocator: ByteBufferAllocator()) { buffer in
                buffer.writeRepeatingByte(7, count: min(bytes, buffer.writableBytes))
            }
            self.buffers.record(actualReadBytes: count)
            return buffer
        }
    }

    /// Reads 64 KiB and more as a channel does.
    private func readMuch(_ pool: Pool, _ memory: inout ReadMemory) -> Int {
        var looks = 0
        for _ in 0..<10 {
            let bytes = pool.read()
            if bytes.writableBytes == 0, memory.noteFull(bytes, pool) { looks += 1 }
        }
        return looks
    }

    @Test("large reads leave one small buffer behind, once none has come for a while")
    func released() {
        let pool = Pool()
        var memory = ReadMemory()
        for _ in 0..<3 {
            let looks = self.readMuch(pool, &memory)
            #expect(looks == 1, "one who looks is enough")
            #expect(pool.read(1).storageCapacity == OutgoingFrames.most)
            #expect(pool.buffers.count == 1 && pool.buffers.capacity == 1, "a large read has no place in the pool")
            let again = memory.look(pool)
            #expect(again, "one has come since the last look")
            let last = !memory.look(pool)
            #expect(last && pool.buffers.count == 1 && pool.buffers.capacity == Int(StreamOptions.reads))
            #expect(pool.read(1).storageCapacity == StreamOptions.firstRead)
        }
    }

    @Test("small reads are nobody's business")
    func small() {
        let pool = Pool()
        for _ in 0..<10 { #expect(pool.read(1000).writableBytes > 0) }
        #expect(pool.buffers.count == 1)
    }
}
