// Threat C4: streams that nobody needs are kept for the next connection, but only a few of them.

import NIOCore
import Testing

@testable import KHPProtocol

@Suite("Streams that are kept for the next connection")
struct ZlibPoolTests {
    @Test func eightOfEachKindAreKept() throws {
        let pool = ZlibPool()
        let settings = Deflater.Settings(windowBits: 9, memoryLevel: 1, level: 1)
        let inflaters = try (0..<20).map { _ in try Inflater(windowBits: 9) }
        let deflaters = try (0..<20).map { _ in try Deflater(settings) }
        for inflater in inflaters { pool.giveBack(inflater) }
        for deflater in deflaters { pool.giveBack(deflater) }
        let known = Set((inflaters as [AnyObject] + deflaters as [AnyObject]).map { ObjectIdentifier($0) })
        // Of other settings there is none.
        #expect(!known.contains(ObjectIdentifier(try pool.inflater(windowBits: 15))))
        #expect(
            !known.contains(
                ObjectIdentifier(try pool.deflater(Deflater.Settings(windowBits: 9, memoryLevel: 1, level: 2)))
            )
        )
        let first = try (0..<20).map { _ in try pool.inflater(windowBits: 9) }
        let second = try (0..<20).map { _ in try pool.deflater(settings) }
        #expect(first.count { known.contains(ObjectIdentifier($0)) } == 8)
        #expect(second.count { known.contains(ObjectIdentifier($0)) } == 8)
    }

    @Test("behind a message without context its stream is another connection's to use", arguments: [false, true])
    func givesBack(keepsContext: Bool) throws {
        let pool = ZlibPool()
        let inflater = try pool.inflater(windowBits: 15)
        pool.giveBack(inflater)
        var transform = DeflateTransform(
            DeflateTransform.Settings(
                deflater: Deflater.Settings(windowBits: 9, memoryLevel: 1, level: 1),
                inflateWindowBits: 15,
                keepsContext: keepsContext,
                peerKeepsContext: keepsContext,
                threshold: 0
            ),
            pool: pool
        )
        // "Hello" of RFC 7692 section 7.2.3.1.
        let bytes = ByteBuffer(bytes: [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00])
        var piece = MessagePiece(.text, bytes, reservedBits: .rsv1)
        var output = ByteBuffer()
        for _ in 0..<8 {
            if try transform.inbound(&piece, into: &output, room: 100) { break }
        }
        #expect(String(buffer: output) == "Hello")
        #expect(try (pool.inflater(windowBits: 15) === inflater) == !keepsContext)
    }
}
