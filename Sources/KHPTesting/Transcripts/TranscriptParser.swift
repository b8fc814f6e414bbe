// Reads the text of a transcript: fields, an empty line, steps with their payloads.

import KHPProtocol
import NIOCore

struct TranscriptParser {
    private let name: String
    private let lines: [Substring]
    private var index = 0

    init(_ text: String, name: String) {
        self.name = name
        // A file is checked out with LF; CR LF from elsewhere reads the same. By bytes: a mark behind a blank joins it
        // to one character.
        var lines = text.utf8.split(separator: 0x0A, omittingEmptySubsequences: false).map { line in
            Substring(line.last == 0x0D ? line.dropLast() : line)
        }
        if lines.last?.isEmpty == true { lines.removeLast() }
        self.lines = lines
    }

    private func error(_ message: String) -> TranscriptError { TranscriptError(self.name, self.index, message) }

    private var next: Substring? { self.index < self.lines.count ? self.lines[self.index] : nil }

    mutating func parse() throws(TranscriptError) -> ([Transcript.Field], [Transcript.Step]) {
        var fields: [Transcript.Field] = []
        while let line = self.next, !line.isEmpty {
            self.index += 1
            guard let colon = line.firstIndex(of: ":") else { throw self.error("a field has no colon") }
            let value = line[line.index(after: colon)...].trimmingSpaces
            fields.append(.init(line: self.index, name: String(line[..<colon]), value: String(value)))
        }
        var steps: [Transcript.Step] = []
        while let line = self.next {
            self.index += 1
            if line.isEmpty { continue }
            let number = self.index
            guard line.utf8.first != 0x20 else { throw self.error("a payload without a step") }
            let words = line.split(separator: " ")
            steps.append(.init(line: number, action: try self.action(words)))
        }
        return (fields, steps)
    }

    private mutating func action(_ words: [Substring]) throws(TranscriptError) -> Transcript.Action {
        guard words.count >= 2 else { throw self.error("a step needs two words") }
        let argument = words.count > 2 ? String(words[2]) : nil
        let role: Role
        switch words[0] {
        case "~":
            guard words[1].last == "s", let time = Transcript.time(words[1].dropLast()) else {
                throw self.error("\(words[1]) is no time from 0 to \(Transcript.longestTime) s")
            }
            return .wait(time)
        case "C" where words[1] == "connect":
            do throws(WebSocketError) {
                return .connect(try WebSocketURL(argument ?? ""))
            } catch {
                throw self.error(error.message)
            }
        case "C": role = .client
        case "S": role = .server
        default: throw self.error("\(words[0]) is neither C nor S nor ~")
        }
        switch words[1] {
        case "opening": return .does(role, .opening(try self.payload()))
        case "text": return .does(role, .message(.text, try self.payload()))
        case "binary": return .does(role, .message(.binary, try self.payload()))
        case "ping": return .does(role, .ping(try self.bytes(argument)))
        case "pong": return .does(role, .pong(try self.bytes(argument)))
        case "end-of-response": return .does(role, .legacy(.endOfResponse))
        case "balancer": return .does(role, .legacy(try self.balancer(words.dropFirst(2).map(String.init))))
        case "raw": return .does(role, .raw(try self.bytes(argument)))
        case "eof": return .does(role, .end)
        case "close":
            guard let argument else { return .does(role, .close(.noStatus)) }
            guard let code = UInt16(argument) else { throw self.error("\(argument) is no close code") }
            return .does(role, .close(WebSocketCloseCode(rawValue: code)))
        default:
            throw self.error("\(words[1]) is no step")
        }
    }

    private func balancer(_ words: [String]) throws(TranscriptError) -> KaazingLegacyMessage {
        switch words.first {
        case "N" where words.count == 1: return .noBalancer
        case "R" where words.count == 1: return .noMember
        case "R" where words.count == 2:
            guard let url = String(validating: try self.unescaped(words[1][...]), as: UTF8.self) else {
                throw self.error("a balancer's URL is UTF-8")
            }
            return .redirect(to: url)
        default: throw self.error("a balancer says N, R or R and a URL")
        }
    }

    private func bytes(_ hex: String?) throws(TranscriptError) -> ByteBuffer {
        let digits = (hex ?? "").compactMap(\.hexDigitValue)
        guard digits.count == (hex ?? "").count, digits.count % 2 == 0 else { throw self.error("not hex digits") }
        var buffer = ByteBuffer()
        for index in stride(from: 0, to: digits.count, by: 2) {
            buffer.writeInteger(UInt8(digits[index] << 4 | digits[index + 1]))
        }
        return buffer
    }

    /// The lines indented by two, or by a blank and a backslash, which have escapes: each ends in CR LF; behind `==`
    /// they are joined by LF.
    private mutating func payload() throws(TranscriptError) -> ByteBuffer {
        var buffer = ByteBuffer()
        var entityLines: Int?
        while let line = self.next?.utf8, line.first == 0x20, let second = line.dropFirst().first,
            second == 0x20 || second == Self.backslash
        {
            self.index += 1
            let content = Substring(line.dropFirst(2))
            if second == 0x20, content == "==", entityLines == nil {
                entityLines = 0
                continue
            }
            if let count = entityLines {
                if count > 0 { buffer.writeInteger(UInt8(0x0A)) }
                entityLines = count + 1
            }
            if second == Self.backslash {
                buffer.writeBytes(try self.unescaped(content))
            } else {
                buffer.writeSubstring(content)
            }
            if entityLines == nil { buffer.writeStaticString("\r\n") }
        }
        return buffer
    }

    private static let backslash: UInt8 = 0x5C

    /// The bytes of a text in which `\\`, `\r`, `\n` and `\xHH` are escapes.
    private func unescaped(_ text: Substring) throws(TranscriptError) -> [UInt8] {
        var output: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == Self.backslash else {
                output.append(byte)
                continue
            }
            switch rest.popFirst() {
            case Self.backslash: output.append(Self.backslash)
            case UInt8(ascii: "n"): output.append(0x0A)
            case UInt8(ascii: "r"): output.append(0x0D)
            case UInt8(ascii: "x"):
                let digits = String(decoding: rest.prefix(2), as: UTF8.self)
                guard digits.utf8.count == 2, digits.allSatisfy(\.isHexDigit), let value = UInt8(digits, radix: 16)
                else { throw self.error("\\x is not followed by two hex digits") }
                output.append(value)
                rest = rest.dropFirst(2)
            default: throw self.error("a backslash is not followed by one of \\, n, r and x")
            }
        }
        return output
    }
}

extension StringProtocol {
    var trimmingSpaces: SubSequence {
        var part = self[...]
        while part.first == " " || part.first == "\t" { part = part.dropFirst() }
        while part.last == " " || part.last == "\t" { part = part.dropLast() }
        return part
    }
}

/// The little language of `server.respond` and of expectations: words, and `name="value"` with escapes in the quotes.
struct TranscriptWords {
    struct Word: Equatable {
        var name: String
        var value: String?
    }

    /// The parts of a value that are separated by a vertical bar outside quotes, each as words.
    static func parse(_ text: String) -> [[Word]]? {
        var result: [[Word]] = [[]]
        var rest = text[...]
        while let first = rest.first {
            if first == " " {
                rest = rest.dropFirst()
            } else if first == "|" {
                rest = rest.dropFirst()
                result.append([])
            } else {
                guard let word = Self.word(&rest) else { return nil }
                result[result.count - 1].append(word)
            }
        }
        return result
    }

    private static func word(_ rest: inout Substring) -> Word? {
        let name = rest.prefix { $0 != " " && $0 != "=" && $0 != "|" }
        rest = rest[name.endIndex...]
        guard rest.first == "=" else { return Word(name: String(name), value: nil) }
        rest = rest.dropFirst()
        guard rest.first == "\"" else {
            let value = rest.prefix { $0 != " " }
            rest = rest[value.endIndex...]
            return Word(name: String(name), value: String(value))
        }
        rest = rest.dropFirst()
        var value = ""
        while let character = rest.popFirst() {
            switch character {
            case "\"": return Word(name: String(name), value: value)
            case "\\":
                switch rest.popFirst() {
                case "n": value += "\n"
                case "r": value += "\r"
                case let other?: value.append(other)
                case nil: return nil
                }
            default: value.append(character)
            }
        }
        return nil
    }
}
