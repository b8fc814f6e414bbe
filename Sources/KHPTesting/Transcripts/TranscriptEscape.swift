import KHPProtocol
import NIOCore

/// How anything at all stands in a transcript without becoming a step of it: the one escape of the format in
/// Specs/transcripts/README.md.
///
/// A line of a payload that is indented by two spaces stands as it is. One that holds what a line cannot, or what is no
/// text, begins with a space and a backslash, and in it `\\`, `\r`, `\n` and `\xHH` are escapes for bytes.
enum TranscriptEscape {
    /// A line of a head.
    static func line(_ text: String) -> String { Self.line(FieldText.bytes(of: text)[...]) }

    /// An entity or a message, behind the mark of one.
    static func lines(_ payload: ByteBuffer) -> String {
        "  ==\n"
            + Array(payload.readableBytesView).split(separator: Bytes.lineFeed, omittingEmptySubsequences: false)
            .map { Self.line($0) }.joined()
    }

    /// One word of a step: blanks are escaped as well.
    static func word(_ text: String) -> String {
        Self.escaped(FieldText.bytes(of: text)[...]) { $0 <= 0x20 || $0 == 0x7F || $0 == Bytes.backslash }
    }

    /// The value of a field at the head of the file: what ends no line stands as it is.
    static func value(_ text: String) -> String {
        Self.escaped(FieldText.bytes(of: text)[...]) { $0 < 0x20 || $0 == 0x7F }
    }

    private static func line(_ bytes: ArraySlice<UInt8>) -> String {
        if let text = String(validating: bytes, as: UTF8.self), text.unicodeScalars.allSatisfy(Self.stands) {
            return "  \(text)\n"
        }
        return " \\\(Self.escaped(bytes) { $0 < 0x20 && $0 != Bytes.tab || $0 == 0x7F || $0 == Bytes.backslash })\n"
    }

    /// True for a character that every editor shows as the one that was meant: no control character, and nothing that
    /// somebody could take for the end of a line.
    private static func stands(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x09: true
        case 0..<0x20, 0x7F...0x9F, 0x2028, 0x2029: false
        default: FieldText.rawByte(scalar) == nil
        }
    }

    /// Characters as they are where they are text; every other byte by its value.
    private static func escaped(_ bytes: ArraySlice<UInt8>, where isEscaped: (UInt8) -> Bool) -> String {
        let text = Array(bytes).withUnsafeBytes { FieldText.string($0) }
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\\" where isEscaped(Bytes.backslash): out += "\\\\"
            case _ where scalar.isASCII:
                let byte = UInt8(truncatingIfNeeded: scalar.value)
                if isEscaped(byte) { out += Self.hex(byte) } else { out.unicodeScalars.append(scalar) }
            case _ where Self.stands(scalar): out.unicodeScalars.append(scalar)
            default:
                if let byte = FieldText.rawByte(scalar) {
                    out += Self.hex(byte)
                } else {
                    for byte in String(scalar).utf8 { out += Self.hex(byte) }
                }
            }
        }
        return out
    }

    /// Two hexadecimal digits.
    static func digits(_ byte: UInt8) -> String { (byte < 0x10 ? "0" : "") + String(byte, radix: 16) }

    private static func hex(_ byte: UInt8) -> String { "\\x" + Self.digits(byte) }
}
