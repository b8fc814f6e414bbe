import Foundation
import KHPProtocol
import Testing

@Suite("UTF-8 validator (threat B10)")
struct UTF8ValidatorTests {
    private func isValid(_ bytes: [UInt8]) -> Bool {
        var validator = UTF8Validator()
        return bytes.withUnsafeBytes { validator.validate($0) } && validator.isComplete
    }

    /// Where the validator, fed byte by byte, gives up.
    private func failure(_ bytes: [UInt8]) -> Int? {
        var validator = UTF8Validator()
        for offset in bytes.indices {
            let isPossible = bytes[offset...offset].withUnsafeBytes { validator.validate($0) }
            if !isPossible { return offset }
        }
        return nil
    }

    struct Vector: Decodable, Sendable, CustomTestStringConvertible {
        struct File: Decodable {
            var vectors: [Vector]
        }
        var name: String
        var hex: String
        var valid: Bool
        var failsAt: Int?
        var testDescription: String { self.name }
        static let all: [Vector] = (try? FrameSupport.load("utf8.json", as: File.self).vectors) ?? []
    }

    @Test func theFileIsThere() {
        #expect(Vector.all.count > 200)
    }

    @Test(arguments: Vector.all)
    func vectors(_ vector: Vector) {
        let bytes = FrameSupport.bytes(hex: vector.hex)
        #expect(self.isValid(bytes) == vector.valid)
        #expect(self.failure(bytes) == vector.failsAt)
        for cut in bytes.indices {
            var validator = UTF8Validator()
            let first = bytes[..<cut].withUnsafeBytes { validator.validate($0) }
            #expect(first == (cut <= (vector.failsAt ?? .max)), "cut at \(cut)")
            guard first else { continue }
            let second = bytes[cut...].withUnsafeBytes { validator.validate($0) }
            #expect((second && validator.isComplete) == vector.valid, "cut at \(cut)")
        }
    }

    /// All 16,843,008 sequences of one to three bytes against the standard library. Minutes in a debug build, so only
    /// when asked for with KHP_EXHAUSTIVE=1; the next test tries what can make a difference.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["KHP_EXHAUSTIVE"] != nil))
    func exhaustively() {
        var wrong: [[UInt8]] = []
        for number in 0..<(1 << 24) {
            let bytes = [UInt8(number >> 16), UInt8(number >> 8 & 0xFF), UInt8(number & 0xFF)]
            let sizes = number >> 16 == 0 ? (number >> 8 == 0 ? 1...3 : 2...3) : 3...3
            for size in sizes {
                let sequence = Array(bytes.suffix(size))
                let expected = String(validating: sequence, as: UTF8.self) != nil
                if self.isValid(sequence) != expected || self.isValid(sequence + [0x61, 0x61, 0x61]) != expected {
                    wrong.append(sequence)
                }
            }
        }
        #expect(wrong.isEmpty, "\(wrong.prefix(5))")
    }

    /// Every sequence of one or two bytes and the telling ones of three, alone (the byte-wise path) and followed by
    /// ASCII (the word-wise path), against the standard library.
    @Test func sequencesOfUpToThreeBytes() {
        var wrong: [[UInt8]] = []
        func check(_ sequence: [UInt8]) {
            let expected = String(validating: sequence, as: UTF8.self) != nil
            if self.isValid(sequence) != expected { wrong.append(sequence) }
            if self.isValid(sequence + [0x61, 0x61, 0x61]) != expected { wrong.append(sequence) }
        }
        // Lead bytes behave alike within these classes.
        let leads: [UInt8] = [
            0x00, 0x41, 0x7F, 0x80, 0x9F, 0xBF, 0xC0, 0xC1, 0xC2, 0xD5, 0xDF, 0xE0, 0xE1, 0xE7, 0xEC, 0xED, 0xEE, 0xEF,
            0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF7, 0xF8, 0xFB, 0xFC, 0xFE, 0xFF,
        ]
        for first in 0...255 as ClosedRange<UInt8> {
            check([first])
            for second in 0...255 as ClosedRange<UInt8> { check([first, second]) }
        }
        let seconds = Array(0x70...0xD0 as ClosedRange<UInt8>) + [0x00, 0x41, 0xE0, 0xED, 0xF4, 0xFF]
        let thirds: [UInt8] = [0x00, 0x41, 0x7F, 0x80, 0x81, 0x8F, 0x90, 0x9F, 0xA0, 0xBE, 0xBF, 0xC0, 0xE0, 0xFF]
        for first in leads {
            for second in seconds {
                for third in thirds { check([first, second, third]) }
            }
        }
        #expect(wrong.isEmpty, "\(wrong.prefix(5))")
    }

    /// Four-byte sequences at every border of table 3-7.
    @Test func fourBytesAtTheBorders() {
        var wrong: [[UInt8]] = []
        let borders: [UInt8] = [0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF]
        for first in 0xE0...0xFF as ClosedRange<UInt8> {
            for second in borders {
                for third in borders {
                    for fourth in borders {
                        let sequence = [first, second, third, fourth]
                        if self.isValid(sequence) != (String(validating: sequence, as: UTF8.self) != nil) {
                            wrong.append(sequence)
                        }
                    }
                }
            }
        }
        #expect(wrong.isEmpty, "\(wrong.prefix(5))")
    }

    @Test func everyScalarIsValid() {
        var text = String.UnicodeScalarView()
        for value in (0...0x10FFFF as ClosedRange<UInt32>) where value % 7 == 0 || value < 0x1000 {
            if let scalar = Unicode.Scalar(value) { text.append(scalar) }
        }
        #expect(self.isValid(Array(String(text).utf8)))
    }

    /// One byte changed in valid text, at any place: the result is the standard library's.
    @Test func seededMutations() {
        var random = SeededGenerator(seed: 0x5EED)
        let pieces = ["a", "hello world, this is some length of ASCII text", "ß", "日", "😀", "\u{7FF}", "\u{FFFF}"]
        for _ in 0..<2000 {
            var text = ""
            for _ in 0..<Int.random(in: 1...12, using: &random) { text += pieces.randomElement(using: &random) ?? "" }
            var bytes = Array(text.utf8)
            bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
            #expect(self.isValid(bytes) == (String(validating: bytes, as: UTF8.self) != nil), "\(bytes)")
        }
    }
}
