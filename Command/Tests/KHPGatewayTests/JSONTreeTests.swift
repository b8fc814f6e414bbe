// JSON on one line: nobody's text leaves its string, begins another line or speaks to a terminal.

import Foundation
import Testing

@testable import KHPGateway

@Suite("JSON that is written")
struct JSONTreeTests {
    @Test("no control character of a peer's stands in it, however it was sent")
    func controls() throws {
        let controls = (0...0x9F).compactMap { Unicode.Scalar($0) } + ["\u{2028}", "\u{2029}"]
        // Bytes of a head that are none of a character, C1 controls among them.
        let bytes = (0x10FF80...0x10FFFF).compactMap { Unicode.Scalar($0) }
        for scalar in controls + bytes {
            for tree in [JSONTree.string("a\(scalar)"), .payload("a\(scalar)"), .object([("a\(scalar)", .null)])] {
                let isSafe = tree.text.unicodeScalars.allSatisfy {
                    $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) && ![0x2028, 0x2029].contains($0.value)
                }
                #expect(isSafe, "U+\(String(scalar.value, radix: 16))")
            }
        }
    }

    @Test("a byte of a head reads as ISO-8859-1, and a character of a message as itself")
    func bytes() throws {
        let text = "J\u{10FFE4}ger \u{E4}"
        #expect(try Self.read(.string(text)) == "J\u{E4}ger \u{E4}")
        #expect(try Self.read(.payload(text)) == text)
    }

    private static func read(_ tree: JSONTree) throws -> String? {
        try JSONDecoder().decode([String].self, from: Data(JSONTree.array([tree]).text.utf8)).first
    }
}
