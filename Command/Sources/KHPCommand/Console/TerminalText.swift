import KHPProtocol

/// Text from a peer made safe for a terminal: a received message must not move the cursor, change colours, set the
/// window's title or reorder what is on the line.
enum TerminalText {
    /// The text with every control character written out: `\n`, `\x1b`, `\u{202e}`.
    static func escaped(_ text: some StringProtocol) -> String {
        guard text.unicodeScalars.contains(where: isUnsafe) else { return String(text) }
        var out = ""
        for scalar in text.unicodeScalars {
            guard isUnsafe(scalar) else {
                out.unicodeScalars.append(scalar)
                continue
            }
            switch scalar {
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case _ where scalar.value < 0x80:
                out += "\\x" + (scalar.value < 0x10 ? "0" : "") + String(scalar.value, radix: 16)
            default:
                if let byte = FieldText.rawByte(scalar) {
                    out += "\\x" + String(byte, radix: 16)
                } else {
                    out += "\\u{" + String(scalar.value, radix: 16) + "}"
                }
            }
        }
        return out
    }

    /// C0, DEL, C1, the line separators, the characters that turn the direction of text, and what stands for a byte
    /// that is none of a character.
    private static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F...0x9F, 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: true
        default: FieldText.rawByte(scalar) != nil
        }
    }

    /// A one-line preview of bytes: text where they are text, otherwise hexadecimal.
    static func preview(_ bytes: [UInt8], limit: Int = 64) -> String {
        let head = bytes.prefix(limit)
        let more = bytes.count > limit ? "…" : ""
        if isText(bytes), let text = wholeCharacters(head) {
            return "\"" + escaped(text) + "\"" + more
        }
        return hex(head) + more
    }

    /// Lower-case hexadecimal, without separators.
    static func hex(_ bytes: some Sequence<UInt8>) -> String {
        var out = ""
        for byte in bytes {
            if byte < 0x10 { out += "0" }
            out += String(byte, radix: 16)
        }
        return out
    }

    private static func isText(_ bytes: [UInt8]) -> Bool {
        String(validating: bytes, as: UTF8.self) != nil
            && !bytes.contains { $0 < 0x20 && $0 != 0x09 && $0 != 0x0A && $0 != 0x0D }
    }

    /// The longest prefix that does not end inside a character.
    private static func wholeCharacters(_ bytes: ArraySlice<UInt8>) -> String? {
        for cut in 0..<4 where cut <= bytes.count {
            if let text = String(validating: bytes.dropLast(cut), as: UTF8.self) { return text }
        }
        return nil
    }

    /// Columns that a character takes: two for East Asian wide characters and emoji, as terminals draw them.
    static func columns(_ character: Character) -> Int {
        let shown = escaped(String(character))
        guard shown.count == 1, let scalar = character.unicodeScalars.first else { return shown.count }
        switch scalar.value {
        case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F,
            0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1F64F, 0x1F680...0x1F6FF, 0x1F900...0x1F9FF,
            0x20000...0x3FFFD:
            return 2
        default: return 1
        }
    }
}
