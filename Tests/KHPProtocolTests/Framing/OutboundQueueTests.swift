// Bytes on their way out: in order, never written again once handed out, and in memory that is used again.

import NIOCore
import Testing

@testable import KHPProtocol

@Suite("Bytes on their way out")
struct OutboundQueueTests {
    /// Appends one server's frame with a payload of this byte.
    private func write(_ byte: UInt8, _ count: Int, to queue: inout OutboundQueue) {
        let payload = [UInt8](repeating: byte, count: count)
        payload.withUnsafeBytes {
            FrameWriter(role: .server).write(.binary, bytes: $0, mask: 0, into: &queue)
        }
    }

    private func frame(_ byte: UInt8, _ count: Int) -> [UInt8] {
        FrameSupport.frame(0x82, [UInt8](repeating: byte, count: count))
    }

    private func taken(_ queue: inout OutboundQueue) -> [UInt8] {
        var bytes: [UInt8] = []
        while let buffer = queue.next() { bytes += buffer.readableBytesView }
        return bytes
    }

    @Test("frames, heads and payloads leave in the order in which they came, and are counted until then")
    func order() {
        var queue = OutboundQueue()
        var expected: [UInt8] = []
        for round in 0..<40 {
            let byte = UInt8(round)
            switch round % 4 {
            case 0, 1:
                self.write(byte, 30 * round, to: &queue)
                expected += self.frame(byte, 30 * round)
            case 2:
                queue.append(ByteBuffer(repeating: byte, count: 5000))
                expected += [UInt8](repeating: byte, count: 5000)
            default:
                queue.write { $0.writeRepeatingByte(byte, count: 100) }
                expected += [UInt8](repeating: byte, count: 100)
            }
            #expect(queue.pendingBytes == expected.count)
            #expect(!queue.isEmpty)
        }
        #expect(self.taken(&queue) == expected)
        #expect(queue.isEmpty)
        #expect(queue.next() == nil)
        queue.append(ByteBuffer())
        #expect(queue.next() == nil)
    }

    @Test(
        "a frame that is written where it goes has the shortest header, however much room there was for its text",
        arguments: [
            (0, 0), (125, 125), (126, 125), (126, 126), (300, 0), (300, 280), (65_535, 126), (65_536, 65_535),
            (70_000, 100),
        ]
    )
    func written(most: Int, count: Int) {
        var queue = OutboundQueue()
        self.write(1, 40, to: &queue)
        let text = String(repeating: "a", count: count)
        FrameWriter(role: .server).writeApart(.binary, atMost: most, into: &queue) { $0.write(text) }
        self.write(2, 40, to: &queue)
        #expect(self.taken(&queue) == self.frame(1, 40) + self.frame(UInt8(ascii: "a"), count) + self.frame(2, 40))
    }

    @Test("a buffer that the channel still holds keeps its bytes, however much is written after it")
    func handedOut() {
        var queue = OutboundQueue()
        var held: [(buffer: ByteBuffer, bytes: [UInt8])] = []
        for round in 0..<200 {
            let byte = UInt8(round)
            self.write(byte, 1 + round, to: &queue)
            guard let buffer = queue.next() else {
                Issue.record("nothing to write in round \(round)")
                return
            }
            held.append((buffer, self.frame(byte, 1 + round)))
        }
        for (buffer, bytes) in held { #expect(Array(buffer.readableBytesView) == bytes) }
    }

    @Test("memory is used again once the channel has let go of it")
    func reuse() {
        var queue = OutboundQueue()
        var places: Set<UInt> = []
        for round in 0..<1000 {
            for _ in 0..<32 { self.write(UInt8(truncatingIfNeeded: round), 125, to: &queue) }
            while let buffer = queue.next() {
                places.insert(buffer.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) })
            }
        }
        // Some while it grew to the size of the burst, and those within one block from then on.
        #expect(places.count <= 16)
    }

    @Test("two queues that go on from one beginning do not write over each other")
    func forks() {
        var first = OutboundQueue()
        self.write(1, 50, to: &first)
        var second = first
        self.write(2, 50, to: &first)
        self.write(3, 50, to: &second)
        self.write(4, 50, to: &first)
        #expect(self.taken(&first) == self.frame(1, 50) + self.frame(2, 50) + self.frame(4, 50))
        #expect(self.taken(&second) == self.frame(1, 50) + self.frame(3, 50))
    }

    @Test("a frame of any size fits", arguments: [0, 125, 126, 4095, 65_535, 65_536, 200_000])
    func sizes(_ size: Int) {
        var queue = OutboundQueue()
        for byte in 0..<3 { self.write(UInt8(byte), size, to: &queue) }
        #expect(self.taken(&queue) == (0..<3).flatMap { self.frame(UInt8($0), size) })
        self.write(9, 10, to: &queue)
        #expect(self.taken(&queue) == self.frame(9, 10))
    }

    @Test("a large head or old frame is handed on as it is, a small one behind others is gathered")
    func gathered() {
        for (count, buffers) in [(4095, 1), (4096, 2)] {
            var queue = OutboundQueue()
            // A block with room for all that follows.
            for _ in 0..<4 { self.write(1, 3000, to: &queue) }
            _ = self.taken(&queue)
            self.write(2, 10, to: &queue)
            queue.write { $0.writeRepeatingByte(3, count: count) }
            var found = 0
            while queue.next() != nil { found += 1 }
            #expect(found == buffers)
        }
    }

    @Test("no block is larger than what a connection may keep, however large the burst")
    func blocks() {
        var queue = OutboundQueue()
        for _ in 0..<400 { self.write(1, 1000, to: &queue) }
        var largest = 0
        while let buffer = queue.next() { largest = max(largest, buffer.storageCapacity) }
        #expect(largest <= 65_536)
    }

    @Test("a connection does not keep the memory of a large burst for its life")
    func largeBurst() throws {
        var queue = OutboundQueue()
        for _ in 0..<80 { self.write(1, 2000, to: &queue) }
        _ = self.taken(&queue)
        self.write(2, 10, to: &queue)
        let small = queue.next()
        #expect(try #require(small).storageCapacity <= 65_536)
    }
}
