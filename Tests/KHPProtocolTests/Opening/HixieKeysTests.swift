// W10-2, W10-4, W10-6 and threat D2: the keys of hixie-76 and WHATWG 2010, from `Specs/vectors/hixie-keys.json` and made
// at random.

import Foundation
import KHPProtocol
import Testing

@Suite("Hixie keys")
struct HixieKeysTests {
    struct Vector: Decodable, Sendable, CustomTestStringConvertible {
        var name: String
        var key1: String
        var key2: String
        var number1: UInt32
        var number2: UInt32
        var key3: String
        var answer: String
        var testDescription: String { self.name }
    }

    private struct File: Decodable {
        var keys: [Vector]
    }

    static let vectors: [Vector] = {
        let file = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../../Specs/vectors/hixie-keys.json")
        guard let data = try? Data(contentsOf: file) else { return [] }
        return (try? JSONDecoder().decode(File.self, from: data))?.keys ?? []
    }()

    @Test func theFileIsThere() {
        #expect(Self.vectors.count == 5)
    }

    @Test(arguments: vectors)
    func computesThePrintedAnswers(_ vector: Vector) throws {
        #expect(try HixieKeys.number(of: vector.key1) == vector.number1)
        #expect(try HixieKeys.number(of: vector.key2) == vector.number2)
        let key3 = FrameSupport.bytes(hex: vector.key3)
        let answer = FrameSupport.bytes(hex: vector.answer)
        #expect(HixieKeys.answer(vector.number1, vector.number2, key3) == answer)
        #expect(HixieKeys(key1: vector.key1, key2: vector.key2, key3: key3).expectedAnswer == answer)
    }

    @Test(
        arguments: [
            ("", HixieKeys.Invalid.withoutDigits), ("   ", .withoutDigits), ("a b c", .withoutDigits),
            ("123", .withoutSpaces), ("4294967296 ", .numberTooLarge), ("4294967296", .numberTooLarge),
            ("99999999999999999999999999999999 ", .numberTooLarge), ("1 3  ", .notDivisible), ("7  ", .notDivisible),
            ("1\t2 ", .malformed), ("1 é", .malformed), ("1 \u{7F}", .malformed), ("1 \u{0}", .malformed),
            (String(repeating: " ", count: 1024) + "0", .malformed),
        ] as [(String, HixieKeys.Invalid)]
    )
    func refusesWhatIsNoKey(_ key: String, _ reason: HixieKeys.Invalid) {
        #expect(throws: reason) { try HixieKeys.number(of: key) }
        #expect(HixieKeys(key1: key, key2: "1 2", key3: [1, 2, 3, 4, 5, 6, 7, 8]).expectedAnswer.isEmpty)
    }

    @Test(
        arguments: [
            ("0 ", 0), ("4294967295 ", 4_294_967_295), ("4294967295     ", 858_993_459), ("x1 2", 12),
        ] as [(String, UInt32)]
    )
    func readsTheLimits(_ key: String, _ number: UInt32) throws {
        #expect(try HixieKeys.number(of: key) == number)
    }

    /// W10-2: every rule about a key, on three thousand of them; all the choices occur.
    @Test func makesKeysAsTheTextSays() throws {
        var generator = SeededGenerator(seed: 76)
        var spaceCounts: Set<Int> = []
        var noiseCounts: Set<Int> = []
        for _ in 0..<1500 {
            let keys = HixieKeys(using: &generator)
            for key in [keys.key1, keys.key2] {
                let bytes = Array(key.utf8)
                let spaces = bytes.count { $0 == 0x20 }
                let digits = bytes.filter { (0x30...0x39).contains($0) }
                let product = try #require(UInt64(String(decoding: digits, as: UTF8.self)))
                #expect((1...12).contains(spaces))
                #expect(product <= 4_294_967_295)
                #expect(product.isMultiple(of: UInt64(spaces)))
                #expect(digits.count == 1 || digits.first != 0x30)
                #expect((1...12).contains(bytes.count - spaces - digits.count))
                #expect(bytes.allSatisfy { (0x20...0x7E).contains($0) })
                #expect(bytes.first != 0x20 && bytes.last != 0x20)
                #expect(try HixieKeys.number(of: key) == UInt32(product / UInt64(spaces)))
                spaceCounts.insert(spaces)
                noiseCounts.insert(bytes.count - spaces - digits.count)
            }
            #expect(keys.key3.count == 8)
            #expect(keys.expectedAnswer.count == 16)
        }
        #expect(spaceCounts == Set(1...12))
        #expect(noiseCounts == Set(1...12))
    }

    @Test func ordersFieldsAtRandom() {
        var generator = SeededGenerator(seed: 1)
        var firsts: Set<Int> = []
        for _ in 0..<200 {
            let order = HixieKeys(using: &generator).ordered(Array(0..<6))
            #expect(order.sorted() == Array(0..<6))
            firsts.insert(order[0])
        }
        #expect(firsts == Set(0..<6))
        #expect(HixieKeys(key1: "1 2", key2: "1 2", key3: []).ordered([3, 1, 2]) == [3, 1, 2])
    }

    @Test func showsNothingOfTheAnswer() {
        var generator = SeededGenerator(seed: 2)
        var text = ""
        dump(HixieKeys(using: &generator), to: &text)
        #expect(!text.contains("expectedAnswer"))
    }
}
