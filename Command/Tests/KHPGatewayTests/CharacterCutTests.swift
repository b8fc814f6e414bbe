import KHPProtocol
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

@Suite("Messages of a backend's bytes that are of the client's kind")
struct OutgoingFramesTests {
    /// The messages of pieces, `b` or `t` and the bytes; between the pieces the client sends a message of each kind named.
    private static func messages(_ steps: [Step]) throws -> [String] {
        var frames = OutgoingFrames(.auto)
        var messages: [String] = []
        for step in steps {
            switch step {
            case .client(let kind): frames.clientSent(kind)
            case .backend(let bytes):
                try frames.forEach(of: ByteBuffer(bytes: bytes)) { kind, bytes in
                    let digits = bytes.readableBytesView.map { String($0, radix: 16) }.joined(separator: " ")
                    messages.append((kind == .text ? "t " : "b ") + digits)
                }
            }
        }
        return messages
    }

    enum Step: Sendable {
        case client(MessageKind)
        case backend([UInt8])
    }

    @Test(
        "become text behind the character that has begun in a binary one",
        arguments: [
            ([.backend([0xC3]), .client(.text), .backend([0xA9, 0x61])], ["b c3", "b a9", "t 61"]),
            (
                [.backend([0x61, 0xF0, 0x90]), .client(.text), .backend([0x80]), .backend([0x80, 0x61])],
                ["b 61 f0 90", "b 80", "b 80", "t 61"]
            ),
            ([.backend([0xE2]), .backend([0x82]), .client(.text), .backend([0xAC])], ["b e2", "b 82", "b ac"]),
            // A byte that looked like the beginning of a character.
            ([.backend([0xC3]), .client(.text), .backend([0x61])], ["b c3", "t 61"]),
            ([.backend([0xFF, 0x80]), .client(.text), .backend([0x61])], ["b ff 80", "t 61"]),
            // The client changes its mind again.
            (
                [
                    .backend([0xC3]), .client(.text), .client(.binary), .backend([0xA9]), .client(.text),
                    .backend([0x61]),
                ],
                ["b c3", "b a9", "t 61"]
            ),
            // And the other way about.
            (
                [
                    .client(.text), .backend([0x61, 0xC3]), .client(.binary), .backend([0xA9, 0x62]), .client(.binary),
                    .backend([0x63]),
                ],
                ["t 61", "t c3 a9 62", "b 63"]
            ),
        ] as [([Step], [String])]
    )
    func auto(_ steps: [Step], _ messages: [String]) throws {
        #expect(try Self.messages(steps) == messages)
    }
}
