// Field values are bytes, and those of old servers are ISO-8859-1 (RFC 9110 section 5.5). A String holds UTF-8 alone,
// and its decoder puts U+FFFD in the place of everything else: then a realm is hashed wrongly and a Location leads
// elsewhere. Here each byte that belongs to no UTF-8 becomes a scalar of its own, at the end of the private use planes,
// so that the bytes can be had back.
//
//     bytes    47 65 72 E4 74            C3 A4       F4 8F BF A4  (U+10FFE4 itself)
//     text     G  e  r  U+10FFE4  t      ä           U+10FFF4 U+10FF8F U+10FFBF U+10FFA4

package import HTTPTypes

/// Reads text that holds bytes which are no UTF-8.
///
/// The library keeps each such byte of a peer's field or head as a Unicode scalar of its own, U+10FF80 to U+10FFFF, so that
/// no byte is lost. An application that shows such text replaces these scalars.
public enum FieldText {
    /// A byte from 0x80 on stands as this scalar plus its value.
    private static let base: UInt32 = 0x10FF00
    /// The first byte of each of these scalars in UTF-8.
    private static let lead: UInt8 = 0xF4

    /// The text of some bytes, which ``bytes(of:)`` gives back.
    package static func string(_ bytes: UnsafeRawBufferPointer) -> String {
        if Bytes.isASCII(bytes) { return String(decoding: bytes, as: UTF8.self) }
        if !bytes.contains(Self.lead), let text = String(validating: bytes, as: UTF8.self) { return text }
        return Self.escaped(bytes)
    }

    /// The bytes that a text stands for.
    package static func bytes(of text: some StringProtocol) -> [UInt8] {
        let bytes = Array(text.utf8)
        guard bytes.contains(Self.lead) else { return bytes }
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            if let byte = Self.rawByte(bytes, at: index) {
                output.append(byte)
                index += 4
            } else {
                output.append(bytes[index])
                index += 1
            }
        }
        return output
    }

    /// The text as a person reads it: as ISO-8859-1 unless all of its bytes are UTF-8.
    public static func readable(_ text: String) -> String {
        guard text.utf8.contains(Self.lead), text.unicodeScalars.contains(where: { Self.rawByte($0) != nil }) else {
            return text
        }
        return Self.latin1(Self.bytes(of: text))
    }

    /// Some bytes as a person reads them.
    package static func readable(_ bytes: UnsafeRawBufferPointer) -> String {
        if Bytes.isASCII(bytes) { return String(decoding: bytes, as: UTF8.self) }
        return String(validating: bytes, as: UTF8.self) ?? Self.latin1(bytes)
    }

    /// The byte that a scalar stands for; `nil` for all that stand for themselves.
    public static func rawByte(_ scalar: Unicode.Scalar) -> UInt8? {
        (Self.base + 0x80...Self.base + 0xFF).contains(scalar.value)
            ? UInt8(truncatingIfNeeded: scalar.value - Self.base) : nil
    }

    private static func latin1(_ bytes: some Sequence<UInt8>) -> String {
        var text = ""
        for byte in bytes { text.unicodeScalars.append(Unicode.Scalar(byte)) }
        return text
    }

    /// U+10FF80 to U+10FFBF are F4 8F BE 80…BF, U+10FFC0 to U+10FFFF are F4 8F BF 80…BF.
    private static func rawByte(_ bytes: [UInt8], at index: Int) -> UInt8? {
        guard index + 3 < bytes.count, bytes[index] == Self.lead, bytes[index + 1] == 0x8F else { return nil }
        switch bytes[index + 2] {
        case 0xBE: return bytes[index + 3]
        case 0xBF: return bytes[index + 3] + 0x40
        default: return nil
        }
    }

    private static func escaped(_ bytes: UnsafeRawBufferPointer) -> String {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count + 64)
        var index = 0
        while index < bytes.count {
            let length = Self.characterLength(bytes, at: index)
            if length == 0 {
                let byte = bytes[index]
                output += [Self.lead, 0x8F, byte < 0xC0 ? 0xBE : 0xBF, byte < 0xC0 ? byte : byte - 0x40]
                index += 1
            } else {
                output += bytes[index..<(index + length)]
                index += length
            }
        }
        return String(decoding: output, as: UTF8.self)
    }

    /// How many bytes the character of UTF-8 has that begins there (RFC 3629 section 4); 0 where none does, and for the
    /// scalars that stand for bytes.
    private static func characterLength(_ bytes: UnsafeRawBufferPointer, at index: Int) -> Int {
        let first = bytes[index]
        let length: Int
        var second: ClosedRange<UInt8> = 0x80...0xBF
        switch first {
        case 0x00...0x7F: return 1
        case 0xC2...0xDF: length = 2
        case 0xE0: (length, second) = (3, 0xA0...0xBF)
        case 0xED: (length, second) = (3, 0x80...0x9F)
        case 0xE1...0xEF: length = 3
        case 0xF0: (length, second) = (4, 0x90...0xBF)
        case 0xF1...0xF3: length = 4
        case 0xF4: (length, second) = (4, 0x80...0x8F)
        default: return 0
        }
        guard index + length <= bytes.count, second.contains(bytes[index + 1]) else { return 0 }
        for offset in stride(from: 2, to: length, by: 1) {
            guard bytes[index + offset] & 0xC0 == 0x80 else { return 0 }
        }
        let isOurs = first == Self.lead && bytes[index + 1] == 0x8F && bytes[index + 2] >= 0xBE
        return isOurs ? 0 : length
    }
}

extension HTTPField {
    /// The value with each of its bytes; ``value`` has U+FFFD in place of bytes that are not UTF-8.
    package var text: String {
        self.withUnsafeBytesOfValue { FieldText.string(UnsafeRawBufferPointer($0)) }
    }

    /// A field whose value has the bytes that the text stands for.
    package init(name: HTTPField.Name, text: String) {
        self.init(name: name, lenientValue: FieldText.bytes(of: text))
    }
}

extension HTTPFields {
    /// The values of all fields of that name, in order, with each of their bytes.
    package func texts(_ name: HTTPField.Name) -> [String] { self[fields: name].map(\.text) }
}
