// The queue with raw memory: order across its wrapping point, growth from any place, and no reference lost or kept.

import KHPProtocol
import NIOCore
import Testing

@testable import KHPWebSocket

@Suite("Message queue")
struct MessageQueueTests {
    private static func chunk(_ number: Int) -> MessageChunk {
        MessageChunk(kind: .binary, bytes: ByteBuffer(integer: number), isFirst: true, isLast: true)
    }

    @Test("order is kept wherever the queue begins, through growth", arguments: 0..<9)
    func order(start: Int) {
        var queue = MessageQueue()
        for number in 0..<start {
            queue.append(Self.chunk(number))
            _ = queue.popFirst()
        }
        for number in 0..<100 { queue.append(Self.chunk(number)) }
        var taken: [ByteBuffer] = []
        let count = queue.count
        while let item = queue.popFirst() { taken.append(item.bytes) }
        #expect(count == 100)
        #expect(taken == (0..<100).map { ByteBuffer(integer: $0) })
        let isEmpty = queue.isEmpty
        #expect(isEmpty)
    }

    @Test("appending and taking by turns, against an array")
    func turns() {
        var queue = MessageQueue()
        var expected: [Int] = []
        var seed: UInt64 = 7
        for number in 0..<2000 {
            seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            if seed >> 33 & 3 != 0, expected.count < 40 {
                queue.append(Self.chunk(number))
                expected.append(number)
            } else {
                let first = expected.isEmpty ? nil : expected.removeFirst()
                let taken = queue.popFirst()?.bytes
                #expect(taken == first.map { ByteBuffer(integer: $0) })
            }
            let count = queue.count
            #expect(count == expected.count)
        }
    }

    @Test("whatever is left is released with the queue")
    func releases() {
        var bytes = ByteBuffer(repeating: 1, count: 64)
        let place = bytes.withUnsafeReadableBytes { $0.baseAddress }
        var queue = MessageQueue()
        for _ in 0..<3 { queue.append(MessageChunk(kind: .binary, bytes: bytes, isFirst: true, isLast: true)) }
        _ = queue.popFirst()
        _ = consume queue
        // Writing moves the bytes elsewhere while anybody else holds them.
        bytes.setInteger(2 as UInt8, at: 0)
        #expect(bytes.withUnsafeReadableBytes { $0.baseAddress } == place)
    }
}
