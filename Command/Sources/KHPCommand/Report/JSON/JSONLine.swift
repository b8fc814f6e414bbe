import KHPProtocol

/// JSON as the command writes it: objects with their keys in a fixed order, one object per line.
///
/// A small encoder of its own, because the order of keys should be the same in every run and a reader of the lines
/// should see `"event"` first.
enum JSONValue: Sendable, Equatable {
    case string(String)
    case integer(Int)
    case number(Double)
    case boolean(Bool)
    case array([JSONValue])
    case object(JSONObject)
}

/// An object whose members keep the order in which they were set.
struct JSONObject: Sendable, Equatable {
    private struct Member: Sendable, Equatable {
        var key: String
        var value: JSONValue
    }

    private var members: [Member] = []

    init() {}

    /// Sets a member; `nil` leaves it absent.
    mutating func set(_ key: String, _ value: JSONValue?) {
        guard let value else { return }
        self.members.append(Member(key: key, value: value))
    }

    mutating func set(_ key: String, _ value: String?) { self.set(key, value.map { JSONValue.string($0) }) }

    mutating func set(_ key: String, _ value: Int?) { self.set(key, value.map { JSONValue.integer($0) }) }

    /// The object as one line without its line end.
    var line: String {
        var out = ""
        self.write(to: &out)
        return out
    }

    fileprivate func write(to out: inout String) {
        out += "{"
        var first = true
        for member in self.members {
            if !first { out += "," }
            first = false
            JSONValue.write(string: member.key, to: &out)
            out += ":"
            member.value.write(to: &out)
        }
        out += "}"
    }
}

extension JSONValue {
    fileprivate func write(to out: inout String) {
        switch self {
        case .string(let value): Self.write(string: value, to: &out)
        case .integer(let value): out += String(value)
        case .number(let value): out += value.isFinite ? value.description : "null"
        case .boolean(let value): out += value ? "true" : "false"
        case .array(let values):
            out += "["
            for (index, value) in values.enumerated() {
                if index > 0 { out += "," }
                value.write(to: &out)
            }
            out += "]"
        case .object(let object): object.write(to: &out)
        }
    }

    /// RFC 8259 section 7: the quotation mark, the backslash and U+0000 to U+001F are escaped. DEL, the C1 controls and
    /// the two line separators are escaped as well, since the line may end up on a terminal.
    fileprivate static func write(string: String, to out: inout String) {
        out += "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value),
                "\u{2028}", "\u{2029}":
                let hex = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default:
                // A byte that is none of a character reads as ISO-8859-1, as whoever sent it means it.
                let byte = FieldText.rawByte(scalar)
                out.unicodeScalars.append(byte.map { Unicode.Scalar($0) } ?? scalar)
            }
        }
        out += "\""
    }
}

extension Duration {
    /// Seconds with their fraction.
    var seconds: Double {
        Double(self.components.seconds) + Double(self.components.attoseconds) * 1e-18
    }

    /// Seconds rounded to microseconds, for a JSON number.
    var jsonSeconds: JSONValue {
        .number((self.seconds * 1e6).rounded() / 1e6)
    }
}
