/// Percent-encoding in paths and queries (RFC 3986 section 2).
package enum PercentEncoding {
    /// The treatment of a character that is not allowed as it is.
    enum Invalid {
        /// It is refused: for URLs that a person wrote.
        case refused
        /// It is encoded where that is harmless: for references that a server sent.
        case encoded
    }

    /// `component` fit for a request line: bytes beyond ASCII are percent-encoded one by one (D35), all others are
    /// checked. Control characters, spaces, backslashes and a percent sign without two hexadecimal digits are always
    /// refused.
    static func checked(
        _ component: ArraySlice<UInt8>,
        isQuery: Bool,
        invalid: Invalid,
        what: String
    ) throws(GrammarError) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(component.count)
        var index = component.startIndex
        while index < component.endIndex {
            let byte = component[index]
            switch byte {
            case Bytes.percent:
                guard index + 2 < component.endIndex, Bytes.hexValue(component[index + 1]) != nil,
                    Bytes.hexValue(component[index + 2]) != nil
                else {
                    throw GrammarError("the % in the \(what) is not followed by two hexadecimal digits", at: index)
                }
                output.append(byte)
            case 0...0x20, 0x7F, Bytes.backslash:
                throw GrammarError(
                    "\(Bytes.shown(byte)) is not allowed in the \(what): write %\(Bytes.hex(byte))",
                    at: index
                )
            case 0x80...:
                encode(byte, into: &output)
            case _ where isPathByte(byte) || isQuery && byte == 0x3F:
                output.append(byte)
            default:
                guard invalid == .encoded else {
                    throw GrammarError(
                        "\(Bytes.shown(byte)) is not allowed in the \(what): write %\(Bytes.hex(byte))",
                        at: index
                    )
                }
                encode(byte, into: &output)
            }
            index += 1
        }
        return output
    }

    /// Unreserved characters decoded and hexadecimal digits in upper case (RFC 3986 section 6.2.2), for comparing.
    static func normalised(_ text: String) -> String {
        let bytes = Array(text.utf8)
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            guard bytes[index] == Bytes.percent, index + 2 < bytes.count,
                let high = Bytes.hexValue(bytes[index + 1]), let low = Bytes.hexValue(bytes[index + 2])
            else {
                output.append(bytes[index])
                index += 1
                continue
            }
            let value = high << 4 | low
            if isUnreserved(value) { output.append(value) } else { encode(value, into: &output) }
            index += 3
        }
        return String(decoding: output, as: UTF8.self)
    }

    private static func encode(_ byte: UInt8, into output: inout [UInt8]) {
        output.append(Bytes.percent)
        output.append(Bytes.hexDigit(byte >> 4))
        output.append(Bytes.hexDigit(byte))
    }

    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x2D, 0x2E, 0x5F, 0x7E: true
        default: Bytes.isLetter(byte) || Bytes.isDigit(byte)
        }
    }

    /// pchar and "/": unreserved, sub-delims, ":" and "@".
    private static func isPathByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x21, 0x24, 0x26...0x2C, 0x3B, 0x3D, Bytes.colon, 0x40, Bytes.slash: true
        default: isUnreserved(byte)
        }
    }

    /// Percent-encoding undone.
    /// - Returns: `nil` where a percent sign is not followed by two digits, or the bytes are no UTF-8.
    package static func decoded(_ text: Substring) -> String? {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return String(text) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap({ Bytes.hexValue($0) }),
                let low = rest.popFirst().flatMap({ Bytes.hexValue($0) })
            else {
                return nil
            }
            bytes.append(high << 4 | low)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
