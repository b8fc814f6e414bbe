// Which reads have a buffer of their own, from the sizes of what is read, on a channel in memory that notes its options.

import KHPProtocol
import NIOCore
import NIOEmbedded
import TestSupport
import Testing

@testable import KHPWebSocket

@Suite("Buffers by the sizes of reads")
struct UsedMemoryReadsTests {
    /// Gives bytes of one read to a connection's memory, in a buffer of a size.
    private final class Reader: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        var memory: UsedMemory

        init(isPooled: Bool) { self.memory = UsedMemory(isPooled: isPooled) }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.memory.note(self.unwrapInboundIn(data), of: context)
        }
    }

    private final class Reads {
        let channel = EmbeddedChannel()
        let reader: Reader

        init(isPooled: Bool = true) throws {
            self.reader = Reader(isPooled: isPooled)
            try self.channel.pipeline.syncOperations.addHandler(self.reader)
            try self.channel.syncOptions?.setOption(.maxMessagesPerRead, value: 4)
        }

        deinit { _ = try? self.channel.finish(acceptAlreadyClosed: true) }

        /// A read of `count` bytes into a buffer with room for `capacity`.
        func read(_ count: Int, of capacity: Int) throws {
            var bytes = ByteBufferAllocator().buffer(capacity: capacity)
            bytes.writeRepeatingByte(1, count: count)
            #expect(bytes.capacity == capacity)
            try self.channel.writeInbound(bytes)
        }

        var readsInTurn: UInt {
            get throws { try self.channel.syncOptions?.getOption(.maxMessagesPerRead) ?? 0 }
        }

        /// The largest buffer that the channel reads into, where it was told.
        var largest: Int? {
            let option = self.channel.options.last { $0.option is ChannelOptions.Types.RecvAllocatorOption }?.value
            return (option as? AdaptiveRecvByteBufferAllocator)?.maximum
        }

        func release() { self.reader.memory.releasePool(of: self.channel) }
    }

    /// Reads by count and capacity, and whether the next ones are apart, and larger.
    private static let rows: [(reads: [(Int, Int)], isApart: Bool, largest: Int?)] = [
        // Nothing is unusual until a buffer is full, and a pool's first buffer has been seen.
        ([(2047, 2048)], false, nil),
        ([(2048, 2048), (8192, 8192)], false, nil),
        ([(16_384, 16_384)], false, nil),
        ([(4096, 4096), (16_384, 16_384)], false, nil),
        ([(2048, 2048), (16_383, 16_384)], false, nil),
        ([(2048, 2048), (16_384, 16_384)], true, nil),
        ([(2048, 2048), (32_768, 32_768)], true, nil),
        ([(2048, 2048), (65_536, 65_536)], true, 131_072),
        ([(2048, 2048), (16_384, 16_384), (65_536, 65_536)], true, 131_072),
        ([(65_536, 65_536)], false, 131_072),
    ]

    @Test("reads are apart from a full buffer of 16 KiB on, and larger from one of 64 KiB on", arguments: 0..<10)
    func sizes(_ row: Int) throws {
        let row = Self.rows[row]
        let reads = try Reads()
        for (count, capacity) in row.reads { try reads.read(count, of: capacity) }
        #expect(reads.reader.memory.isReadingApart == row.isApart)
        #expect(try reads.readsInTurn == (row.isApart ? 1 : 4))
        #expect(reads.largest == row.largest)
    }

    @Test("thirty-two small reads in succession go back to the pool, and one large read counts anew")
    func smallReads() throws {
        let reads = try Reads()
        func apart() throws {
            try reads.read(2048, of: 2048)
            try reads.read(65_536, of: 65_536)
            #expect(reads.reader.memory.isReadingApart)
        }
        try apart()
        for _ in 0..<31 { try reads.read(8191, of: 131_072) }
        #expect(reads.reader.memory.isReadingApart)
        // Each of these is large: half of a small buffer, or all of a larger one.
        for large in [(8192, 131_072), (4096, 4096)] {
            try reads.read(large.0, of: large.1)
            for _ in 0..<31 { try reads.read(1, of: 131_072) }
            #expect(reads.reader.memory.isReadingApart)
        }
        try reads.read(1, of: 131_072)
        #expect(!reads.reader.memory.isReadingApart)
        #expect(try reads.readsInTurn == 4)
        #expect(reads.largest == 65_536)
        try apart()
        #expect(reads.largest == 131_072)
    }

    @Test("an idle connection has its pool as it was; what comes through TLS has no such pool")
    func release() throws {
        let reads = try Reads()
        try reads.read(2048, of: 2048)
        try reads.read(65_536, of: 65_536)
        reads.release()
        #expect(!reads.reader.memory.isReadingApart)
        #expect(try reads.readsInTurn == 4)
        #expect(reads.largest == 65_536)

        let secure = try Reads(isPooled: false)
        try secure.read(2048, of: 2048)
        try secure.read(65_536, of: 65_536)
        secure.release()
        #expect(!secure.reader.memory.isReadingApart)
        #expect(secure.largest == nil)
    }

    // MARK: The list of connections that were in use

    @Test("connections leave the list once they were idle from one look to the next, in any order")
    func list() throws {
        let loop = EmbeddedEventLoop()
        let sockets = try (0..<4).map { _ in try EmbeddedSocket(loop: loop) }
        let list = BusyConnections()
        for socket in sockets {
            LoopDeadlines.of(loop).busy.remove(socket.handler)
            socket.handler.memory.isBusy = true
            list.add(socket.handler)
        }
        let due = list.looksAt
        #expect(due <= .now() + .seconds(2))
        list.look(now: due - .nanoseconds(1))
        #expect(sockets.allSatisfy { $0.handler.memory.isBusy })
        list.remove(sockets[1].handler)
        list.remove(sockets[1].handler)
        #expect(sockets.map { $0.handler.memory.place } == [0, -1, 2, 1])
        list.look(now: due)
        #expect(sockets.map { $0.handler.memory.isBusy } == [false, true, false, false])
        #expect(list.looksAt == due + .seconds(2))
        sockets[2].handler.memory.isBusy = true
        list.look(now: list.looksAt)
        #expect(sockets.map { $0.handler.memory.place } == [-1, -1, 0, -1])
        list.remove(sockets[2].handler)
        #expect(list.count == 0)
        list.look(now: list.looksAt)
        #expect(list.looksAt == .distantFuture)
        for socket in sockets { socket.end() }
    }

    @Test("what an idle connection holds for its next message is released, and behind the end nothing is")
    func idle() throws {
        let socket = try EmbeddedSocket()
        let before = socket.channel.options.count
        socket.handler.releaseMemory()
        #expect(socket.channel.options.count > before)
        socket.end()
        socket.handler.releaseMemory()
    }
}
