import KHPProtocol
import NIOCore
import Testing

@Suite("Masking (RFC 6455 5.3)")
struct MaskingTests {
    private let key: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
    private let maskingKey = MaskingKey(networkOrder: 0x37FA_213D)

    /// Every length to beyond three vectors, from and to places of every alignment; nothing outside is touched.
    @Test func everyLengthAndAlignment() {
        var wrong: [String] = []
        for count in 0...200 {
            for shift in 0..<9 {
                let source = (0..<(count + shift)).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ 5) }
                var target = [UInt8](repeating: 0xEE, count: count + 18)
                source.withUnsafeBytes { from in
                    target.withUnsafeMutableBytes { to in
                        guard let from = from.baseAddress, let to = to.baseAddress else { return }
                        Masking.copy(from: from + shift, to: to + (9 - shift), count: count, key: self.maskingKey)
                    }
                }
                let start = 9 - shift
                let expected = (0..<count).map { source[shift + $0] ^ self.key[$0 % 4] }
                let outside = target[..<start] + target[(start + count)...]
                if Array(target[start..<(start + count)]) != expected || outside.contains(where: { $0 != 0xEE }) {
                    wrong.append("\(count) bytes, shifted by \(shift)")
                }
            }
        }
        #expect(wrong.isEmpty, "\(wrong.prefix(5))")
    }

    @Test func rotation() {
        #expect(self.maskingKey.rotated(by: 0) == self.maskingKey)
        #expect(self.maskingKey.rotated(by: 1) == MaskingKey(networkOrder: 0xFA21_3D37))
        #expect(self.maskingKey.rotated(by: 2) == MaskingKey(networkOrder: 0x213D_37FA))
        #expect(self.maskingKey.rotated(by: 3) == MaskingKey(networkOrder: 0x3D37_FA21))
        #expect(self.maskingKey.rotated(by: 4_000_000_004) == self.maskingKey)
    }

    @Test("a client's masks are 32 random bits each, new ones for each frame (threat B14)")
    func systemMasks() {
        var source = SystemMasks()
        let masks = (0..<256).map { _ in source.next() }
        // Chance makes two of them alike once in a hundred thousand runs, and never more.
        #expect(Set(masks).count >= 255)
        for bit in 0..<32 {
            // Eight standard deviations around the middle.
            #expect(64...192 ~= masks.count { $0 >> bit & 1 == 1 }, "bit \(bit)")
        }
    }
}
