// JSON as logs, the admin address and the events of the command write it (RFC 8259): one line, with the members in the order in
// which they were set, so that a reader sees the first ones first.

import KHPProtocol

package enum JSONTree: Sendable, Equatable {
    /// A byte of a head's that is none of a character (`FieldText`) reads as ISO-8859-1, as whoever sent it means it.
    case string(String)
    /// A text that came as UTF-8, such as a message or the reason of a close: each of its characters is itself.
    case payload(String)
    case integer(Int)
    case number(Double)
    case bool(Bool)
    case null
    case array([JSONTree])
    /// In this order.
    case object([(String, JSONTree)])

    package static func == (one: JSONTree, other: JSONTree) -> Bool { one.text == other.text }

    /// A text, or `null`.
    static func optional(_ text: String?) -> JSONTree { text.map { .string($0) } ?? .null }

    /// On one line: control characters are escaped, so that nobody's name begins a line of its own.
    package var text: String {
        var text = ""
        self.write(to: &text)
        return text
    }

    private func write(to text: inout String) {
        switch self {
        case .string(let string): Self.write(string, to: &text)
        case .payload(let string): Self.write(string, ofHead: false, to: &text)
        case .integer(let integer): text += String(integer)
        case .number(let number): text += number.isFinite ? "\(number)" : "null"
        case .bool(let bool): text += bool ? "true" : "false"
        case .null: text += "null"
        case .array(let values):
            text += "["
            for (place, value) in values.enumerated() {
                if place > 0 { text += "," }
                value.write(to: &text)
            }
            text += "]"
        case .object(let members):
            text += "{"
            for (place, member) in members.enumerated() {
                if place > 0 { text += "," }
                Self.write(member.0, to: &text)
                text += ":"
                member.1.write(to: &text)
            }
            text += "}"
        }
    }

    /// RFC 8259 section 7: the quotation mark, the backslash and U+0000 to U+001F are escaped. DEL, the C1 controls and the two
    /// line separators are escaped as well, since the line may end up on a terminal.
    private static func write(_ string: String, ofHead: Bool = true, to text: inout String) {
        text += "\""
        for received in string.unicodeScalars {
            let byte = ofHead ? FieldText.rawByte(received) : nil
            let scalar = byte.map { Unicode.Scalar($0) } ?? received
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{2028}", "\u{2029}":
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}

extension JSONTree: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral {
    package init(stringLiteral value: String) { self = .string(value) }
    package init(integerLiteral value: Int) { self = .integer(value) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }
}
