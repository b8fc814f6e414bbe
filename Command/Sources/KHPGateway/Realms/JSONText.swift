// JSON as tokens and key sets need it (RFC 8259): strict, small, and without two members of one name, which different
// readers take for different things (RFC 7515 section 4, RFC 8725 section 2.3).

/// A value of a JSON text.
enum ParsedJSON: Sendable, Equatable {
    case null
    case boolean(Bool)
    /// As written: numbers are compared as text, and read where a time is meant.
    case number(String)
    case string(String)
    case array([ParsedJSON])
    case object(ParsedObject)

    var string: String? {
        if case .string(let text) = self { text } else { nil }
    }

    var array: [ParsedJSON]? {
        if case .array(let values) = self { values } else { nil }
    }

    var object: ParsedObject? {
        if case .object(let object) = self { object } else { nil }
    }

    /// Seconds, fractions cut off (NumericDate of RFC 7519 section 2).
    var seconds: Int64? {
        guard case .number(let text) = self, let value = Double(text), abs(value) < 9_007_199_254_740_992 else {
            return nil
        }
        return Int64(value.rounded(.down))
    }
}

struct ParsedObject: Sendable, Equatable {
    var members: [String: ParsedJSON] = [:]
    /// The position of its opening brace in the text.
    var position = Position.start

    subscript(name: String) -> ParsedJSON? { self.members[name] }

    static func == (one: ParsedObject, other: ParsedObject) -> Bool { one.members == other.members }
}

struct JSONText {
    struct Failure: Error, Equatable {
        var position: Position
        var sentence: String
    }

    static let maximumDepth = 32

    private let bytes: [UInt8]
    private var index = 0
    /// The line that the index is in, and where it begins: counted along, since the heads of tokens come from anybody,
    /// and each of their objects has a place.
    private var line = 1
    private var lineStart = 0

    private init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// - Throws: where the bytes are no single JSON value in UTF-8.
    static func read(_ bytes: [UInt8]) throws(Failure) -> ParsedJSON {
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw Failure(position: .start, sentence: "is not UTF-8")
        }
        var reader = JSONText(bytes)
        let value = try reader.value(depth: 0)
        reader.skipSpace()
        guard reader.index == bytes.count else { throw reader.failure("has more behind its value") }
        return value
    }

    private func failure(_ sentence: String) -> Failure {
        let before = self.bytes.prefix(self.index)
        let line = 1 + before.count { $0 == UInt8(ascii: "\n") }
        let column = 1 + before.reversed().prefix { $0 != UInt8(ascii: "\n") }.count
        return Failure(position: Position(line: line, column: column), sentence: sentence)
    }

    private var next: UInt8? { self.index < self.bytes.count ? self.bytes[self.index] : nil }

    /// The position of the next byte. A line ends only between values: no string, word or number holds a line break.
    private var position: Position { Position(line: self.line, column: self.index - self.lineStart + 1) }

    private mutating func skipSpace() {
        while let byte = self.next {
            switch byte {
            case 0x20, 0x09, 0x0D: self.index += 1
            case 0x0A:
                self.index += 1
                self.line += 1
                self.lineStart = self.index
            default: return
            }
        }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard self.next == byte else { return false }
        self.index += 1
        return true
    }

    private mutating func value(depth: Int) throws(Failure) -> ParsedJSON {
        guard depth < Self.maximumDepth else { throw self.failure("is nested too deeply") }
        self.skipSpace()
        switch self.next {
        case UInt8(ascii: "{"): return .object(try self.object(depth))
        case UInt8(ascii: "["): return .array(try self.array(depth))
        case UInt8(ascii: "\""): return .string(try self.string())
        case UInt8(ascii: "t"): return try self.word("true", .boolean(true))
        case UInt8(ascii: "f"): return try self.word("false", .boolean(false))
        case UInt8(ascii: "n"): return try self.word("null", .null)
        case UInt8(ascii: "-"): return .number(try self.number())
        case let byte? where byte.isDigit: return .number(try self.number())
        default: throw self.failure("is no JSON")
        }
    }

    private mutating func word(_ word: String, _ value: ParsedJSON) throws(Failure) -> ParsedJSON {
        guard self.bytes[self.index...].starts(with: word.utf8) else { throw self.failure("is no JSON") }
        self.index += word.utf8.count
        return value
    }

    private mutating func object(_ depth: Int) throws(Failure) -> ParsedObject {
        var object = ParsedObject(position: self.position)
        self.index += 1
        self.skipSpace()
        if self.take(UInt8(ascii: "}")) { return object }
        repeat {
            self.skipSpace()
            guard self.next == UInt8(ascii: "\"") else { throw self.failure("has a member without a name") }
            let name = try self.string()
            self.skipSpace()
            guard self.take(UInt8(ascii: ":")) else { throw self.failure("has a member without a value") }
            let value = try self.value(depth: depth + 1)
            guard object.members.updateValue(value, forKey: name) == nil else {
                throw self.failure("has the member \(name.shown) twice")
            }
            self.skipSpace()
        } while self.take(UInt8(ascii: ","))
        guard self.take(UInt8(ascii: "}")) else { throw self.failure("has an object without an end") }
        return object
    }

    private mutating func array(_ depth: Int) throws(Failure) -> [ParsedJSON] {
        var values: [ParsedJSON] = []
        self.index += 1
        self.skipSpace()
        if self.take(UInt8(ascii: "]")) { return values }
        repeat {
            values.append(try self.value(depth: depth + 1))
            self.skipSpace()
        } while self.take(UInt8(ascii: ","))
        guard self.take(UInt8(ascii: "]")) else { throw self.failure("has an array without an end") }
        return values
    }

    private mutating func number() throws(Failure) -> String {
        let start = self.index
        func isDigit(_ byte: UInt8?) -> Bool { byte.map { $0.isDigit } ?? false }
        _ = self.take(UInt8(ascii: "-"))
        if !self.take(UInt8(ascii: "0")) {
            guard isDigit(self.next) else { throw self.failure("has a number without digits") }
            while isDigit(self.next) { self.index += 1 }
        }
        if self.take(UInt8(ascii: ".")) {
            guard isDigit(self.next) else { throw self.failure("has a number without digits") }
            while isDigit(self.next) { self.index += 1 }
        }
        if self.next == UInt8(ascii: "e") || self.next == UInt8(ascii: "E") {
            self.index += 1
            if !self.take(UInt8(ascii: "+")) { _ = self.take(UInt8(ascii: "-")) }
            guard isDigit(self.next) else { throw self.failure("has a number without digits") }
            while isDigit(self.next) { self.index += 1 }
        }
        return String(decoding: self.bytes[start..<self.index], as: UTF8.self)
    }

    private mutating func string() throws(Failure) -> String {
        self.index += 1
        var text: [UInt8] = []
        while let byte = self.next {
            self.index += 1
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"): text += try self.escape()
            case 0..<0x20: throw self.failure("has a control character in a string")
            default: text.append(byte)
            }
        }
        throw self.failure("has a string without an end")
    }

    private mutating func escape() throws(Failure) -> [UInt8] {
        guard let byte = self.next else { throw self.failure("has a string without an end") }
        self.index += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0C]
        case UInt8(ascii: "n"): return [0x0A]
        case UInt8(ascii: "r"): return [0x0D]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "u"):
            var value = try self.unit()
            if (0xD800..<0xDC00).contains(value) {
                guard self.take(UInt8(ascii: "\\")), self.take(UInt8(ascii: "u")) else {
                    throw self.failure("has half of a character in a string")
                }
                let low = try self.unit()
                guard (0xDC00..<0xE000).contains(low) else {
                    throw self.failure("has half of a character in a string")
                }
                value = 0x10000 + (value - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(value) else { throw self.failure("has half of a character in a string") }
            return Array(String(Character(scalar)).utf8)
        default: throw self.failure("has an escape that is none")
        }
    }

    private mutating func unit() throws(Failure) -> UInt32 {
        let digits = self.bytes[self.index...].prefix(4)
        guard digits.count == 4, digits.allSatisfy(\.isHexDigit),
            let value = UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw self.failure("has an escape that is none") }
        self.index += 4
        return value
    }
}

extension UInt8 {
    fileprivate var isHexDigit: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"): true
        default: self.isDigit
        }
    }
}
