// Memory that small payloads share: used again once nobody holds a part of it.

import NIOCore
import Testing

@testable import KHPProtocol

@Suite("Memory of small payloads")
struct PayloadArenaTests {
    @Test("one block serves for ever where nobody keeps a payload")
    func reuse() throws {
        var arena = PayloadArena()
        var blocks: Set<UInt> = []
        for _ in 0..<10_000 {
            let found = arena.room(for: 100)
            let room = try #require(found)
            blocks.insert(UInt(bitPattern: room.target) - UInt(room.offset))
        }
        #expect(blocks.count == 1)
    }

    @Test("the first payload gets a buffer of its own; the second begins a block, and the next ones share it")
    func first() {
        var arena = PayloadArena()
        withUnsafeTemporaryAllocation(byteCount: 100, alignment: 1) { bytes in
            for byte in bytes.indices { bytes[byte] = UInt8(byte) }
            let source = UnsafeRawBufferPointer(bytes)
            guard let start = source.baseAddress else { return }
            let payloads = (0..<3).map { _ in
                (arena.copy(start, count: source.count, key: .none), arena.retainedBytes)
            }
            #expect(payloads.map(\.0) == Array(repeating: ByteBuffer(bytes: source), count: 3))
            #expect(payloads.map(\.1) == [0, PayloadArena.blockBytes, PayloadArena.blockBytes])
            #expect(payloads[0].0.storageCapacity < 256)
            #expect(payloads[1].0.storageCapacity == PayloadArena.blockBytes)
        }
    }

    @Test("a full block of which a part is held is left; a larger payload gets memory of its own then")
    func held() throws {
        for (count, isHeld, isShared) in [(512, true, true), (513, true, false), (513, false, true)] {
            var arena = PayloadArena()
            let most = PayloadArena.largestShared - 100
            let found = arena.room(for: most)
            let first = try #require(found)
            let slice = isHeld ? arena.slice(at: first.offset, length: most) : nil
            let next = arena.room(for: count)
            #expect((next != nil) == isShared)
            if let next { #expect((next.target == first.target) == !isHeld) }
            #expect(slice.map { $0.readableBytes == most } ?? true)
        }
    }
}
