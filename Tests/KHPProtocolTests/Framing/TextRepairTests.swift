import NIOCore
import Testing

@testable import KHPProtocol

/// Text that is no UTF-8 in the older dialects: mended as the standard library does.
struct TextRepairTests {
    private func check(_ bytes: [UInt8]) {
        let repaired = TextRepair.repaired(ByteBuffer(bytes: bytes))
        #expect(Array(repaired.readableBytesView) == Array(String(decoding: bytes, as: UTF8.self).utf8), "\(bytes)")
    }

    @Test(
        arguments: [
            [], [0x61], [0xC3], [0xC3, 0xA4], [0xC3, 0xC3, 0xA4], [0xC0, 0x80], [0xE2, 0x82], [0xE2, 0x82, 0x61],
            [0xE2, 0x82, 0xAC], [0xED, 0xA0, 0x80], [0xE0, 0x80, 0x80], [0xF0, 0x9F, 0x98], [0xF0, 0x9F, 0x98, 0x80],
            [0xF0, 0x8F, 0x80, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80], [0x80, 0x80, 0x61], [0xFF, 0xFE],
            [0x61, 0xF1, 0x80, 0x80, 0xE1, 0x80, 0xC2, 0x62, 0x80, 0x63, 0x80, 0xBF, 0x64],
        ] as [[UInt8]]
    )
    func vector(_ bytes: [UInt8]) { self.check(bytes) }

    @Test("a text ends where it says, whatever lies behind it in memory")
    func ends() throws {
        for first in [0xC3, 0xE2, 0xF1] as [UInt8] {
            let memory = ByteBuffer(bytes: [0x61, first, 0x80, 0x80, 0x80])
            for count in 2...4 {
                let text = try #require(memory.getSlice(at: 0, length: count))
                let expected = String(decoding: text.readableBytesView, as: UTF8.self)
                #expect(String(buffer: TextRepair.repaired(text)) == expected)
            }
        }
    }

    @Test func anyBytes() {
        var generator = SystemRandomNumberGenerator()
        // The bytes at which characters and their ranges begin and end.
        let edges: [UInt8] = [
            0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF,
            0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF,
        ]
        for _ in 0..<3_000 {
            let count = Int.random(in: 0...12, using: &generator)
            self.check((0..<count).map { _ in edges.randomElement(using: &generator) ?? 0 })
        }
    }
}
