import NIOCore
import Testing

@testable import KHPGateway

@Suite("Text cut where characters end (RFC 3629)")
struct CharacterCutTests {
    @Test("cut at every byte, the pieces are valid and make the whole")
    func everyCut() throws {
        let text =
            "a\u{7F}\u{80}\u{7FF}\u{800}\u{D7FF}\u{E000}\u{FFFD}\u{10000}\u{10FFFF} and plain words, longer than eight bytes ü"
        let bytes = Array(text.utf8)
        for first in 0...bytes.count {
            for second in first...bytes.count {
                var cut = CharacterCut()
                var whole = ""
                for piece in [bytes[..<first], bytes[first..<second], bytes[second...]] {
                    let part = try cut.whole(ByteBuffer(bytes: piece))
                    whole += try #require(String(validating: part.readableBytesView, as: UTF8.self))
                }
                #expect(cut.isWhole)
                #expect(whole == text)
            }
        }
    }

    @Test("bytes that no continuation makes UTF-8 are refused, as Swift does")
    func refused() {
        for lead in UInt8(0x80)...0xFF {
            for next in [UInt8(0x00), 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF] {
                let bytes = [lead, next, 0x80, 0x80]
                var cut = CharacterCut()
                let taken = (try? cut.whole(ByteBuffer(bytes: bytes))) != nil && cut.isWhole
                #expect(taken == (String(validating: bytes, as: UTF8.self) != nil), "\(bytes)")
            }
        }
    }
}
